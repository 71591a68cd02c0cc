"""code-quality: each flaw in the record costs exactly that check."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from graders.model import Fault, Status
from tests.unit.lab1_flaws import Flaw, assert_costs, every, outcomes_of
from tests.unit.lab1_recording import Mutation, Record, Recording

CHECK = "code-quality"


def _run(r: Recording, tool: str) -> Record:
    (found,) = [run for run in r.tools if run["tool"] == tool]
    return found


def _fails(tool: str, code: int | None = 1) -> Mutation:
    reason = f"exited with {code}" if code is not None else "ran out of time"
    return lambda r: _run(r, tool).update(code=code, reason=reason)


def _total(line: str) -> Mutation:
    return lambda r: _run(r, "pytest").update(
        output=re.sub(r"^TOTAL.*$", line, _run(r, "pytest")["output"], flags=re.MULTILINE)
    )


def _no_tests(r: Recording) -> None:
    _run(r, "pytest").update(code=5, output="no tests ran in 0.01s\n", reason="exited with 5")


def _language(r: Recording) -> None:
    r.manifest["submission"]["language"] = "go"


FLAWS = (
    Flaw(CHECK, "ruff", _fails("ruff"), "ruff exited with 1"),
    Flaw(CHECK, "mypy", _fails("mypy"), "mypy exited with 1"),
    Flaw(CHECK, "pytest", _fails("pytest"), "pytest exited with 1"),
    Flaw(CHECK, "pytest never ends", _fails("pytest", None), "pytest ran out of time"),
    Flaw(CHECK, "no tests", _no_tests, "pytest passed none"),
    Flaw(CHECK, "too little covered", _total("TOTAL  100  31  69%"), "they cover 69 %"),
    Flaw(CHECK, "with decimals", _total("TOTAL  100  31  69.99%"), "they cover 69 %"),
    Flaw(CHECK, "absurd figure", _total(f"TOTAL  {'9' * 5000}%"), "they cover 0 %"),
    Flaw(CHECK, "no figure", _total(""), "they cover 0 %"),
    Flaw(CHECK, "other language", _language, "language 'go', which is not judged yet"),
)


@every(FLAWS)
def test_poor_code_costs_code_quality(flaw: Flaw, tmp_path: Path) -> None:
    assert_costs(flaw, tmp_path)


@pytest.mark.parametrize("line", ["TOTAL  100  30  70%", "TOTAL  10  0  100%", "TOTAL  100 30 70.00%"])
def test_seventy_per_cent_is_enough(line: str, tmp_path: Path) -> None:
    assert outcomes_of(_total(line), tmp_path)[CHECK].status is Status.PASSED


@pytest.mark.parametrize("tool", ["ruff", "mypy", "pytest"])
def test_a_tool_that_was_never_run_is_our_fault(tool: str, tmp_path: Path) -> None:
    outcome = outcomes_of(lambda r: r.remove("tools", _run(r, tool)), tmp_path)[CHECK]
    assert (outcome.status, outcome.fault) == (Status.ERROR, Fault.INFRASTRUCTURE)
    assert f"{tool} was not run" in outcome.observed
