"""One lane at a time is measured, or starts a cluster."""

from __future__ import annotations

import threading

from graders.scenario.turns import Turn


def test_one_lane_has_it_at_a_time() -> None:
    shared = threading.Lock()
    first, second = Turn(shared), Turn(shared)
    got = threading.Event()

    def next_lane() -> None:
        second.take()
        got.set()

    first.take()
    first.take()
    waiting = threading.Thread(target=next_lane, daemon=True)
    waiting.start()
    assert not got.wait(0.05)
    first.give()
    assert got.wait(5.0)
    waiting.join()


def test_whoever_never_had_it_gives_nothing_back() -> None:
    shared = threading.Lock()
    with Turn(shared):
        Turn(shared).give()
        assert shared.locked()
    # At the end of its block it is given back.
    assert not shared.locked()
