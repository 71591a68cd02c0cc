"""What a hand-in forbids the grader is the hand-in's fault, and no crash: a quota, a policy, a schema."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from graders.evidence.bundle import BundleWriter
from graders.evidence.recording import Recording
from graders.faults import InfraFault
from graders.judging import collect_checks
from graders.judging.run import outcome_of
from graders.kube.client import Answer
from graders.model import Status
from graders.scenario.recordledger import LedgerPlace, LedgerRefused, RecordLedger
from tests.unit.lab3_recording import reference

PLACE = LedgerPlace("serving", "ledger")


class Refusing:
    """An API server that says the same to everybody."""

    def __init__(self, code: int) -> None:
        self.code = code

    def request(self, method: str, path: str, **_: Any) -> Answer:
        return Answer(self.code, {"message": "exceeded quota: few"})


@pytest.fixture
def recording(tmp_path: Path) -> Iterator[Recording]:
    with BundleWriter(tmp_path / "written") as writer:
        yield Recording(writer)


def ledger(recording: Recording, code: int) -> RecordLedger:
    return RecordLedger(recording, cast(Any, Refusing(code)), "none", PLACE, "serving", b"key")


@pytest.mark.parametrize("code", [403, 422])
def test_records_that_something_forbids_are_refused(recording: Recording, code: int) -> None:
    with pytest.raises(LedgerRefused, match="exceeded quota: few"), ledger(recording, code):
        pytest.fail("it was opened")


@pytest.mark.parametrize("code", [404, 429, 500])
def test_an_api_server_in_trouble_forbids_nothing(recording: Recording, code: int) -> None:
    with pytest.raises(InfraFault) as failed, ledger(recording, code):
        pytest.fail("it was opened")
    assert not isinstance(failed.value, LedgerRefused)


@pytest.mark.parametrize("check", ["hypothesis", "injects", "blast-radius", "dry", "abort"])
def test_states_that_something_forbids_cost_the_experiments(check: str, tmp_path: Path) -> None:
    recorded = reference()
    recorded.parts["experimentruns"][:] = [
        each for each in recorded.parts["experimentruns"] if each["purpose"] == "hypothesis-healthy"
    ]
    recorded.parts["baselinelooks"].clear()
    why = "PATCH deployments/predictor: 422 a policy has two replicas at least"
    recorded.parts["marks"].append({"t": 100.0, "track": "experiments", "name": "over", "data": {"why": why}})
    (info,) = (each for each in collect_checks("lab3") if each.id == check)
    outcome = outcome_of(info, recorded.held(tmp_path / "bundle"))
    assert outcome.status is Status.FAILED, outcome.detail
    assert why in outcome.observed
    assert "forbids" in outcome.hint
