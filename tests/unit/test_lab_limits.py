"""The limits in a lab's text are those that are enforced."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from graders.course import load_course
from graders.course.limits import BEGIN, END, main, readme_of, render, updated
from graders.faults import CourseError
from graders.sandbox.protocol import Limits
from graders.submissions.limits import SubmissionLimits


@pytest.mark.parametrize("slug", load_course().slugs)
def test_the_text_says_what_holds(slug: str) -> None:
    lab = load_course().lab(slug)
    text = readme_of(lab).read_text("utf-8")
    assert updated(text, render(lab), file=readme_of(lab)) == text, (
        f"run: python -m graders.course.limits {slug}"
    )


def test_a_limit_that_changes_changes_the_text() -> None:
    lab = load_course().lab("lab1")
    other = replace(lab, program_limits=replace(lab.program_limits, memory_bytes=3 * 1024**3, cpu_s=90.0))
    assert "| memory, with its children | 3 GiB |" in render(other)
    assert "| CPU time | 90 s |" in render(other)


def test_every_limit_of_a_sandbox_that_a_lab_sets_is_told() -> None:
    """What is added to the limits has to be told, too: this names those that are, or need not be."""
    told = {"memory_bytes", "cpu_s", "wall_s", "pids", "tmp_bytes", "file_bytes", "log_bytes"}
    never_met_first = {"data_bytes", "open_files", "work_bytes"}
    assert set(vars(Limits())) == told | never_met_first
    assert set(vars(load_course().lab("lab1").program_limits)) == told
    untold = {"skipped", "unpacked_bytes"}
    assert set(vars(SubmissionLimits())) - untold == {
        "files", "file_bytes", "total_bytes", "depth", "name_bytes", "archive_bytes"
    }  # fmt: skip


def test_it_is_put_between_its_marks_and_nowhere_else(tmp_path: Path) -> None:
    text = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    assert updated(text, "new\n", file=tmp_path) == f"before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"
    for without in ("before\n", f"{BEGIN}\nold\n", f"old\n{END}\n"):
        with pytest.raises(CourseError, match="has no place for limits"):
            updated(without, "new\n", file=tmp_path)


def test_the_command_changes_nothing_where_all_is_told() -> None:
    file = readme_of(load_course().lab("lab1"))
    before = file.read_bytes()
    main(["lab1"])
    assert file.read_bytes() == before
