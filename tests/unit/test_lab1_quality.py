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
    r.manifest["block"]["language"] = "other"


GO_OUTPUT = "ok  \texample/plan\t0.1s\tcoverage: 9%\ntotal:\t(statements)\t84.2%\n"


def _in_go(output: str = GO_OUTPUT, **codes: int) -> Mutation:
    """The record of a submission in Go instead: what `go test` printed, and exit codes other than 0."""

    def mutate(r: Recording) -> None:
        r.manifest["block"]["language"] = "go"
        for old, new in (("ruff", "go-vet"), ("mypy", "staticcheck"), ("pytest", "go-test")):
            code = codes.get(new.replace("-", "_"), 0)
            _run(r, old).update(tool=new, code=code, output=output, reason=f"exited with code {code}")

    return mutate


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
    Flaw(CHECK, "other language", _language, "language 'other', which is not judged"),
    Flaw(CHECK, "go vet", _in_go(go_vet=1), "go-vet exited with code 1"),
    Flaw(CHECK, "staticcheck", _in_go(staticcheck=1), "staticcheck exited with code 1"),
    Flaw(CHECK, "go test", _in_go(go_test=1), "go-test exited with code 1"),
    Flaw(
        CHECK, "no Go tests", _in_go("?   \ta/b\t[no test files]\ntotal: (statements) 90.0%\n"), "passed none"
    ),
    Flaw(CHECK, "Go tests that run nothing", _in_go("ok  \ta/b\t0.1s\t[no tests to run]\n"), "passed none"),
    Flaw(CHECK, "too little Go covered", _in_go(GO_OUTPUT.replace("84.2", "69.9")), "they cover 69 %"),
)


@every(FLAWS)
def test_poor_code_costs_code_quality(flaw: Flaw, tmp_path: Path) -> None:
    assert_costs(flaw, tmp_path)


@pytest.mark.parametrize("line", ["TOTAL  100  30  70%", "TOTAL  10  0  100%", "TOTAL  100 30 70.00%"])
def test_seventy_per_cent_is_enough(line: str, tmp_path: Path) -> None:
    assert outcomes_of(_total(line), tmp_path)[CHECK].status is Status.PASSED


def test_go_is_judged_by_its_own_tools(tmp_path: Path) -> None:
    assert outcomes_of(_in_go(), tmp_path)[CHECK].status is Status.PASSED


@pytest.mark.parametrize("tool", ["ruff", "mypy", "pytest"])
def test_a_tool_that_was_never_run_is_our_fault(tool: str, tmp_path: Path) -> None:
    outcome = outcomes_of(lambda r: r.remove("tools", _run(r, tool)), tmp_path)[CHECK]
    assert (outcome.status, outcome.fault) == (Status.ERROR, Fault.INFRASTRUCTURE)
    assert f"{tool} was not run" in outcome.observed
