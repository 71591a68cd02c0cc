"""Shows a grade: in the terminal, and as files through exporters.

Reads reports and bundles; it neither judges nor scores, and it treats every text in them as hostile.
"""

from graders.reports.critical import critical_path
from graders.reports.registry import EXPORTERS, REPORTS, write_reports
from graders.reports.report_json import load_report
from graders.reports.terminal import print_report

__all__ = ["EXPORTERS", "REPORTS", "critical_path", "load_report", "print_report", "write_reports"]
