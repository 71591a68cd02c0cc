"""The self-test: every solution of a lab, graded, judged from its kept record, or taken from the ledger."""

import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from decimal import Decimal
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from graders.clusters.registry import provider_named
from graders.course import Lab, load_course
from graders.evidence.bundle import Bundle
from graders.faults import KubeproofError, UsageError
from graders.gradekey import GradeKey, grade_key
from graders.gradingprocess import GradingProcesses, grading_processes
from graders.judgement import judge_bundle
from graders.model import Status
from graders.outfolder import OutFolder
from graders.ownership import OwnedFolder
from graders.progress import Progress
from graders.reports import REPORTS, write_reports
from graders.selftest.cases import Case, cases_of, expect_a_flaw_for_every_criterion, names_of
from graders.selftest.ledger import PROVIDER, Ledger, load_ledger
from graders.selftest.plan import Lanes, Plan, Trust, by_lane, expected_s, plan
from graders.selftest.recordings import Recordings
from graders.selftest.rows import SolutionRow, Source, row_of
from graders.submissions.load import digest_of

LOGS = "logs"
"""The folder, beside those of the solutions, for what gradings printed."""

_OVER_TIME_S = 120.0
"""A grading that takes longer than was thought is let go on so long after the end, and then left unproven."""


@dataclass(frozen=True)
class SelfTest:
    """What to test, and how.

    `only` are names of solutions, none all. `jobs` whole gradings run side by side. `focus` grades a flaw
    that is not known for what it must lose alone, `flaw_jobs` at a time. `again` counts no kept record.
    `trust` relies on the ledger; `writes_ledger` notes in it what was proven, row by row. `out` takes the
    reports.
    """

    lab: Lab
    out: Path
    provider: str = PROVIDER
    only: tuple[str, ...] = ()
    focus: bool = False
    again: bool = False
    jobs: int = 1
    flaw_jobs: int = 1
    trust: Trust | None = None
    writes_ledger: bool = False


def at_once(*, focus: bool = False) -> int:
    """How many gradings this machine has room for: a whole one keeps a processor and a half busy.

    More would not be over sooner, and what they time would be worth less. One with `focus` mostly waits.
    """
    cores = os.cpu_count() or 1
    return cores if focus else max(1, cores // 2)


def run_selftest(test: SelfTest, progress: Progress) -> list[SolutionRow]:
    """Have a row for each solution of the lab: references, starter, the flawed, the sound.

    Raises:
        CourseError: a live criterion has no flawed solution, a patch does not fit, the ledger is none.
        UsageError: `only` names none, or `out` holds what is not ours.
    """
    lab = test.lab
    expect_a_flaw_for_every_criterion(lab)
    if unknown := [name for name in test.only if name not in names_of(lab)]:
        raise UsageError(
            f"lab {lab.id} has no solution {', '.join(unknown)}",
            fix=f"there are: {', '.join(names_of(lab))}",
        )
    results = OutFolder(test.out)
    results.check()
    results.begin()
    with OwnedFolder("selftest", lab.id) as scratch:
        cases = list(cases_of(lab, scratch.path, focus=test.focus, only=test.only))
        recordings, ledger = Recordings(lab.id), load_ledger(lab.solutions)
        # Of whole gradings: one of a few checks is neither kept nor noted.
        keys = {case.name: grade_key(lab, lab.rubric, digest_of(case.root), test.provider) for case in cases}
        planned = plan(cases, keys, recordings, ledger, again=test.again, trust=test.trust)
        found: dict[str, SolutionRow] = {}
        for row in _rows(test, planned, keys, recordings, ledger, progress):
            found[row.name] = row
            if test.writes_ledger:
                ledger = ledger.with_rows([row], keys, names_of(lab))
                ledger.write()
        recordings.prune()
        return [found[case.name] for case in cases]


def _rows(
    test: SelfTest,
    planned: Plan,
    keys: Mapping[str, GradeKey],
    recordings: Recordings,
    ledger: Ledger,
    progress: Progress,
) -> Iterator[SolutionRow]:
    """The rows as they come: what is known first."""
    for case in planned.proven:
        entry = ledger.proof(case.name, keys[case.name])
        assert entry is not None
        yield entry.row(case)
    live = list(planned.live)
    for case, row in _judged(test, planned.kept, keys, recordings, progress):
        if row is None or row.percent is None:
            # What could not be judged is recorded anew.
            recordings.forget(keys[case.name].record)
            live.append(case)
        else:
            yield _held_against(ledger, keys[case.name], row)

    def known(case: Case) -> SolutionRow | None:
        """The row to make do with where there is no time; None where there is."""
        if test.trust is None or test.trust.has_time_for(expected_s(case, ledger)):
            return None
        entry = ledger.proof(case.name, keys[case.name])
        return entry.row(case) if entry is not None else _unproven(case)

    for row in _graded(test, live, keys, recordings, known, progress):
        yield _held_against(ledger, keys[row.name], row)


def _held_against(ledger: Ledger, key: GradeKey, row: SolutionRow) -> SolutionRow:
    """The row, with a problem of its own if the ledger says otherwise under the very same key."""
    entry = ledger.proof(row.name, key)
    if entry is None or row.percent is None or not row.ok:
        return row
    unlike = [
        f"{check} {row.statuses.get(check, 'absent')} and not {status}"
        for check, status in entry.outcomes.items()
        if row.statuses.get(check, "absent") != status
    ]
    return replace(row, problem=f"the ledger is false: {', '.join(unlike)}") if unlike else row


# --- from kept records -----------------------------------------------------------------------------


def _judged(
    test: SelfTest,
    cases: tuple[Case, ...],
    keys: Mapping[str, GradeKey],
    recordings: Recordings,
    progress: Progress,
) -> Iterator[tuple[Case, SolutionRow | None]]:
    """Each case with its row, judged from its kept record by all checks; None where that cannot be read."""
    if not cases:
        return
    there = []
    for case in cases:
        results = _emptied(test.out / case.name)
        there.append(recordings.unpack(keys[case.name].record, results.recording))
        results.replace()
    with (
        progress.task(f"judging {len(cases)} kept records of {test.lab.id}", len(cases)) as task,
        ProcessPoolExecutor(os.cpu_count() or 1, mp_context=get_context("forkserver")) as pool,
    ):
        jobs = [
            pool.submit(_judge, test.lab.id, test.out / case.name, case.only) if whole else None
            for case, whole in zip(cases, there, strict=True)
        ]
        for done, (case, job) in enumerate(zip(cases, jobs, strict=True), 1):
            report = job.result() if job is not None else None
            yield case, row_of(case, report, 0.0, Source.KEPT) if report is not None else None
            task.update(done=done)


def _judge(lab: str, folder: Path, only: tuple[str, ...]) -> dict[str, Any] | None:
    """Judge the bundle in `folder`, and give the report left beside it; None if it cannot be judged."""
    try:
        results = OutFolder(folder, REPORTS)
        report = judge_bundle(load_course().find_lab(lab), results.bundle, only=only)
        write_reports(report, Bundle(results.bundle), folder)
        results.settle(graded=True)
    except KubeproofError:
        return None
    return _report(folder)


# --- live ------------------------------------------------------------------------------------------


def _graded(
    test: SelfTest,
    cases: list[Case],
    keys: Mapping[str, GradeKey],
    recordings: Recordings,
    known: Callable[[Case], SolutionRow | None],
    progress: Progress,
) -> Iterator[SolutionRow]:
    """Grade the cases, each in a process of its own, the whole ones first; their records are kept."""
    if not cases:
        return
    title = f"self-test of {test.lab.id}: grading {len(cases)} solutions, {test.provider}"
    with (
        progress.task(title, len(cases)) as task,
        grading_processes(test.provider, progress) as grader,
    ):
        done = 0
        for part, jobs in by_lane(cases, Lanes(test.jobs, test.flaw_jobs)):
            with ThreadPoolExecutor(jobs) as pool:
                rows = pool.map(lambda case: known(case) or _grade(test, case, grader, progress), part)
                for case, row in zip(part, rows, strict=True):
                    if row.source is Source.LIVE and row.percent is not None and not case.only:
                        recordings.keep(keys[row.name].record, test.out / row.name / "bundle")
                    done += 1
                    task.update(done=done)
                    yield row


def _unproven(case: Case) -> SolutionRow:
    return SolutionRow(
        case.name, "unproven", None, (), (), case.rule, 0.0, source=Source.NONE, unproven=True
    )  # fmt: skip


def _grade(test: SelfTest, case: Case, grader: GradingProcesses, progress: Progress) -> SolutionRow:
    if case.only and case.flaw is not None:
        capabilities = provider_named(test.provider).capabilities
        if not case.expected(capabilities):
            statuses = dict.fromkeys(case.only, Status.UNSUPPORTED.value)
            return SolutionRow(
                case.name, "cannot be shown", None, (), (), case.rule, 0.0,
                statuses=statuses, source=Source.NONE,
            )  # fmt: skip
    grader.check()
    folder = _emptied(test.out / case.name).path
    arguments = [test.lab.id, str(case.root), "--out", str(folder), "--provider", test.provider]
    for name in case.only:
        arguments += ["--only", name]
    started = time.monotonic()
    logs = OutFolder(test.out / LOGS)
    logs.begin(f"{case.name}.txt")
    log = logs.path / f"{case.name}.txt"
    try:
        with progress.task(case.name):
            if test.trust is not None and math.isfinite(test.trust.until):
                grader.run(arguments, log, most_s=max(test.trust.left_s, 0.0) + _OVER_TIME_S)
            else:
                grader.run(arguments, log)
    except TimeoutError:
        return _unproven(case)
    seconds = time.monotonic() - started
    try:
        report = _report(folder)
    except (OSError, ValueError) as error:
        problem = f"no report ({error}): {log.read_text('utf-8', 'replace')[-300:]}"
        return SolutionRow(case.name, "none", None, (), (), case.rule, seconds, problem)
    return row_of(case, report, seconds)


def _emptied(folder: Path) -> OutFolder:
    """`folder` as one for results, with nothing in it that tells of an earlier grading."""
    results = OutFolder(folder, REPORTS)
    results.begin()
    results.discard()
    results.set_aside()
    return results


def _report(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        (folder / "report.json").read_text(encoding="utf-8"), parse_float=Decimal
    )
    return found
