from dataclasses import replace

from builders import NOW, a_job

from mltj_operator.events import build_event, news
from mltj_operator.transitions import Transitions

NOTHING = Transitions(False, False, False, False, False, False, 0, None)


def test_nothing_new_is_not_told() -> None:
    assert list(news(NOTHING)) == []


def test_every_transition_is_told_once_and_restarts_by_number() -> None:
    happened = Transitions(True, True, True, True, True, True, 2, 1.0)
    told = {item.reason: item.count for item in news(happened)}
    assert told == {
        "Created": 1,
        "Suspended": 1,
        "Resumed": 1,
        "Restarting": 2,
        "Running": 1,
        "Complete": 1,
        "Failed": 1,
    }


def test_telling_the_same_thing_twice_is_the_same_event() -> None:
    (item,) = news(replace(NOTHING, created=True))
    first = build_event(a_job(), item, "one", NOW)
    again = build_event(a_job(), item, "two", NOW)
    later = build_event(a_job(metadata={"resourceVersion": "8"}), item, "one", NOW)
    assert first["metadata"]["name"] == again["metadata"]["name"] != later["metadata"]["name"]
    assert first["involvedObject"]["uid"] == "uid-train"
