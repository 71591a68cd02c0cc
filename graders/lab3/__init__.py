"""Lab 3: chaos experiments, and a cluster that is lost and recovered in measured time.

scenario      what is recorded: documents, then `lanes`, each a track with a cluster of its own
tracks        what is done on each of them; `environment` is what they act in
checks        what is judged of the record, which `lanerecord` and `experimentrecord` read
documents     what was handed in to be read: report, backlog, evidence, audits
block         the lab's part of submission.yaml, which `handin` has as frozen types
drills        what `kubeproof drill` writes down, and `panels` what the report draws of each
names         what acting and judging call alike: scenarios with their ceilings, tracks, marks, places

What another lab with disaster recovery would use as it is, is not here: recovery, runbooks, chaos, scenario.
"""

from graders.definition import LabDefinition

LAB = LabDefinition(
    scenario="scenario",
    block="block:Lab3Block",
    tools="runtimes:TOOLSETS",
    runtimes="runtimes:LOCKS",
    cluster="environment.cluster:cluster_spec",
    drills="drills",
    panels="panels:panels_of_drills",
)
