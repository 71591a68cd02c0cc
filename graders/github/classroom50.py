"""Classroom 50's `result.json`: one test for each criterion, in whole points.

=============  =====================================================================================
graded         points; where they are no whole numbers, all of them in tenths or hundredths of a point
rejected       0 of what the rubric has, with the reason: the learner can mend it
not graded     no file and an exit code: Classroom 50 then shows an error, 0 of 0, and never a zero
=============  =====================================================================================
"""

import json
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from graders.faults import InfraFault, UsageError
from graders.process import run_to_end

SCHEMA_FILE = Path(__file__).with_name("classroom50.schema.json")
SCHEMA = "classroom50/result/v1"

_NEEDED = ("CLASSROOM", "ASSIGNMENT", "SUBMISSION_TAG", "COMMIT_URL", "RELEASE_URL")
_FINEST = 4
_GIT_WITHIN_S = 20.0


@dataclass(frozen=True)
class Assignment:
    """Whose submission of what it is, as Classroom 50's runner says; `submitted` is the commit's time."""

    fields: Mapping[str, str]
    submitted: datetime


def assignment_of(environment: Mapping[str, str], checkout: Path) -> Assignment:
    """What the runner says of the submission that is checked out in `checkout`.

    Raises:
        UsageError: it says nothing: this is not Classroom 50's runner.
    """
    missing = [name for name in _NEEDED if not environment.get(name)]
    if missing:
        raise UsageError(
            f"{', '.join(missing)} not set: this is not the runner of Classroom 50",
            fix="have its runner start the bundle's autograder.py",
        )
    fields = {
        "classroom": environment["CLASSROOM"],
        "assignment": environment["ASSIGNMENT"],
        "assignment_type": environment.get("ASSIGNMENT_TYPE") or "individual",
        "owner": environment.get("OWNER")
        or environment.get("USERNAME")
        or environment.get("GITHUB_ACTOR", ""),
        "submission": environment["SUBMISSION_TAG"],
        "commit": environment["COMMIT_URL"],
        "release": environment["RELEASE_URL"],
        "review": environment.get("REVIEW_URL") or environment["COMMIT_URL"],
    }
    return Assignment(fields, _committed(checkout))


def result_of(
    report: Mapping[str, Any], assignment: Assignment, *, possible: Decimal, now: datetime
) -> dict[str, Any]:
    """The result of a report of schema `kubeproof/report/v1`; `possible` is what the lab's rubric has.

    Raises:
        InfraFault: the report is not graded: there is no result that would not be read as a zero.
        UsageError: what the runner says does not fit the schema.
    """
    match report["verdict"]:
        case "graded":
            tests = list(_tests(report))
        case "rejected":
            tests = [_test("The submission can be graded", Decimal(0), possible, 1, str(report["problem"]))]
        case _:
            raise InfraFault(
                f"not graded: {report['problem']}",
                fix="run the grading again; Classroom 50 shows an error until then, and no score",
            )
    result = {
        "schema": SCHEMA,
        **assignment.fields,
        "datetime": _instant(assignment.submitted),
        "graded_at": _instant(now),
        "score": sum(test["score"] for test in tests),
        "max-score": sum(test["max-score"] for test in tests),
        "tests": tests,
    }
    problem = best_match(_validator().iter_errors(result))
    if problem is not None:
        raise UsageError(f"no result for Classroom 50: {problem.json_path}: {problem.message[:200]}")
    return result


def _tests(report: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    live = [one for one in report["criteria"] if not one["planned"]]
    points = [Decimal(str(value)) for one in live for value in (one["points"], one["earned"] or 0)]
    unit = next((10**n for n in range(_FINEST) if all(p * 10**n % 1 == 0 for p in points)), 10**_FINEST)
    outcomes = {each["check"]: each for each in report["outcomes"]}
    for one in live:
        earned = Decimal(str(one["earned"] or 0))
        lost = next(
            (
                outcomes[name]
                for name in one["checks"]
                if name in outcomes and outcomes[name]["status"] != "passed"
            ),
            None,
        )
        told = "" if lost is None else " ".join(f"{lost['observed']} {lost['hint']}".split())
        name = one["title"] or one["id"]
        yield _test(name, earned, Decimal(str(one["points"])), unit, told, one["status"])


def _test(
    name: str, earned: Decimal, points: Decimal, unit: int, message: str, status: str = "failed"
) -> dict[str, Any]:
    test: dict[str, Any] = {
        "test-name": name,
        # What this cluster cannot show costs nothing, and is nothing to mend.
        "passed": earned == points,
        "score": int(earned * unit),
        "max-score": int(points * unit),
        "status": status,
    }
    return test | ({"message": message[:2000]} if message else {})


def _committed(checkout: Path) -> datetime:
    """When the commit in `checkout` was made; now where there is none to ask."""
    try:
        ask = ["git", "-c", "safe.directory=*", "-C", str(checkout), "log", "-1", "--format=%ct"]
        code, said, _ = run_to_end(ask, timeout_s=_GIT_WITHIN_S)
        if code == 0:
            return datetime.fromtimestamp(int(said), UTC)
    except (OSError, ValueError, OverflowError, subprocess.TimeoutExpired):
        pass
    return datetime.now(UTC)


def _instant(t: datetime) -> str:
    return t.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@cache
def _validator() -> Draft202012Validator:
    return Draft202012Validator(json.loads(SCHEMA_FILE.read_text(encoding="utf-8")))
