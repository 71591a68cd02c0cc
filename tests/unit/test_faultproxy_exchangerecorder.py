"""What the fault proxy puts on record, and the counts by which a flood is told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from graders.evidence.bundle import BundleWriter
from graders.evidence.recording import Recording
from graders.faultproxy.exchangerecorder import ExchangeRecorder
from graders.faultproxy.rules import InFlight
from graders.kube.requestinfo import read_request_info

PODS = "/api/v1/namespaces/a/pods"


@pytest.fixture
def exchanges(tmp_path: Path) -> Iterator[ExchangeRecorder]:
    with BundleWriter(tmp_path / "bundle") as writer:
        yield ExchangeRecorder(Recording(writer))


def answered(exchanges: ExchangeRecorder, method: str, target: str, code: int) -> None:
    exchanges.exchanged(InFlight(read_request_info(method, target), "operator-1", 0.0, code=code), "agent")


def test_writes_are_counted_by_namespace_whatever_the_answer(exchanges: ExchangeRecorder) -> None:
    for code in (201, 409, 0):
        answered(exchanges, "POST", PODS, code)
    answered(exchanges, "PATCH", "/api/v1/namespaces/b/pods/one", 200)
    answered(exchanges, "GET", PODS, 200)
    assert exchanges.writes == {"a": 3, "b": 1}


@pytest.mark.parametrize(
    ("method", "target", "code", "counted"),
    [
        ("POST", PODS, 201, 1),
        ("DELETE", f"{PODS}/one", 200, 1),
        ("DELETE", "/api/v1/namespaces/a/services/one", 200, 1),
        ("POST", PODS, 409, 0),
        ("POST", PODS, 0, 0),
        ("DELETE", f"{PODS}/one", 404, 0),
        ("POST", f"{PODS}/one/eviction", 201, 0),
        ("POST", "/api/v1/namespaces/a/events", 201, 0),
        ("PATCH", f"{PODS}/one", 200, 0),
    ],
)
def test_churn_is_what_was_really_made_or_removed(
    exchanges: ExchangeRecorder, method: str, target: str, code: int, counted: int
) -> None:
    answered(exchanges, method, target, code)
    assert exchanges.churn == counted
