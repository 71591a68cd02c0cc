"""`parquet`: the whole gradebook as one Parquet table with exact decimals, for pandas, Polars, DuckDB or R.

Needs pyarrow, which is the extra `parquet`.
"""

import importlib
import io
from decimal import Decimal
from typing import Any

from graders.faults import UsageError
from graders.gradebook.exporter import Exported, ExportOptions
from graders.gradebook.matching import stop
from graders.gradebook.model import GradebookModel, LabGrade
from graders.reports.text import clean

DIGITS, PLACES = 38, 12
"""Precision and scale of points: what decimal128 holds."""


class ParquetGrades:
    """Writes `grades.parquet`: a row for each learner and lab, with criteria and adjustments nested."""

    name = "parquet"
    about = "Parquet: everything in one table with exact decimals (pip install 'kubeproof[parquet]')"
    many = False
    one_lab = False

    def render(self, model: GradebookModel, options: ExportOptions) -> Exported:  # noqa: ARG002
        """The table; see `GradeExporter`."""
        arrow, writer = _pyarrow()
        stop(
            [one.learner_id for one in model.grades if any(not _fits(value) for value in _numbers(one))],
            f"have points of more than {PLACES} decimal places",
            "export them as csv, which keeps any number of digits",
        )
        rows = [
            {
                "course": clean(model.course),
                "learner_id": learner.learner_id,
                "last_name": clean(learner.last_name),
                "first_name": clean(learner.first_name),
                "email": clean(learner.email),
                "section": clean(learner.section),
                "lab": lab.lab,
                "state": grade.state.value,
                "points": grade.points,
                "possible": lab.possible if grade.possible is None else grade.possible,
                "problem": clean(grade.problem),
                "submitted_at": grade.submitted_at,
                "graded_at": grade.graded_at,
                "digest": grade.digest,
                "adjustments": [
                    {
                        "kind": one.kind.value,
                        "change": one.change,
                        "reason": clean(one.reason),
                        "author": clean(one.author),
                    }
                    for one in grade.adjustments
                ],
                "criteria": [
                    {
                        "id": one.id,
                        "title": clean(one.title),
                        "group": one.group,
                        "status": one.status.value,
                        "earned": one.earned,
                        "points": one.points,
                    }
                    for one in grade.criteria
                ],
            }
            for learner, lab, grade in model.rows()
        ]
        sink = io.BytesIO()
        writer.write_table(arrow.Table.from_pylist(rows, schema=_schema(arrow)), sink)
        return Exported({"grades.parquet": sink.getvalue()})


def _pyarrow() -> tuple[Any, Any]:
    try:
        return importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise UsageError(
            "Parquet needs pyarrow, which is not installed here", fix="pip install 'kubeproof[parquet]'"
        ) from error


def _schema(arrow: Any) -> Any:
    text, points, at = arrow.string(), arrow.decimal128(DIGITS, PLACES), arrow.timestamp("us", tz="UTC")
    names = ("course", "learner_id", "last_name", "first_name", "email", "section", "lab", "state")
    adjustment = arrow.struct([("kind", text), ("change", points), ("reason", text), ("author", text)])
    criterion = arrow.struct(
        [
            ("id", text),
            ("title", text),
            ("group", text),
            ("status", text),
            ("earned", points),
            ("points", points),
        ]
    )
    return arrow.schema(
        [
            *((name, text) for name in names),
            *(("points", points), ("possible", points), ("problem", text)),
            *(("submitted_at", at), ("graded_at", at), ("digest", text)),
            *(("adjustments", arrow.list_(adjustment)), ("criteria", arrow.list_(criterion))),
        ]
    )


def _numbers(grade: LabGrade) -> list[Decimal]:
    found = [grade.points, grade.possible, *(one.change for one in grade.adjustments)]
    for criterion in grade.criteria:
        found += [criterion.earned, criterion.points]
    return [value for value in found if value is not None]


def _fits(value: Decimal) -> bool:
    exponent = value.as_tuple().exponent
    return isinstance(exponent, int) and -exponent <= PLACES and value.adjusted() < DIGITS - PLACES
