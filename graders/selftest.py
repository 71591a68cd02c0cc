"""Tests a rubric with solutions: what is sound must earn all, what is flawed lose exactly what it should."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from graders.clusters.registry import provider_named
from graders.course import PATCH, Expected, Lab, apply_patch
from graders.faults import CourseError, UsageError
from graders.gradingprocess import GradingProcesses, grading_processes
from graders.model import Status
from graders.ownership import OwnedFolder
from graders.paths import REPOSITORY
from graders.progress import Progress
from graders.submissions.load import digest_of

STARTER_BELOW = Decimal(15)
"""Per cent that a starter must stay under."""
MADE_FROM = "made-from.txt"
"""Beside a report: what it was made from, so that a later self-test can tell if it still stands."""


@dataclass(frozen=True)
class Case:
    """One solution to grade: a folder, and the rule its losses are held against.

    `flaw` says what it must lose, None nothing. `only` are the checks to run, none all.
    """

    name: str
    root: Path
    rule: str
    flaw: Expected | None = None
    only: tuple[str, ...] = ()

    def expected(self, capabilities: Iterable[str]) -> tuple[str, ...]:
        """What it must lose on a cluster that has these capabilities."""
        return self.flaw.losses(capabilities) if self.flaw is not None else ()


@dataclass(frozen=True)
class Row:
    """How one solution did; `problem` is empty when it lost what it should and nothing else."""

    name: str
    verdict: str
    percent: Decimal | None
    expected: tuple[str, ...]
    lost: tuple[str, ...]
    rule: str
    seconds: float
    problem: str = ""
    statuses: Mapping[str, str] = field(default_factory=dict)
    """How each check that was judged ended, by its id."""

    @property
    def ok(self) -> bool:
        """Whether nothing was wrong."""
        return not self.problem


def at_once(*, focus: bool = False) -> int:
    """How many gradings this machine has room for: a whole one keeps a processor and a half busy.

    More would not be over sooner, and what they time would be worth less. One with `focus` mostly waits.
    """
    cores = os.cpu_count() or 1
    return cores if focus else max(1, cores // 2)


def run_selftest(
    lab: Lab,
    *,
    focus: bool,
    jobs: int,
    only: tuple[str, ...],
    out: Path,
    progress: Progress,
    provider: str,
    resume: bool = False,
) -> list[Row]:
    """Grade all solutions of a lab on clusters of `provider`, `jobs` at a time, each in a process of its own.

    With `resume`, a report in `out` stands if the same grader made it from the same solution and rubric.

    Raises:
        CourseError: a live criterion has no flawed solution. UsageError: `only` names none.
    """
    _every_criterion_has_a_flaw(lab)
    with OwnedFolder("selftest", lab.id) as scratch:
        cases = [case for case in _cases(lab, scratch.path, focus=focus) if not only or case.name in only]
        if not cases:
            raise UsageError(
                f"lab {lab.id} has no solution {', '.join(only)}",
                fix=f"there are: {', '.join(_names(lab))}",
            )
        with (
            progress.task(f"self-test of {lab.id}: {len(cases)} solutions, {provider}", len(cases)) as task,
            grading_processes(provider, progress) as grader,
            ThreadPoolExecutor(jobs) as pool,
        ):
            rows = []
            for row in pool.map(
                lambda case: _row(lab, case, provider, out, progress, grader, resume=resume), cases
            ):
                rows.append(row)
                task.update(done=len(rows))
            return rows


def overlay(reference: Path, expected: Expected, destination: Path) -> Path:
    """The changed solution as a whole: a copy of the reference without what it removes, and then patched.

    Raises:
        CourseError: its patch does not fit the reference. InfraFault: there is no git on this machine.
    """
    shutil.copytree(reference, destination, ignore=shutil.ignore_patterns("__pycache__", ".*_cache"))
    for path in expected.remove:
        shutil.rmtree(destination / path)
    patch = expected.folder / PATCH
    if patch.exists():
        apply_patch(patch, destination)
    return destination


def _names(lab: Lab) -> list[str]:
    return [
        *(path.name for path in lab.references),
        "starter",
        *(each.name for each in (*lab.flawed, *lab.sound)),
    ]


def _cases(lab: Lab, scratch: Path, *, focus: bool) -> Iterator[Case]:
    for reference in lab.references:
        yield Case(reference.name, reference, "nothing")
    yield Case("starter", lab.folder / "starter", f"all but {STARTER_BELOW} %")
    checks = {criterion.id: criterion.checks for criterion in lab.rubric.criteria}
    for expected in (*lab.flawed, *lab.sound):
        root = overlay(lab.solutions / expected.base, expected, scratch / expected.name)
        behind = tuple(name for lost in expected.everything for name in checks[lost])
        only = behind if focus and not expected.whole else ()
        yield Case(expected.name, root, "exactly these", expected, only)


def _row(
    lab: Lab,
    case: Case,
    provider: str,
    out: Path,
    progress: Progress,
    grader: GradingProcesses,
    *,
    resume: bool,
) -> Row:
    if case.only and case.flaw is not None and not case.expected(provider_named(provider).capabilities):
        statuses = dict.fromkeys(case.only, Status.UNSUPPORTED.value)
        return Row(case.name, "cannot be shown", None, (), (), case.rule, 0.0, statuses=statuses)
    folder, made_from = out / case.name, _made_from(lab, case, provider)
    kept = _kept(case, folder, made_from) if resume else None
    if kept is not None:
        return kept
    grader.check()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with progress.task(case.name):
        row = _grade(lab, case, provider, folder, grader)
    if row.percent is not None:
        (folder / MADE_FROM).write_text(made_from, encoding="utf-8")
    return row


def _kept(case: Case, folder: Path, made_from: str) -> Row | None:
    """What the report in `folder` says, if it was made from just this."""
    try:
        if (folder / MADE_FROM).read_text(encoding="utf-8") != made_from:
            return None
        report = _report(folder)
    except (OSError, ValueError):
        return None
    return _compare(case, report, float(report["timing"].get("total", 0)))


def _grade(lab: Lab, case: Case, provider: str, folder: Path, grader: GradingProcesses) -> Row:
    arguments = [lab.id, str(case.root), "--out", str(folder), "--provider", provider]
    for name in case.only:
        arguments += ["--only", name]
    started = time.monotonic()
    log = folder / "log.txt"
    grader.run(arguments, log)
    seconds = time.monotonic() - started
    try:
        report = _report(folder)
    except (OSError, ValueError) as error:
        problem = f"no report ({error}): {log.read_text('utf-8', 'replace')[-300:]}"
        return Row(case.name, "none", None, (), (), case.rule, seconds, problem)
    return _compare(case, report, seconds)


def _report(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        (folder / "report.json").read_text(encoding="utf-8"), parse_float=Decimal
    )
    return found


def _made_from(lab: Lab, case: Case, provider: str) -> str:
    """All that a report follows from: what was asked, grader, rubrics, lab and solution."""
    folders = (REPOSITORY / "graders", REPOSITORY / "rubrics", lab.folder, case.root)
    return "\n".join([lab.id, provider, *case.only, *map(digest_of, folders)])


def _compare(case: Case, report: dict[str, Any], seconds: float) -> Row:
    lost = tuple(
        criterion["id"]
        for criterion in report["criteria"]
        if not criterion["planned"]
        and criterion["earned"] is not None
        and criterion["earned"] < criterion["points"]
    )
    percent = Decimal(report["percent"]) if report["percent"] is not None else None
    expected = case.expected(report["provenance"].get("capabilities", ()))
    return Row(
        case.name, report["verdict"], percent, expected, lost, case.rule, seconds,
        _problem(case, report, expected, lost, percent),
        {outcome["check"]: outcome["status"] for outcome in report["outcomes"]},
    )  # fmt: skip


def _problem(
    case: Case,
    report: dict[str, Any],
    expected: tuple[str, ...],
    lost: tuple[str, ...],
    percent: Decimal | None,
) -> str:
    if report["verdict"] != "graded" or percent is None:
        return f"{report['verdict']}: {report['problem']}"[:400]
    if case.name == "starter":
        return "" if percent < STARTER_BELOW else f"{percent} % is not below {STARTER_BELOW} %"
    surplus, missing = sorted(set(lost) - set(expected)), sorted(set(expected) - set(lost))
    words = []
    if surplus:
        words.append(f"surplus loss of {', '.join(surplus)}")
    if missing:
        words.append(f"did not lose {', '.join(missing)}")
    return "; ".join(words)


def _every_criterion_has_a_flaw(lab: Lab) -> None:
    covered = {name for expected in lab.flawed for name in expected.everything}
    for criterion in lab.rubric.criteria:
        if not criterion.planned and criterion.id not in covered:
            raise CourseError(
                f"no flawed solution loses {criterion.id}",
                file=f"rubrics/{lab.id}.yaml",
                fix=f"write one under solutions/{lab.id}/flawed/ that loses exactly it",
            )
