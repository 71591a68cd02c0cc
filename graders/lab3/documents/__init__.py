"""The documents of a hand-in, read from the record: report, evidence, backlog, audits. Pure; starts nothing.

handedin    what was handed in, as the record has it
report      front matter and headings of the report
evidence    a drill on record, and the intervals that it gives
audits      results of kube-bench and kube-hunter, and what is waived of them
backlog     what is to be mended, by whom, until when, and how that is seen
"""
