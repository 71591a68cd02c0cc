"""How long the client waits for an answer."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from graders.kube.client import Kube
from tests.unit.tiny_api import kubeconfig


@pytest.mark.parametrize(
    ("method", "given", "waits_s"),
    [("GET", None, 30.0), ("PATCH", None, 65.0), ("POST", 3.0, 3.0)],
)
def test_a_write_outwaits_every_webhook(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, given: float | None, waits_s: float
) -> None:
    """An API server that waits 30 s for a learner's webhook refuses then, and is not away."""
    seen: list[Any] = []

    def answer(*_: object, timeout: Any, **__: object) -> object:
        seen.append(timeout.read_timeout)
        return SimpleNamespace(status=500, data=b"", headers=SimpleNamespace(getlist=lambda _: []))

    kube = Kube(kubeconfig(tmp_path, "http://127.0.0.1:9"))
    monkeypatch.setattr(kube._pool, "request", answer)
    assert kube.request(method, "/api", timeout_s=given).code == 500
    assert seen == [waits_s]
