"""How a check ends: from what it raised, or from what it builds on, to its outcome."""

import dataclasses
import traceback
from collections.abc import Mapping
from types import FrameType

from graders.evidence.bundle import Bundle
from graders.faults import InfraFault, Unmet
from graders.judging.check import CheckInfo
from graders.judging.text import clean, clean_tail
from graders.model import Fault, Outcome, Status

DETAIL_CHARS = 20_000

GRAVITY = (Status.ERROR, Status.FAILED, Status.BLOCKED, Status.UNSUPPORTED, Status.PASSED)
"""Statuses, the one that decides first."""


def before_running(info: CheckInfo, bundle: Bundle) -> Outcome | None:
    """What is clear from the bundle's manifest alone; None when the check has to be run."""
    base = Outcome(check_id=info.id, status=Status.ERROR, title=clean(info.title))
    lacking = sorted(need.value for need in info.needs if need.value not in bundle.manifest.capabilities)
    if lacking:
        observed = f"provider {bundle.manifest.provider} cannot show this: no {', '.join(lacking)}"
        return dataclasses.replace(base, status=Status.UNSUPPORTED, observed=clean(observed))
    for track in info.tracks:
        result = bundle.manifest.tracks.get(track)
        if result is not None and result.status != "done":
            observed = f"not judged: track {track} of the scenario broke: {result.problem}"
            # "broken" is a bug of the scenario: unlike a fault of the machine, a second try meets it again.
            fault = Fault.GRADER if result.status == "broken" else Fault.INFRASTRUCTURE
            return dataclasses.replace(base, observed=clean(observed), fault=fault)
    return None


def by_requirement(info: CheckInfo, outcomes: Mapping[str, Outcome]) -> Outcome | None:
    """What becomes of a check because of the checks it requires; None when it can be judged.

    Only a learner's failure blocks: where a requirement could not be judged or shown, neither can this.
    """
    required = [outcomes[name] for name in info.requires if name in outcomes]
    stopping = [outcome for outcome in required if outcome.status is not Status.PASSED]
    if not stopping:
        return None
    first = min(stopping, key=lambda outcome: GRAVITY.index(outcome.status))
    base = Outcome(check_id=info.id, status=first.status, title=clean(info.title), fault=first.fault)
    name = f"{first.check_id} ({first.title})"
    match first.status:
        case Status.ERROR:
            observed = f"not judged, because it builds on {name}, which could not be judged"
        case Status.UNSUPPORTED:
            observed = f"it builds on {name}, which this provider cannot show"
        case _:
            return dataclasses.replace(
                base,
                status=Status.BLOCKED,
                expected=clean(f"{name} passes first"),
                observed=clean(f"not judged, because {first.check_id} did not pass: {first.observed}"),
                hint=_mend_first(first.check_id),
            )
    return dataclasses.replace(base, observed=clean(observed))


def _mend_first(check_id: str) -> str:
    return f"Mend {check_id} first; then this can be judged."


def ended(
    info: CheckInfo, error: BaseException | None, facts: Mapping[str, object], duration_s: float
) -> Outcome:
    """The outcome of a check that was run; `error` is what it raised, `duration_s` its seconds."""
    base = Outcome(
        check_id=info.id,
        status=Status.ERROR,
        title=clean(info.title),
        facts=facts,
        duration_s=duration_s,
    )
    match error:
        case None:
            return dataclasses.replace(base, status=Status.PASSED)
        case Unmet():
            return dataclasses.replace(
                base,
                status=Status.BLOCKED if error.blocked_by else Status.FAILED,
                expected=clean(error.expected),
                observed=clean(error.observed),
                hint=clean(_mend_first(error.blocked_by) if error.blocked_by else error.hint or info.hint),
                fault=Fault.LEARNER,
            )
        case InfraFault():
            observed, fault = f"not judged: {error.problem}", Fault.INFRASTRUCTURE
        case _:
            observed = f"not judged: the check itself failed with {type(error).__name__}"
            fault = Fault.GRADER
    return dataclasses.replace(base, observed=clean(observed), fault=fault, detail=_trace(error))


def _trace(error: BaseException) -> str:
    """The traceback from the course's own code on; what called that is machinery."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None and _is_machinery(trace.tb_frame):
        trace = trace.tb_next
    return clean_tail("".join(traceback.format_exception(type(error), error, trace)), DETAIL_CHARS)


def _is_machinery(frame: FrameType) -> bool:
    return frame.f_globals.get("__package__") == __package__
