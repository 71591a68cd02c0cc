"""An operator that its own client slows down is told so; one that is slow by itself is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from graders.faults import Unmet
from graders.lab1.pace import own_pace
from graders.lab1.trackrecord import track_record
from tests.unit.lab1_telling import Telling


def asking(*times: float) -> Telling:
    """An operator that reads jobs at these times, and a track that waited in vain from 10 s to 20 s."""
    telling = Telling("downtime")
    for t in times:
        telling.write(t, "get", "mltrainingjobs", "a")
    telling.mark(20.0, "missed", waiting_for="grown to have 3 pods", within_s=10.0, seen="2 pods Running")
    return telling


EVENLY = [10 + n / 20 for n in range(200)]
IN_BURSTS = [second + n / 100 for second in (10, 13, 17) for n in range(60)]
SELDOM = [10 + n / 2 for n in range(20)]


def test_an_even_pace_is_told_with_its_number(tmp_path: Path) -> None:
    bundle = asking(*EVENLY).bundle(tmp_path)
    pace = own_pace(bundle, 10.0, 20.0)
    assert pace is not None
    assert (pace.requests, pace.seconds, pace.limit) == (200, 10.0, 20)
    with pytest.raises(Unmet) as unmet:
        track_record(bundle, "downtime")
    assert "asked 200 times in these 10 s, 20 times in nearly every second" in unmet.value.hint


@pytest.mark.parametrize("times", [IN_BURSTS, SELDOM, []], ids=["in bursts", "seldom", "never"])
def test_who_is_not_throttled_is_not_told_so(times: list[float], tmp_path: Path) -> None:
    bundle = asking(*times).bundle(tmp_path)
    assert own_pace(bundle, 10.0, 20.0) is None
    with pytest.raises(Unmet) as unmet:
        track_record(bundle, "downtime", hint="of the check")
    assert unmet.value.hint == "of the check"
