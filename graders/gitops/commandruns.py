"""How the runs of the promotion command went, for those who wonder why nothing was promoted; pure."""

from graders.evidence.bundle import Bundle
from graders.gitops.records import CommandRun

_SHOWN_CHARS = 200


def told_of_runs(bundle: Bundle, since: float, until: float = float("inf")) -> str:
    """What a learner should know of the runs within a time; empty where all went well, or there is none."""
    runs = [run for run in bundle.records(CommandRun) if since <= run.t <= until]
    failed = [run for run in runs if run.code != 0]
    if not failed:
        return ""
    last = failed[-1]
    lines = [line.strip() for line in last.output.splitlines() if line.strip()]
    said = f", and said: {lines[-1][:_SHOWN_CHARS]}" if lines else ""
    return (
        f"The promotion command failed in {len(failed)} of {len(runs)} runs; at {last.t:.0f} s it "
        f"{last.reason}{said}. All of them are in bundle/logs/promotion.log."
    )
