from typing import Any

from builders import NOW, later

from mltj_operator import narrative
from mltj_operator.conditions import Wanted, merged

FOREIGN = {"type": "Audited", "status": "True", "lastTransitionTime": "2029-01-01T00:00:00Z"}


def test_the_first_status_has_all_six() -> None:
    conditions = merged((), narrative.under_way(running=False, restarting=False), NOW)
    told = {c["type"]: c["status"] for c in conditions}
    assert told == {
        "Created": "True",
        "Running": "False",
        "Restarting": "False",
        "Suspended": "False",
        "Complete": "False",
        "Failed": "False",
    }


def test_the_transition_time_moves_on_a_flip_only() -> None:
    def at(seconds: float, true: bool, reason: str, before: Any) -> Any:
        return merged(before, {"Running": Wanted(true, reason)}, later(seconds))

    first = at(0, True, "PodsRunning", ())
    same = at(9, True, "Another", first)
    flipped = at(9, False, "NotRunning", same)
    assert same[0]["lastTransitionTime"] == first[0]["lastTransitionTime"] == "2030-01-01T12:00:00Z"
    assert same[0]["reason"] == "Another"
    assert flipped[0]["lastTransitionTime"] == "2030-01-01T12:00:09Z"


def test_foreign_conditions_stay_where_and_as_they_are() -> None:
    before = (FOREIGN, {"type": "Running", "status": "False", "observedGeneration": 3})
    result = merged(before, {"Running": Wanted(True, "PodsRunning")}, NOW)
    assert result[0] == FOREIGN
    assert result[1]["status"] == "True"
    assert result[1]["observedGeneration"] == 3


def test_running_and_restarting_exclude_each_other() -> None:
    told = narrative.under_way(running=True, restarting=True)
    assert told["Running"].true and not told["Restarting"].true
