"""`report.json` follows its schema, tells nothing graded from zero, and keeps staff's matters out."""

import dataclasses
import json
from decimal import Decimal
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from graders.faults import UsageError
from graders.model import Score, Verdict
from graders.reports.report_json import SCHEMA_FILE, JsonExporter, load_report, report_document
from tests.unit.synthetic_report import REPORTS, graded, rejected, ungraded


def written(folder: Path, text: str) -> Path:
    path = folder / "report.json"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_schema_is_a_valid_schema_and_describes_every_field() -> None:
    schema = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))

    Draft202012Validator.check_schema(schema)
    for part in (schema, *schema["$defs"].values()):
        assert part["additionalProperties"] is False
        assert set(part["required"]) == set(part["properties"])
        assert all(field.get("description") for field in part["properties"].values())


@pytest.mark.parametrize("verdict", REPORTS)
def test_every_verdict_can_be_written_and_read_back(verdict: str, tmp_path: Path) -> None:
    report = REPORTS[verdict]()

    data = load_report(written(tmp_path, JsonExporter().render(report, None)))

    assert data["verdict"] == verdict
    assert data == report_document(report)


def test_points_are_numbers_with_the_digits_of_the_decimals() -> None:
    text = JsonExporter().render(graded(), None)

    assert '"total": 8.85,' in text
    assert '"possible": 15.85,' in text
    assert '"percent": 55.84,' in text
    assert '"points": 4,' in text


def test_planned_criteria_are_listed_and_earn_nothing_yet() -> None:
    planned = [one for one in report_document(graded())["criteria"] if one["planned"]]

    assert [one["id"] for one in planned] == ["leader", "gang"]
    assert all(one["earned"] is None and one["status"] == "planned" for one in planned)


def test_what_was_not_graded_is_null_and_never_zero() -> None:
    data = report_document(ungraded())

    assert data["total"] is None
    assert data["percent"] is None
    earned = {one["id"]: one["earned"] for one in data["criteria"]}
    assert earned["suspend"] is None
    assert earned["retries"] == 0


def test_an_ungraded_report_has_no_total_even_if_a_score_came_along() -> None:
    data = report_document(dataclasses.replace(graded(), verdict=Verdict.UNGRADED))

    assert data["total"] is None
    assert data["problem"] == "some checks could not be graded; their outcomes say why"


def test_a_rejected_report_says_why_and_lists_nothing() -> None:
    data = report_document(rejected())

    assert "did you mean command?" in data["problem"]
    assert (data["total"], data["possible"], data["criteria"], data["outcomes"]) == (None, None, [], [])


def test_tracebacks_are_not_in_it() -> None:
    assert "secret-of-the-check" not in JsonExporter().render(ungraded(), None)


def test_the_hint_of_a_hidden_criterion_is_withheld() -> None:
    report = graded()
    assert report.score
    hidden = tuple(
        dataclasses.replace(one, criterion=dataclasses.replace(one.criterion, visibility="hidden"))
        for one in report.score.criteria
    )
    score = dataclasses.replace(report.score, criteria=hidden)

    shown = {
        one["check"]: one for one in report_document(dataclasses.replace(report, score=score))["outcomes"]
    }

    assert shown["retries"]["hint"] == ""
    assert shown["retries"]["observed"]


def test_nothing_possible_has_no_percentage() -> None:
    empty = Score((), Decimal(0), Decimal(0))

    data = report_document(dataclasses.replace(graded(), score=empty, outcomes=()))

    assert (data["total"], data["percent"]) == (0, None)


def test_loading_names_the_file_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"report\.json: there is no report here\n  fix: name the report\.json"
    ):
        load_report(tmp_path / "report.json")
    with pytest.raises(UsageError, match=r"report\.json: the report is not JSON"):
        load_report(written(tmp_path, "{"))
    with pytest.raises(UsageError, match=r"report\.json: the report is not JSON"):
        load_report(written(tmp_path, "[" * 100_000))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"verdict": "splendid"}, r"\$\.verdict"),
        ({"total": "8.85"}, r"\$\.total"),
        ({"total": None}, r"\$\.total"),
        ({"extra": 1}, r"'extra' was unexpected"),
        ({"schema": "kubeproof/report/v9"}, r"\$\.schema"),
    ],
)
def test_loading_refuses_what_is_no_such_report(
    change: dict[str, object], complaint: str, tmp_path: Path
) -> None:
    path = written(tmp_path, json.dumps(report_document(graded()) | change))

    with pytest.raises(UsageError, match=complaint) as refused:
        load_report(path)
    assert "kubeproof judge BUNDLE" in str(refused.value)
