"""What is said to GitHub's runner stays one value, whatever is in it."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graders.faults import UsageError
from graders.github.publish import SHOWN, published
from graders.github.runner import SUMMARY_LIMIT, RunnerFiles, command, runner_files
from graders.reports import write_reports
from tests.unit.action_steps import _read
from tests.unit.synthetic_report import graded, rejected, ungraded

HERE = PurePosixPath(".")


def test_a_command_escapes_what_would_end_it() -> None:
    line = command("failure", "50 %\n::warning::forged", title="a: b, c", file="x,y:z.py", line=3)
    assert line == "::error file=x%2Cy%3Az.py,line=3,title=a%3A b%2C c::50 %25%0A::warning::forged"


@given(st.text(), st.text())
def test_whatever_is_in_them_a_command_is_one_line(message: str, title: str) -> None:
    line = command("notice", message, title=title)
    assert not {"\n", "\r"} & set(line)
    assert line.startswith("::notice")


def test_a_line_without_a_file_is_left_out() -> None:
    assert command("warning", "m", line=3) == "::warning::m"


@given(st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\r")))
def test_an_output_is_read_back_as_it_was(value: str) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        files = RunnerFiles(Path(folder, "out"), Path(folder, "sum"))
        files.write_outputs({"a": value, "b": "2"})
        text = files.output.read_text(encoding="utf-8")
        end = text.partition("<<")[2].partition("\n")[0]
        assert text.startswith(f"a<<{end}\n{value}\n{end}\nb<<")


def test_an_output_cannot_make_another_one(tmp_path: Path) -> None:
    files = RunnerFiles(tmp_path / "out", tmp_path / "sum")
    files.write_outputs({"verdict": "x\nscore=100\nEOF\nscore<<EOF\n100\nEOF"})
    assert set(_read(files.output.read_text())) == {"verdict"}


def test_a_summary_that_github_would_refuse_is_not_written(tmp_path: Path) -> None:
    files = RunnerFiles(tmp_path / "out", tmp_path / "sum")
    files.write_summary("x" * (SUMMARY_LIMIT + 1))
    assert not files.summary.exists()


def test_outside_of_a_workflow_it_says_so() -> None:
    with pytest.raises(
        UsageError, match=r"GITHUB_OUTPUT is not set: this is no step of a GitHub workflow\n  fix"
    ):
        runner_files({})


# --- publishing ------------------------------------------------------------------------------------


def test_no_report_is_not_graded_and_no_zero(tmp_path: Path) -> None:
    found = published(tmp_path, submission=HERE, workspace=tmp_path)
    assert (found.outputs["verdict"], found.outputs["score"], found.outputs["result"]) == ("ungraded", "", "")
    assert "no zero" in found.lines[0]


@pytest.mark.parametrize(
    "text",
    [
        '{"score": 100}',
        "not json",
        '{"schema": "kubeproof/report/v1", "verdict": "graded", "total": 100}',
        "",
    ],
)
def test_a_score_file_that_somebody_else_wrote_is_no_score(text: str, tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text(text)
    found = published(tmp_path, submission=HERE, workspace=tmp_path)
    assert (found.outputs["verdict"], found.outputs["score"]) == ("ungraded", "")
    assert found.lines[0].startswith("::error title=kubeproof%3A not graded::")


def test_a_report_that_is_not_graded_has_no_score(tmp_path: Path) -> None:
    write_reports(ungraded(), None, tmp_path)
    found = published(tmp_path, submission=HERE, workspace=tmp_path)
    assert (found.outputs["verdict"], found.outputs["score"], found.outputs["result"]) == ("ungraded", "", "")
    assert any(line.startswith("::warning") for line in found.lines)


def test_points_keep_their_decimals(tmp_path: Path) -> None:
    write_reports(graded(), None, tmp_path)
    outputs = published(tmp_path, submission=HERE, workspace=tmp_path).outputs
    assert (outputs["score"], outputs["possible"], outputs["percent"]) == ("8.85", "15.85", "55.84")


def test_a_line_is_named_where_the_workspace_has_the_file(tmp_path: Path) -> None:
    out, workspace = tmp_path / "out", tmp_path / "workspace"
    write_reports(rejected(), None, out)
    (workspace / "operator").mkdir(parents=True)
    assert "file=" not in published(out, submission=PurePosixPath("operator"), workspace=workspace).lines[0]
    (workspace / "operator" / "submission.yaml").write_text("")
    (line,) = published(out, submission=PurePosixPath("operator"), workspace=workspace).lines
    assert line.startswith(
        "::error file=operator/submission.yaml,line=7,title=kubeproof%3A The submission is rejected::"
    )


def test_no_more_is_printed_than_github_shows(tmp_path: Path) -> None:
    write_reports(graded(), None, tmp_path)
    one = {"level": "failure", "title": "t", "message": "m", "path": None, "line": None}
    document = {"schema": "kubeproof/annotations/v1", "annotations": [one] * 40}
    (tmp_path / "annotations.json").write_text(json.dumps(document))
    assert len(published(tmp_path, submission=HERE, workspace=tmp_path).lines) == SHOWN
