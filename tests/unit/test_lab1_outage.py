"""The outage: requests, their density and process starts are bounded, of this replica and then only."""

from __future__ import annotations

from pathlib import Path

import pytest

from graders.lab1.checks.outage import MOST_A_SECOND, MOST_REQUESTS, MOST_STARTS, busiest
from graders.model import Status
from tests.unit.lab1_flaws import Flaw, assert_costs, every, outcomes_of
from tests.unit.lab1_recording import Mutation, Recording

TRACK = "api-outage"


def _requests(
    count: int, every_s: float, *, after: str = "outage", who: str = "api-outage-operator-1"
) -> Mutation:
    """The outage has these requests only."""

    def mutate(r: Recording) -> None:
        begun, back = r.mark(TRACK, "outage")["t"], r.mark(TRACK, "back")["t"]
        one = next(each for each in r.exchanges if each["instance"] == "api-outage-operator-1")
        r.exchanges[:] = [
            each for each in r.exchanges
            if each["instance"] != one["instance"] or not begun <= each["t"] < back
        ]  # fmt: skip
        t = r.mark(TRACK, after)["t"]
        r.exchanges.extend({**one, "instance": who, "t": t + n * every_s} for n in range(count))

    return mutate


def _starts(count: int, after: str = "outage") -> Mutation:
    def mutate(r: Recording) -> None:
        t = r.mark(TRACK, after)["t"]
        for n in range(count):
            name = f"api-outage-operator-{n + 2}"
            r.processes.append({"t": t + 0.1 * n, "instance": name, "event": "started", "data": {}})

    return mutate


FLAWS = (
    Flaw(TRACK, "never backs off", _requests(MOST_REQUESTS + 1, 0.03), f"{MOST_REQUESTS + 1}"),
    Flaw(TRACK, "all at once", _requests(MOST_A_SECOND + 1, 0.001), f"{MOST_A_SECOND + 1} in one second"),
    Flaw(TRACK, "crash loop", _starts(MOST_STARTS + 1), f"at most {MOST_STARTS} starts"),
    Flaw(TRACK, "gives up", lambda r: r.miss(TRACK, "all to be caught up with"), "all to be caught up with"),
)


@every(FLAWS)
def test_an_impatient_operator_loses_api_outage(flaw: Flaw, tmp_path: Path) -> None:
    assert_costs(flaw, tmp_path)


FINE: dict[str, Mutation] = {
    "as many as allowed": _requests(MOST_REQUESTS, 0.03),
    "as dense as allowed": _requests(MOST_A_SECOND, 0.001),
    "as many starts as allowed": _starts(MOST_STARTS),
    "many after the outage": _requests(MOST_REQUESTS + 1, 0.001, after="back"),
    "many starts after the outage": _starts(MOST_STARTS + 1, after="back"),
    "many of another replica": _requests(MOST_REQUESTS + 1, 0.001, who="operator-1"),
}


@pytest.mark.parametrize("mutate", FINE.values(), ids=FINE)
def test_what_is_allowed_costs_nothing(mutate: Mutation, tmp_path: Path) -> None:
    assert outcomes_of(mutate, tmp_path)[TRACK].status is Status.PASSED


@pytest.mark.parametrize(
    ("times", "most"),
    [((), 0), ((1.0,), 1), ((0.0, 0.5, 0.9), 3), ((0.0, 1.0), 1), ((0.0, 0.9, 1.2, 1.8), 3)],
)
def test_the_busiest_second_may_begin_anywhere(times: tuple[float, ...], most: int) -> None:
    assert busiest(times) == most
