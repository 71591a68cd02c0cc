"""`staff.log`: tracebacks of checks that broke, for staff; nothing of it is in what learners get."""

from graders.evidence.bundle import Bundle
from graders.model import GradeReport
from graders.reports.text import clean, one_line

_TRACEBACK = 100_000


class StaffLog:
    """Writes `staff.log`, only where an outcome has a detail."""

    name = "staff"
    file_name = "staff.log"

    def render(self, report: GradeReport, bundle: Bundle | None) -> str:  # noqa: ARG002 - one shape for all
        """One block for each outcome that has a detail; empty where none has."""
        return "\n".join(
            f"=== {one_line(outcome.check_id)}: {outcome.status} ({outcome.fault or 'no fault'})\n"
            f"{clean(outcome.detail, _TRACEBACK)}\n"
            for outcome in report.outcomes
            if outcome.detail
        )
