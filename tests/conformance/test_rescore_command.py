"""`kubeproof enrol`, `rescore`, `override` and `history`, as an instructor types them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import Result

from graders.faults import UsageError
from graders.gradekey import GradeKey
from graders.model import GradeReport, Verdict
from graders.paths import REPOSITORY
from graders.store import NewGrade, open_store
from tests.unit.essay_record import COURSE, essay_record
from tests.unit.typed_here import typed_here

pytestmark = pytest.mark.processes

ESSAYS = {
    "ada": "etcd " + "word " * 60,
    "bob": "etcd and little else",
    "cyn": "word " * 60,
    "dan": "etcd bomb " + "word " * 60,
}
ROSTER = "learner_id,name,excused\nada,Ada,\nbob,Bob,\ncyn,=1+1,\ndan,Dan,\neve,Eve,essay\n"


class Class:
    """A course of essays, and a store with a record for each learner that nobody has judged yet."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.course = shutil.copytree(COURSE, folder / "course")
        self.store = folder / "class.db"
        (folder / "roster.csv").write_text(ROSTER)
        (folder / "course.yaml").write_text("time_zone: UTC\nlabs:\n  essay: {due: 2026-10-12}\n")
        self.enrolled = self.here(
            "enrol", self.store, "--roster", folder / "roster.csv", "--policy", folder / "course.yaml"
        )
        with open_store(self.store, create=False) as store:
            for learner, text in ESSAYS.items():
                store.save(_unjudged(learner, essay_record(folder / "bundles" / learner, text, learner)))

    def here(self, *arguments: str | Path) -> Result:
        """The command in this process, which is sooner done; nothing of the course stays in it."""
        return typed_here(self.course, *arguments)

    def answering(self, answer: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """The command at a terminal, where somebody types an answer."""
        keyboard, terminal = os.openpty()
        try:
            os.write(keyboard, answer.encode())
            return self.kubeproof(*arguments, stdin=terminal)
        finally:
            os.close(keyboard)
            os.close(terminal)

    def kubeproof(
        self, *arguments: str | Path, stdin: int = subprocess.DEVNULL
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "graders", "--course", self.course, *arguments],
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY), "COLUMNS": "200"},
            stdin=stdin,
            capture_output=True,
            text=True,
            check=False,
        )

    def change(self, name: str, before: str, after: str) -> None:
        path = self.course / name
        text = path.read_text()
        assert before in text
        path.write_text(text.replace(before, after))

    def points(self) -> dict[str, Decimal | None]:
        with open_store(self.store, create=False) as store:
            return {learner: final.points for (learner, _), final in store.finals().items()}


def _unjudged(learner: str, bundle: Path) -> NewGrade:
    report = GradeReport(
        "essay", Verdict.UNGRADED, {"digest": f"sha256:{learner}"}, (), None, {}, problem="nobody judged it"
    )
    key = GradeKey(f"record of {learner}", "none", "none")
    return NewGrade.of(report, learner_id=learner, key=key, bundle=bundle)


@pytest.fixture(scope="module")
def essays(tmp_path_factory: pytest.TempPathFactory) -> Class:
    return Class(tmp_path_factory.mktemp("class"))


def said(done: subprocess.CompletedProcess[str] | Result) -> str:
    """What was printed, in single spaces and without the lines of a table."""
    return " ".join(re.sub(r"[┃│┏┓┗┛━┡┩└┘─┴┬┼├┤╇┳┻╈]", " ", done.stdout).split())


def test_a_class_is_taken_in(essays: Class) -> None:
    assert essays.enrolled.exit_code == 0, essays.enrolled.output
    assert essays.enrolled.stdout == "5 learners; essay due 2026-10-12 23:59 UTC\n"


def test_second_thoughts_from_first_to_last(essays: Class) -> None:
    at_last = ("rescore", essays.store, "--author", "E. Noether", "--reason", "at last")
    declined = essays.answering("n\n", *at_last)
    assert declined.returncode == 0, declined.stderr
    assert "Write this? [y/N]" in declined.stderr
    assert "nothing was written" in declined.stdout
    assert set(essays.points().values()) == {None}
    first = essays.answering("y\n", *at_last)
    assert first.returncode == 0, first.stderr
    assert essays.points() == {"ada": 2, "bob": 1, "cyn": 1, "dan": 2, "eve": None}

    # A rubric changes: what would be is shown.
    essays.change(
        "rubrics/essay.yaml",
        "group: all, points: 1}\n  - {id: subject",
        "group: all, points: 1.5}\n  - {id: subject",
    )
    essays.change("rubrics/essay.yaml", "etcd, group: all, points: 1}", "etcd, group: all, points: 0.5}")
    shown = essays.here("rescore", essays.store, "--dry-run")
    assert shown.exit_code == 0, shown.output
    assert "bob essay 1/2 0.5/2 -0.5 1 → 0.5 −0.5 subject: worth 0.5, was 1" in said(shown)
    assert "cyn essay 1/2 1.5/2 +0.5 1 → 1.5 +0.5 length: worth 1.5, was 1" in said(shown)
    assert "ada" not in shown.stdout
    assert "4 scored again from stored outcomes; 1 gain, 1 lose, 2 keep" in shown.stdout
    assert "nothing was written" in shown.stdout
    assert essays.points()["bob"] == 1

    # A person decides, and stays decided.
    by = ("--author", "E. Noether", "--reason", "appeal 12")
    decided = essays.here("override", essays.store, "BOB", "essay", "--points", "1.75", *by)
    assert decided.exit_code == 0, decided.output
    assert decided.stdout.splitlines()[0] == "bob, essay: 1.75 of 2, was 1 of 2"
    assert decided.stdout.splitlines()[-1] == "  set to 1.75 by E. Noether: appeal 12 (else 1)"

    # A check changes: one learner's record kills whoever judges it, another's was tampered with.
    essays.change("graders/essay/checks/essay.py", "if words < 50:", "if words < 3:")
    essays.change(
        "graders/essay/checks/essay.py",
        '    if not any("etcd"',
        '    if any(word == "bomb" for page in bundle.records(Page) for word in page.words):\n'
        '        __import__("os").kill(__import__("os").getpid(), 9)\n'
        '    if not any("etcd"',
    )
    pages = essays.folder / "bundles" / "cyn" / "pages.jsonl"
    pages.write_text(pages.read_text().replace('"word"', '"etcd"', 1))
    judged = essays.kubeproof("rescore", essays.store, "--yes", "--lab", "essay", "--jobs", "2")
    assert judged.returncode == 3, judged.stderr
    text = said(judged)
    assert "bob essay 1/2 2/2 +1 1.75 +1.5 length: passed, was failed (4 words)" in text
    assert "set to 1.75 by E. Noether: appeal 12 (else 2)" in text
    assert "cyn essay 1/2 ungraded 1 → ungraded ungraded: the bundle" in text
    assert "was changed after it was stored: it is evidence no longer" in text
    assert "dan essay 2/2 ungraded 2 → ungraded ungraded: grader: judging it ended the process" in text
    assert "2 UNGRADED: written" in judged.stdout
    assert essays.points() == {"ada": 2, "bob": Decimal("1.75"), "cyn": None, "dan": None, "eve": None}

    # What was decided can be taken back.
    lifted = essays.here("override", essays.store, "bob", "essay", "--lift", *by)
    assert lifted.stdout.splitlines()[0] == "bob, essay: 2 of 2, was 1.75 of 2"

    # All of it is in the history.
    told = essays.here("history", essays.store, "bob")
    assert told.exit_code == 0, told.output
    assert re.search(
        r"bob essay graded ungraded kubeproof .*bob essay rescored 1 E\. Noether at last", said(told)
    )
    assert re.search(r"bob essay overridden 1\.75 E\. Noether appeal 12", said(told))
    assert re.search(
        r"bob essay rescored 1 → 2 \w+ essay by rubric 1; judged again by today's checks", said(told)
    )


def test_a_roster_with_a_mistake_is_taken_in_by_nobody(essays: Class, tmp_path: Path) -> None:
    """It names file, line and fix, and the class stays as it was."""
    roster = tmp_path / "roster.csv"
    roster.write_text("learner_id,extension:essay\nzoe,\nada,2026-02-30\n")
    with open_store(essays.store, create=False) as store:
        before = store.roster(everybody=True)
    ran = essays.here("enrol", essays.store, "--roster", roster)
    assert isinstance(ran.exception, UsageError)
    assert str(ran.exception).startswith(f'{roster}:3: extension:essay: "2026-02-30" is no date')
    assert "fix: write a date" in str(ran.exception)
    with open_store(essays.store, create=False) as store:
        assert store.roster(everybody=True) == before


BY = ("--author", "a", "--reason", "b")
OVERRIDE = ("override", "STORE", "ada", "essay")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ("rescore", "nowhere.db", "--dry-run"),
            "nowhere.db: there is no store here\n  fix: `kubeproof batch`",
        ),
        (("override", "STORE", "ade", "essay", "--points", "1", *BY), "fix: did you mean ada"),
        ((*OVERRIDE, *BY), "fix: give --points, or --lift"),
        ((*OVERRIDE, "--points", "one", *BY), "--points 'one' is no number"),
        ((*OVERRIDE, "--points", "1.0000001", *BY), "--points '1.0000001' has more than 6 decimals"),
        ((*OVERRIDE, "--points", "2.01", *BY), "fix: give a number from 0 to 2"),
        ((*OVERRIDE, "--points", "1", "--author", "a", "--reason", " "), "--reason says nothing"),
        (("rescore", "STORE"), "there is no terminal to ask on\n  fix: say --yes to write"),
        (("enrol", "STORE"), "fix: give --roster, --policy or both"),
    ],
)
def test_a_command_that_cannot_be_meant_is_told(essays: Class, arguments: tuple[str, ...], told: str) -> None:
    ran = essays.here(*(str(essays.store) if each == "STORE" else each for each in arguments))
    assert isinstance(ran.exception, UsageError)
    assert told in str(ran.exception)
