"""Whether a mitigation mitigates: the fault it is for, without it and with it."""

import math

from graders.evidence.bundle import Bundle
from graders.faults import InfraFault, Unmet
from graders.judging import Facts, Findings, check
from graders.lab3.lanerecord import LaneRecord
from graders.lab3.names import MITIGATED, PAPERS, WORKLOAD
from graders.recovery.intervals import Interval, shown

_BETTER_BY_S, _OFF_BY_S = 2.0, 3.0


@check(
    "mitigation",
    tracks=(PAPERS, WORKLOAD),
    hint="Drill the scenario with the manifests of before/, then with those of after/, and write down both.",
)
def check_mitigation(bundle: Bundle, facts: Facts) -> None:
    """The first mitigation that is done makes the recovery faster, and as fast as you expect."""
    record = LaneRecord(bundle, WORKLOAD)
    mark = next((mark.data for mark in record.marks if mark.name == "mitigation"), None)
    if mark is None:
        raise InfraFault("the record says nothing of a mitigation")
    if mark["problem"]:
        raise Unmet("a mitigation that can be tried", str(mark["problem"]))
    before, after = (_measured(record, part) for part in MITIGATED)
    facts["before_s"], facts["after_s"] = shown([before]), shown([after])
    with Findings("a recovery that is faster by it, and as fast as expected") as found:
        if after.upper_s is None or before.lower_s <= after.upper_s + _BETTER_BY_S:
            found.miss(f"without it recovery took {shown([before])}, with it {shown([after])}")
        expected_s = _seconds(str(mark["to"]))
        if expected_s is None:
            found.miss(f"item {mark['item']} expects {mark['to']!r}, which is no number of seconds")
        elif after.upper_s is None or after.upper_s > (expected_s + _OFF_BY_S) * record.scale:
            found.miss(f"item {mark['item']} expects {expected_s:g} s, and it took {shown([after])}")
        for place in mark.get("others", ()):
            found.miss(f"{place} is not what workload/ has", hint="Hand in what was tried as what runs.")


def _seconds(told: str) -> float | None:
    """A number of seconds in words; None where it is none that anything could be held against."""
    try:
        found = float(told)
    except ValueError:
        return None
    return found if math.isfinite(found) and found >= 0 else None


def _measured(record: LaneRecord, part: str) -> Interval:
    drills = [each for each in record.all_drills() if each.phase == f"mitigation-{part}"]
    if not drills:
        raise InfraFault(f"the record has no drill of what was {part}")
    counted = record.measured(drills[-1])
    if counted.counts is None:
        raise InfraFault(f"the drill {part} the mitigation is void: {'; '.join(counted.voids)}")
    return counted.counts
