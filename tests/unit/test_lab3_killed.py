"""The restore that is killed is killed in the middle: not for what an earlier one has done."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from graders.lab3.environment.lane import Lane
from graders.lab3.tracks import supplied
from graders.runbooks.scripts import Ended


def test_what_was_replaced_before_kills_nobody(tmp_path: Path) -> None:
    replaced = [1]
    killed: list[bool] = []

    def has_replaced() -> Callable[[], bool]:
        before = replaced[0]
        return lambda: replaced[0] > before

    class Scripts:
        def run(self, *_: Any, purpose: str, stop: threading.Event | None, **__: Any) -> Ended:
            if stop is None:
                return Ended(1, "exited with code 1")
            assert not stop.wait(0.3), "it had replaced nothing yet"
            replaced[0] += 1
            killed.append(stop.wait(5.0))
            return Ended(None, "was killed")

    wanted = SimpleNamespace(dr=SimpleNamespace(restore=("restore",)))
    lane = SimpleNamespace(
        tell=lambda _: None,
        mark=lambda *_, **__: None,
        rto_s=lambda _: 1.0,
        scripts=Scripts(),
        context=SimpleNamespace(wanted=wanted, scale=1.0),
    )
    assert not supplied._in_two_goes(cast(Lane, lane), "control-plane-loss", tmp_path, has_replaced)
    assert killed == [True]
