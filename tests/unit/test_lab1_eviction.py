"""A pod that is drained goes, whatever budget its operator gave it."""

from __future__ import annotations

from pathlib import Path

import pytest

from graders.faults import InfraFault
from graders.lab1.api import pods_path
from graders.lab1.eviction import drain
from tests.unit.tiny_api import TinyApi

POD = pods_path("here", "a-0")
EVICTION = pods_path("here", "a-0", "eviction")

BUDGET = "Cannot evict pod as it would violate the pod's disruption budget."
TWO_BUDGETS = (
    "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
)


def drained(folder: Path, evicted: int, message: str = "", deleted: int = 200) -> tuple[str, list[str]]:
    """What `drain` gives, and what it asked for, where eviction and deletion are answered so."""
    api = TinyApi()
    api.paths = {EVICTION: lambda: (evicted, {"message": message}), POD: lambda: (deleted, {"message": "no"})}
    with api.client(folder) as kube:
        return drain(kube, "here", "a-0"), [verb for verb, *_ in api.asked]


@pytest.mark.parametrize("code", [201, 404])
def test_it_is_evicted_where_that_may_be(code: int, tmp_path: Path) -> None:
    assert drained(tmp_path, code) == ("", ["POST"])


@pytest.mark.parametrize(("code", "message"), [(429, BUDGET), (500, TWO_BUDGETS)])
def test_where_a_budget_forbids_that_it_is_deleted(code: int, message: str, tmp_path: Path) -> None:
    assert drained(tmp_path, code, message) == (message, ["POST", "DELETE"])


def test_one_that_has_gone_meanwhile_is_fine(tmp_path: Path) -> None:
    assert drained(tmp_path, 429, BUDGET, deleted=404) == (BUDGET, ["POST", "DELETE"])


@pytest.mark.parametrize("answers", [(503, "try again"), (429, BUDGET, 500)])
def test_what_is_no_budgets_doing_is_told_as_ours(answers: tuple[int, str], tmp_path: Path) -> None:
    with pytest.raises(InfraFault, match="does not take a-0 away"):
        drained(tmp_path, *answers)
