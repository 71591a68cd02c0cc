"""Measures second thoughts about a class: its records judged again, its points scored again, its site."""

import dataclasses
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from graders.benchmarks.classes import processors_s
from graders.benchmarks.grades import record_of_reference
from graders.cohort.roster import Roster
from graders.course import Lab
from graders.evidence.digest import bundle_digest
from graders.faults import InfraFault
from graders.gradekey import GradeKey, judge_key, score_key
from graders.judgement import judge_bundle
from graders.model import Rubric
from graders.ownership import OwnedFolder
from graders.progress import Progress
from graders.rescoring.again import score_again
from graders.selftest.cases import cases_of
from graders.store import GradeStore, NewGrade, open_store

MOST_JUDGING_S = 180.0
MOST_SCORING_S = 30.0
MOST_PAGE_S = 2.0
"""What each is meant to stay under, with three hundred learners on two cores."""

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_LEAVES_FREE = 2**30
_SCRAPES = "scrapes.jsonl"


@dataclass(frozen=True)
class TimedCommand:
    """One command over the store of a class: its seconds, those of all processors meanwhile, and the bar."""

    what: str
    seconds: float
    cpu_s: float
    most_s: float | None = None

    def as_json(self) -> dict[str, object]:
        """For `--json`."""
        return {
            "what": self.what,
            "seconds": round(self.seconds, 2),
            "cpu_s": round(self.cpu_s, 2),
            "meant_s": self.most_s,
        }


def measure_second_thoughts(lab: Lab, size: int, progress: Progress) -> tuple[TimedCommand, ...]:
    """Run `kubeproof rescore` and `kubeproof site` on a class of `size`, each learner with a record.

    They are copies of a record of the reference, each with other scrapes of its metrics cut out: judging one
    takes as long as judging what a learner's run left.

    Raises:
        InfraFault: a command fails or does not do what it is measured for, or the disk has no room.
    """
    with OwnedFolder("bench", "rescore") as owned:
        folder = owned.path
        record = record_of_reference(lab, folder / "record", progress)
        expect_room(folder, record, size)
        with progress.task(f"making a class of {size}"):
            _make_class(lab, record, size, folder)
        found = []
        with progress.task(f"judging {size} records again"):
            found.append(_rescored(folder, f"{size} judged again", "rescore, checks changed", MOST_JUDGING_S))
        _as_if_by_another_rubric(lab, folder)
        with progress.task(f"scoring {size} grades again"):
            told = f"{size} scored again"
            found.append(_rescored(folder, told, "rescore, rubric changed", MOST_SCORING_S))
        with progress.task(f"making the site of {size}"):
            handed_in = f"{lab.id}={folder / 'submissions'}"
            site = ("site", "class.db", "--out", "site", "--submissions", handed_in)
            found.append(_timed("site, from the store", _kubeproof(*site), folder))
        browser = next(filter(None, map(shutil.which, _BROWSERS)), None)
        if browser is not None:
            with progress.task("opening its first page"):
                shown = _opened(browser, folder / "site" / "index.html", folder)
                found.append(dataclasses.replace(shown, most_s=MOST_PAGE_S))
        return tuple(found)


def expect_room(folder: Path, record: Path, size: int) -> None:
    """See that `size` copies of a record have room in `folder`.

    Raises:
        InfraFault: they have not.
    """
    needed = size * sum(path.stat().st_size for path in record.rglob("*") if path.is_file())
    free = shutil.disk_usage(folder).free
    if free < needed + _LEAVES_FREE:
        raise InfraFault(
            f"{size} records take {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free in {folder}",
            fix="free some space, or set KUBEPROOF_STATE to a folder on another disk, or --stored lower",
        )


def _make_class(lab: Lab, record: Path, size: int, folder: Path) -> None:
    """A store with a grade for everybody by checks that are not today's, and what everybody handed in."""
    names = [f"learner-{number:03}" for number in range(size)]
    report = judge_bundle(lab, record)
    before = GradeKey("record", "checks of another day", score_key(lab.rubric))
    dice = random.Random(size)  # noqa: S311  (no secret)
    grades = []
    for name in names:
        bundle = folder / "results" / name / "bundle"
        shutil.copytree(record, bundle)
        cut_out(bundle, dice)
        digest = bundle_digest(bundle)
        grade = NewGrade.of(report, learner_id=name, key=before, bundle=record, bundle_digest=digest)
        grades.append(dataclasses.replace(grade, bundle=bundle))
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        solutions = [case.root for case in cases_of(lab, Path(scratch), focus=False)]
        for name, solution in zip(names, islice(cycle(solutions), size), strict=True):
            shutil.copytree(solution, folder / "submissions" / name)
    with open_store(folder / "class.db") as store:
        store.enrol(Roster.of_ids(names))
        store.save_all(grades)


def cut_out(bundle: Path, dice: random.Random) -> None:
    """Take some scrapes out of a record, so that no two are the same."""
    lines = (bundle / _SCRAPES).read_bytes().splitlines(keepends=True)
    kept = [line for line in lines if dice.random() < 0.7]
    (bundle / _SCRAPES).write_bytes(b"".join(kept))
    manifest: dict[str, Any] = json.loads((bundle / "manifest.json").read_bytes())
    manifest["records"][_SCRAPES] = len(kept)
    (bundle / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")


def _as_if_by_another_rubric(lab: Lab, folder: Path) -> None:
    """Let all grades be by a rubric in which every other criterion weighs a point more."""
    other = dataclasses.replace(lab, rubric=_reweighed(lab.rubric))
    with open_store(folder / "class.db", create=False) as store:
        store.save_all(_scored_by(other, store))


def _reweighed(rubric: Rubric) -> Rubric:
    criteria = tuple(
        dataclasses.replace(each, points=each.points + number % 2 * Decimal(1))
        for number, each in enumerate(rubric.criteria)
    )
    return dataclasses.replace(rubric, criteria=criteria, version="of another day", sha256="0" * 64)


def _scored_by(lab: Lab, store: GradeStore) -> Sequence[NewGrade]:
    held = store.grades()
    reports = store.reports(grade.id for grade in held)
    judge, score = judge_key(lab.id), score_key(lab.rubric)
    return [
        score_again(lab, grade, reports[grade.id], GradeKey(grade.key.record, judge, score)) for grade in held
    ]


def _rescored(folder: Path, told: str, what: str, most_s: float) -> TimedCommand:
    timed = _timed(what, _kubeproof("rescore", "class.db", "--yes"), folder)
    said = (folder / "said.txt").read_text("utf-8", "replace")
    if told not in said or "UNGRADED" in said or not said.rstrip().endswith("written"):
        raise InfraFault(f"the class was not {told}: {said[-500:]}")
    return dataclasses.replace(timed, most_s=most_s)


def _kubeproof(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "graders", *arguments]


def _opened(browser: str, page: Path, folder: Path) -> TimedCommand:
    """Start a browser with a page, until all of the page is there."""
    command = [
        browser, "--headless", "--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND",
        f"--user-data-dir={folder / 'profile'}", "--dump-dom", page.as_uri(),
    ]  # fmt: skip
    _timed("a first start of the browser", [*command[:-1], "about:blank"], folder)
    return _timed("site, its first page in Chromium", command, folder)


def _timed(what: str, command: Sequence[str], folder: Path) -> TimedCommand:
    """Run a command in `folder`; what it prints is in `said.txt` there.

    Raises:
        InfraFault: it fails.
    """
    with (folder / "said.txt").open("wb") as said:
        busy, began = processors_s(), time.monotonic()
        ended = subprocess.run(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT, check=False
        )
        seconds, worked = time.monotonic() - began, processors_s() - busy
    if ended.returncode != 0:
        text = (folder / "said.txt").read_text("utf-8", "replace")
        raise InfraFault(f"{' '.join(command)} ended with {ended.returncode}: {text[-500:]}")
    return TimedCommand(what, seconds, worked)
