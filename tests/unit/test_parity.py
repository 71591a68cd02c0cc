"""How the self-tests of several providers are held against each other."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from typer.testing import CliRunner

from graders.cli import app
from graders.parity import compare
from graders.selftest import SelfTest, SolutionRow


def row(name: str, lost: tuple[str, ...] = (), **statuses: str) -> SolutionRow:
    named = {check.replace("_", "-"): status for check, status in statuses.items()}
    return SolutionRow(name, "graded", Decimal(100), lost, lost, "exactly these", 1.0, "", named)


def test_the_same_everywhere_is_no_difference() -> None:
    rows = [row("untyped", ("code-quality",), code_quality="failed", scaling="passed")]
    parity = compare({"embedded": rows, "kind": rows})
    assert parity.differences == ()
    assert parity.compared("untyped") == 2


def test_a_check_that_ends_differently_is_named_with_both_endings() -> None:
    parity = compare({"embedded": [row("a", scaling="passed")], "kind": [row("a", scaling="failed")]})
    assert [str(d) for d in parity.differences] == ["a: scaling passed on embedded, failed on kind"]


def test_what_one_cannot_show_is_left_aside() -> None:
    parity = compare(
        {
            "embedded": [row("a", scaling="passed", in_cluster="unsupported")],
            "kind": [row("a", scaling="passed", in_cluster="failed")],
        }
    )
    assert parity.differences == ()
    assert parity.compared("a") == 1


@pytest.mark.parametrize("status", ["passed", "failed", "blocked", "error"])
def test_what_was_judged_on_one_alone_is_a_difference(status: str) -> None:
    parity = compare({"embedded": [row("a", scaling=status)], "kind": [row("a")]})
    assert [d.statuses for d in parity.differences] == [{"embedded": status, "kind": "absent"}]


def test_a_solution_that_one_did_not_run_differs_in_every_check() -> None:
    parity = compare({"embedded": [row("a", scaling="passed")], "kind": []})
    assert len(parity.differences) == 1
    assert parity.compared("a") == 0
    assert "| a | loses nothing | not run | 0 | scaling |" in parity.markdown()


def test_the_table_has_a_row_for_each_solution() -> None:
    rows = [row("reference", scaling="passed"), row("never-shrinks", ("scaling",), scaling="failed")]
    table = compare({"embedded": rows, "kind": rows}).markdown().splitlines()
    assert table[0] == "| solution | embedded | kind | checks compared | differences |"
    assert table[2] == "| reference | loses nothing | loses nothing | 1 | none |"
    assert table[3] == "| never-shrinks | loses scaling | loses scaling | 1 | none |"


def test_the_page_says_how_much_was_compared_and_what_came_of_it() -> None:
    some, others = row("a", scaling="passed", retries="passed"), row("a", scaling="failed", retries="passed")
    page = compare({"embedded": [some], "kind": [others]}).page("lab1", focus=True)
    assert page.startswith("# lab1: embedded and kind beside each other\n")
    assert "`kubeproof selftest lab1 --focus --provider embedded --provider kind --table FILE`" in page
    assert "1 solutions, 2 checks compared, 1 different.\n\n| solution |" in page


def test_the_command_fails_on_a_difference_and_writes_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from graders.cli import selftest as command

    def run(test: SelfTest, _: object) -> list[SolutionRow]:
        assert test.out == tmp_path / test.provider
        return [row("a", scaling="passed" if test.provider == "embedded" else "failed")]

    monkeypatch.setattr(command, "run_selftest", run)
    monkeypatch.setenv("COLUMNS", "200")
    table = tmp_path / "parity.md"
    arguments = ["selftest", "lab1", "--provider", "embedded", "--provider", "kind", "--out", str(tmp_path)]
    done = CliRunner().invoke(app, [*arguments, "--table", str(table)])
    assert done.exit_code == 1
    assert "a: scaling passed on embedded, failed on kind" in done.output
    assert "2 passed, 1 failed" in done.output
    assert "| a |" in table.read_text()


def test_a_table_of_one_provider_is_refused(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["selftest", "lab1", "--table", str(tmp_path / "parity.md")])
    assert done.exit_code != 0
    assert "give --provider twice" in str(done.exception)


def test_a_self_test_in_somebodys_cluster_is_refused() -> None:
    done = CliRunner().invoke(app, ["selftest", "lab1", "--provider", "existing"])
    assert done.exit_code != 0
    assert "takes one grading at a time" in str(done.exception)
