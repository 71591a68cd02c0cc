"""`autograding.json`: what the reporter of GitHub Classroom reads, for repositories that still have it.

It adds up a score twice: the sum of `tests[].score`, and passed tests over all tests, times `max_score`.
With tests of unequal weight the two disagree, so here each is worth one point: a criterion of four points is
four tests. Where points are no whole numbers, or too many, a test is one per cent of the total, which is
rounded down, and each criterion has its share of them. Both sums are then the same number.

It has no way to say "not graded": an error counts as a zero. So a report that is not graded gives no file.
"""

import json
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from graders.evidence.bundle import Bundle
from graders.model import CriterionScore, GradeReport, Outcome, Status, Verdict
from graders.reports.places import places_in
from graders.reports.text import clean, one_line
from graders.reports.withheld import for_learners

LIMIT = 128 * 1024
"""Bytes that one variable of an environment may have on Linux, in which the text goes as base64."""

SCHEMA_FILE = Path(__file__).with_name("autograding.schema.json")
"""What the object keeps to."""

PER_CENT = 100
_UNITS = 300
_NAME = 70
_MESSAGE = 400


class AutogradingExporter:
    """Writes `autograding.json`."""

    name = "autograding"
    file_name = "autograding.json"

    def render(self, report: GradeReport, bundle: Bundle | None) -> str:  # noqa: ARG002 - one shape for all
        """One object on one line, in ASCII; empty for a report that is not graded."""
        document = document_of(for_learners(report))
        if document is None:
            return ""
        text = json.dumps(document, separators=(",", ":"))
        if len(text) * 4 > LIMIT * 3 - 64:
            for test in document["tests"]:
                test["message"] = test["message"][:40]
            text = json.dumps(document, separators=(",", ":"))
        return text + "\n"


def document_of(report: GradeReport) -> dict[str, Any] | None:
    """The object; None where the verdict is not one that this format can tell."""
    if report.verdict is Verdict.REJECTED:
        place = next(places_in(report.problem), None)
        test = _test("the submission can be graded", passed=False, message=report.problem)
        test |= {"score": 0, "filename": place.path if place else "", "line_no": place.line if place else 0}
        return {"version": 1, "status": "fail", "max_score": PER_CENT, "tests": [test]}
    score = report.score
    if report.verdict is not Verdict.GRADED or score is None or score.total is None or not score.possible:
        return None
    live = [one for one in score.criteria if not one.criterion.planned and one.points]
    units = _units(live, score.total, score.possible)
    tests = [test for one, count in zip(live, units, strict=True) for test in _tests(one, count, report)]
    status = "pass" if score.total == score.possible else "fail"
    return {"version": 1, "status": status, "max_score": len(tests), "tests": tests}


def _units(live: Sequence[CriterionScore], total: Decimal, possible: Decimal) -> list[int]:
    """How many tests each criterion becomes: its points, or its share of a hundred.

    The shares of those that passed add up to the per cent that were earned, rounded down.
    """
    if possible <= _UNITS and all(one.points == one.points.to_integral_value() for one in live):
        return [int(one.points) for one in live]
    earned = int(PER_CENT * total / possible)
    passed = _spread(earned, [one.points if one.status is Status.PASSED else Decimal(0) for one in live])
    lost = _spread(
        PER_CENT - earned, [one.points if one.status is not Status.PASSED else Decimal(0) for one in live]
    )
    return [sum(pair) for pair in zip(passed, lost, strict=True)]


def _spread(amount: int, weights: Sequence[Decimal]) -> list[int]:
    """`amount` in proportion to `weights`; what is left over goes to the largest remainders."""
    total = sum(weights)
    if not total:
        return [0] * len(weights)
    shares = [divmod(amount * weight, total) for weight in weights]
    left = amount - int(sum(share for share, _ in shares))
    first = sorted(range(len(weights)), key=lambda place: -shares[place][1])[:left]
    return [int(share) + (place in first) for place, (share, _) in enumerate(shares)]


def _tests(one: CriterionScore, count: int, report: GradeReport) -> Iterator[dict[str, Any]]:
    passed = one.status is Status.PASSED
    lost = next(
        (each for each in report.outcomes
         if each.check_id in one.criterion.checks and each.status is not Status.PASSED), None,
    )  # fmt: skip
    title = one_line(one.criterion.title or one.criterion.id, _NAME)
    for number in range(1, count + 1):
        name = f"{title} ({number} of {count})" if count > 1 else title
        # What was seen is told once; the other tests of a criterion only point to it.
        message = "" if passed else _told(lost) if number == 1 and lost else f"see {title} (1 of {count})"
        place = next(places_in(lost.observed), None) if lost is not None and number == 1 else None
        where = {"filename": place.path if place else "", "line_no": place.line if place else 0}
        yield _test(name, passed=passed, message=message) | where


def _told(outcome: Outcome) -> str:
    told = (("expected", outcome.expected), ("seen", outcome.observed), ("next step", outcome.hint))
    return "\n".join(f"{label}: {one_line(text, _MESSAGE)}" for label, text in told if text)


def _test(name: str, *, passed: bool, message: str) -> dict[str, Any]:
    return {
        "name": name,
        "status": "pass" if passed else "fail",
        "score": 1 if passed else 0,
        "message": clean(message, 3 * _MESSAGE),
        "test_code": "",
        "duration": 0,
    }
