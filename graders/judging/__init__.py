"""Judging: pure functions over an evidence bundle say what is so.

Nothing here scores, acts or talks to a cluster.

A check is written like this, in `graders/<lab>/checks/<topic>.py`::

    @check("owner-gc", tracks=("lifecycle",), requires=("creates-pods",), hint="Set ownerReferences.")
    def check_owner_gc(bundle: Bundle, facts: Facts) -> None:
        \"\"\"Deleting a job deletes its pods and its Service.\"\"\"
        with Findings("every child gone within the deadline") as found:
            for pod in left_over(bundle):
                found.miss(f"pod {pod} was still there")
"""

from graders.judging.catalogue import collect_checks, tracks_for
from graders.judging.check import CheckInfo, check
from graders.judging.facts import Facts
from graders.judging.findings import Findings
from graders.judging.run import judge

__all__ = ["CheckInfo", "Facts", "Findings", "check", "collect_checks", "judge", "tracks_for"]
