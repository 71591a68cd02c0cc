"""Judging within a process that has other things to do: threads, Ctrl-C, a report on its output."""

from __future__ import annotations

import os
import sys
import textwrap
import threading
import warnings
from pathlib import Path

import pytest

from graders.evidence.bundle import Bundle, BundleWriter
from graders.evidence.manifest import BundleManifest
from graders.evidence.records import Mark
from graders.judging import judge
from graders.model import Outcome, Status


def record(folder: Path, *, marks: int = 0) -> Bundle:
    writer = BundleWriter(folder)
    for place in range(marks):
        writer.add(Mark(float(place), "lifecycle", "mark"))
    words = (
        "run_id",
        "created_at",
        "provider",
        "sandbox",
        "kubeproof_version",
    )
    writer.close(
        BundleManifest(
            lab="lab1",
            seed=1,
            capabilities=(),
            submission={},
            tracks={},
            **dict.fromkeys(words, ""),
        )
    )
    return Bundle(folder)


class Course:
    """A folder of checks written for one test, and a bundle to judge by them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.checks = folder / "checks"
        self.checks.mkdir()

    def module(self, source: str) -> None:
        (self.checks / "some.py").write_text("from graders.judging import check\n" + textwrap.dedent(source))

    def judge(self, bundle: Bundle | None = None) -> dict[str, Outcome]:
        bundle = bundle or record(self.folder / "bundle")
        return {outcome.check_id: outcome for outcome in judge(bundle, lab="lab1", folder=self.checks)}


@pytest.fixture
def course(tmp_path: Path) -> Course:
    return Course(tmp_path)


def test_an_interrupt_is_no_result(course: Course) -> None:
    course.module("""
        @check("a")
        def check_a():
            '''A.'''
            raise KeyboardInterrupt
    """)
    with pytest.raises(KeyboardInterrupt):
        course.judge()


def test_judging_leaves_the_process_as_it_was(course: Course, capsys: pytest.CaptureFixture[str]) -> None:
    course.module("""
        import warnings

        @check("a")
        def check_a(bundle):
            '''A.'''
            print("a thing an author left in")
            warnings.warn("old", DeprecationWarning)
    """)
    before, path, here = dict(os.environ), list(sys.path), Path.cwd()
    filters = list(warnings.filters)
    first = course.judge()
    second = judge(Bundle(course.folder / "bundle"), lab="lab1", folder=course.checks)
    assert [outcome.status for outcome in (*first.values(), *second)] == [Status.PASSED, Status.PASSED]
    assert dict(os.environ) == before
    assert (sys.path, Path.cwd(), warnings.filters) == (path, here, filters)
    assert capsys.readouterr().out == ""


def test_files_around_the_checks_are_not_read(course: Course, tmp_path: Path) -> None:
    course.module("""
        @check("a")
        def check_a():
            '''A.'''
    """)
    beside = course.checks / "drafts"
    beside.mkdir()
    for folder in (tmp_path.parent, tmp_path, beside):
        (folder / "test_stray.py").write_text("raise SystemExit('a stray file was read')\n")
    (course.checks / "_test.py").write_text("raise SystemExit('a private file was read')\n")
    assert course.judge()["a"].status is Status.PASSED


def test_two_threads_judge_one_after_the_other(course: Course, tmp_path: Path) -> None:
    course.module("""
        @check("a")
        def check_a(bundle, facts):
            '''A.'''
            facts["marks"] = len(bundle.marks)
    """)
    seen: dict[int, object] = {}

    def run(marks: int) -> None:
        bundle = record(tmp_path / f"b{marks}", marks=marks)
        seen[marks] = course.judge(bundle)["a"].facts["marks"]

    threads = [threading.Thread(target=run, args=(marks,)) for marks in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {1: 1, 2: 2, 3: 3, 4: 4}
