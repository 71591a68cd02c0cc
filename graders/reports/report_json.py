"""`report.json`: the report for other systems, by the JSON Schema `report.schema.json` beside this module.

Points are JSON numbers with the decimal's own digits. `earned` and `total` are null where nothing was
graded: a reader that wants a zero has to write it down itself.
"""

from __future__ import annotations

import json
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graders.evidence.bundle import Bundle
from graders.faults import UsageError
from graders.model import CriterionScore, GradeReport, Outcome, Verdict
from graders.reports.critical import Step, critical_path
from graders.reports.text import clean, number, one_line, plain
from graders.reports.withheld import for_learners

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator

_UNSAID = {
    Verdict.GRADED: "",
    Verdict.UNGRADED: "some checks could not be graded; their outcomes say why",
    Verdict.REJECTED: "the submission cannot be graded as it is",
}
SCHEMA_FILE = Path(__file__).with_name("report.schema.json")


class JsonExporter:
    """Writes `report.json`."""

    name = "json"
    file_name = "report.json"

    def render(self, report: GradeReport, bundle: Bundle | None) -> str:
        """ASCII only, so that the file is safe to print as it is."""
        return json.dumps(report_document(report, bundle), indent=2, allow_nan=False) + "\n"


def report_document(report: GradeReport, bundle: Bundle | None = None) -> dict[str, Any]:
    """The report as data of schema `kubeproof/report/v1`; what learners must not read is left out."""
    report = for_learners(report)
    score = report.score
    graded = score is not None and report.verdict is Verdict.GRADED
    return {
        "schema": report.schema,
        "lab": clean(report.lab),
        "verdict": report.verdict.value,
        "problem": clean(report.problem) or _UNSAID[report.verdict],
        "total": _points(score.total) if score and graded else None,
        "possible": _points(score.possible) if score else None,
        "percent": _points(score.percent) if score and graded else None,
        "criteria": [_criterion(one) for one in score.criteria] if score else [],
        "outcomes": [_outcome(outcome) for outcome in report.outcomes],
        "notes": [clean(note) for note in score.notes] if score else [],
        "warnings": [clean(warning) for warning in report.warnings],
        "submission": plain(report.submission),
        "provenance": plain(report.provenance),
        "timing": {clean(name, 200): round(float(seconds), 6) for name, seconds in report.timing.items()},
        "critical_path": [_step(step) for step in critical_path(report, bundle)],
    }


def load_report(path: Path) -> dict[str, Any]:
    """Read a `report.json` and hold it against the schema.

    Raises:
        UsageError: there is no such file, it is not JSON, or it is not a report of this schema.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise UsageError(
            "there is no report here", file=path, fix="name the report.json of an earlier grading"
        ) from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"the report is not JSON: {error}", file=path) from error
    from jsonschema.exceptions import best_match  # noqa: PLC0415  (who writes reports need not wait for it)

    problem = best_match(_validator().iter_errors(data))
    if problem is not None:
        raise UsageError(
            f"this is not a kubeproof/report/v1: {problem.json_path}: {one_line(problem.message)}",
            file=path,
            fix="write it anew from its bundle: kubeproof judge BUNDLE",
        )
    return dict(data)


@cache
def _validator() -> Draft202012Validator:
    from jsonschema import Draft202012Validator  # noqa: PLC0415

    return Draft202012Validator(json.loads(SCHEMA_FILE.read_text(encoding="utf-8")))


def _points(value: Decimal | None) -> int | float | None:
    return None if value is None else number(value)


def _step(step: Step) -> dict[str, Any]:
    return {
        "start_s": round(step.start, 3),
        "end_s": round(step.end, 3),
        "track": clean(step.track),
        "kind": step.kind,
        "what": clean(step.what),
    }


def _criterion(one: CriterionScore) -> dict[str, Any]:
    criterion = one.criterion
    return {
        "id": clean(criterion.id),
        "title": clean(criterion.title),
        "group": clean(criterion.group),
        "points": number(criterion.points if criterion.planned else one.points),
        "earned": None if criterion.planned else _points(one.earned),
        "status": "planned" if criterion.planned else one.status.value,
        "checks": [clean(check) for check in criterion.checks],
        "planned": criterion.planned,
    }


def _outcome(outcome: Outcome) -> dict[str, Any]:
    return {
        "check": clean(outcome.check_id),
        "title": clean(outcome.title),
        "status": outcome.status.value,
        "expected": clean(outcome.expected),
        "observed": clean(outcome.observed),
        "facts": plain(outcome.facts),
        "hint": clean(outcome.hint),
        "fault": outcome.fault.value if outcome.fault else None,
        "duration_s": round(float(outcome.duration_s), 6),
    }
