"""The terminal shows verdict, points and what to do next, on narrow and on plain terminals too."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from graders.model import GradeReport
from graders.reports.terminal import print_report
from tests.unit.synthetic_report import REPORTS, graded, rejected, ungraded


def printed(report: GradeReport, width: int = 80, encoding: str = "utf-8", **files: Path) -> str:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    print_report(report, Console(file=stream, width=width), files)
    stream.flush()
    return raw.getvalue().decode(encoding)


def test_the_score_stands_at_the_top() -> None:
    assert "8.85 of 15.85 points   55.84 %" in "\n".join(printed(graded()).splitlines()[:5])


def test_each_criterion_has_its_result_in_a_word_and_its_points() -> None:
    lines = printed(graded()).splitlines()

    (retries,) = [line for line in lines if "  retries  " in line]
    assert "✗ failed" in retries
    assert retries.rstrip().endswith("0 / 4")
    (pods,) = [line for line in lines if "  creates-pods  " in line]
    assert "✓ passed" in pods
    assert pods.rstrip().endswith("6.5 / 6.5")


def test_a_loss_tells_expected_seen_measured_and_next_step() -> None:
    text = " ".join(printed(graded()).split())

    assert "retries · −4 points" in text
    assert "expected two re-creations after three failures, then Failed" in text
    assert "seen a third re-creation of flaky-2" in text
    assert "measured recreations = 3" in text
    assert "next step Keep the count in status.restarts" in text


def test_blocked_unsupported_and_planned_are_explained() -> None:
    text = " ".join(printed(graded()).split())

    assert "Mend that first" in text
    assert "neither earned nor cost anything" in text
    assert "2 more (7.5 points) are planned and count for nothing yet: leader, gang" in text
    assert "warning: graded without a sandbox" in text
    assert "note: in-cluster cannot be shown on embedded" in text


def test_a_fault_of_others_is_called_that_and_no_score_is_shown() -> None:
    text = " ".join(printed(ungraded()).split())

    assert "Not graded: something failed that is not yours" in text
    assert text.count("It is not your fault and costs no points") == 2
    assert "secret-of-the-check" not in text
    assert "%" not in text


def test_a_rejection_shows_the_place_and_the_fix() -> None:
    text = printed(rejected())

    assert "submission.yaml:7: operator.comand" in text
    assert "fix: did you mean command?" in text


def test_time_and_files_close_the_report() -> None:
    long = Path("/a/very/long/folder" * 8) / "report.json"
    lines = printed(graded(), json=long).splitlines()

    assert "scenario 15.4 s" in lines[-2]
    assert lines[-1] == f"json  {long}"


@pytest.mark.parametrize("verdict", REPORTS)
@pytest.mark.parametrize("width", [30, 44, 80, 200])
def test_it_fits_the_width_of_the_terminal(verdict: str, width: int) -> None:
    assert max(map(len, printed(REPORTS[verdict](), width).splitlines())) <= width


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_without_unicode_gets_plain_signs(encoding: str) -> None:
    text = printed(graded(), encoding=encoding)

    assert "x failed" in text
    assert "+ passed" in text
