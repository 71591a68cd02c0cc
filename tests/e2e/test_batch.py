"""A class graded with one command, whatever happens on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from contextlib import nullcontext
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from graders.batch.executor import Batch
from graders.batch.run import How, run_batch
from graders.cli.classbook import class_of, gradebook_of
from graders.cohort.final import FinalState
from graders.faults import InfraFault
from graders.gradebook.model import GradeState
from graders.model import Verdict
from graders.paths import COURSE as NAMED
from graders.paths import REPOSITORY
from graders.progress import Silent
from graders.site import build_site
from graders.store import GradeStore, NewGrade, StoredGrade, open_store
from tests.e2e.classes import COURSE, class_of_essays, command, enrolled, essay_batch, gradebook_at, kubeproof
from tests.unit.postgres_server import running_server

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

KILLS = 2


@pytest.fixture
def class_of_six(tmp_path: Path) -> Path:
    return class_of_essays(tmp_path / "submissions", whole=("ada", "eve"), begun="bob")


@pytest.fixture
def batch(class_of_six: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Batch:
    monkeypatch.setenv(NAMED, str(COURSE))
    return essay_batch(class_of_six, tmp_path / "results")


def test_a_class_is_graded_and_a_second_time_nobody(class_of_six: Path, tmp_path: Path) -> None:
    first = kubeproof(tmp_path, class_of_six)
    assert first.returncode == 0, first.stdout + first.stderr
    assert "4 graded, 2 rejected" in first.stdout
    assert 'the key "lab" is' in first.stdout
    made = sorted(tmp_path.glob("results/essay/*/*"))
    assert len(made) == 6
    second = kubeproof(tmp_path, class_of_six)
    assert second.returncode == 0
    assert "grading" not in second.stderr
    assert sorted(tmp_path.glob("results/essay/*/*")) == made
    assert gradebook_at(tmp_path / "class.db")["ada"] == ("graded", "2")


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_killed_on_the_way_it_goes_on_and_the_gradebook_is_the_same(
    kind: str, class_of_six: Path, tmp_path: Path
) -> None:
    with running_server() if kind == "postgresql" else nullcontext() as server:
        killed_on_the_way(server.url() if server else str(tmp_path / "killed.db"), class_of_six, tmp_path)


def killed_on_the_way(url: str, class_of_six: Path, tmp_path: Path) -> None:
    for number in range(KILLS):
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        arguments = command(class_of_six, "--store", url, "--results", tmp_path / "killed")
        with subprocess.Popen(
            arguments, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            until_kept(tmp_path / "killed", 2 * number + 1)
            process.send_signal(signal.SIGKILL)
    last = kubeproof(tmp_path, class_of_six, "--store", url, "--results", tmp_path / "killed")
    assert last.returncode == 0, last.stdout + last.stderr
    undisturbed = kubeproof(tmp_path, class_of_six, "--store", "whole.db", "--results", tmp_path / "whole")
    assert undisturbed.returncode == 0
    assert gradebook_at(url) == gradebook_at(tmp_path / "whole.db")
    assert not list(tmp_path.glob("killed/essay/*/.grading"))


def until_kept(results: Path, count: int) -> None:
    """Wait until so many gradings have left results."""
    deadline = time.monotonic() + 120
    while len(list(results.glob("essay/*/*-1"))) < count:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_what_belongs_to_nobody_is_told_before_anything_starts(class_of_six: Path, tmp_path: Path) -> None:
    roster = tmp_path / "roster.csv"
    roster.write_text("learner_id\nada\nbob\ncyd\ndan\neve\n")
    done = kubeproof(tmp_path, class_of_six, "--roster", roster)
    assert done.returncode == 2
    assert "fay.zip: belongs to nobody on the roster" in done.stderr
    assert not (tmp_path / "results").exists()
    assert gradebook_at(tmp_path / "class.db") == {}


def test_what_hangs_is_ended_and_is_not_graded_until_somebody_says_so(batch: Batch, tmp_path: Path) -> None:
    only_ada = replace(batch, hand_ins=batch.hand_ins[:1])
    with open_store(tmp_path / "class.db") as store:
        enrolled(store, batch)
        (row,) = run_batch(replace(only_ada, most_s=0.0), store, Silent())
        assert row.open
        assert row.problem == "the harness hung: the grading did not end within 0 s"
        assert store.final("ada", "essay").state is FinalState.UNGRADED
        (again,) = run_batch(only_ada, store, Silent())
        assert (again.how, again.open) == (How.KEPT, True)
        (retried,) = run_batch(replace(only_ada, retry_ungraded=True), store, Silent())
        assert (retried.how, retried.open) == (How.GRADED, False)
        assert store.final("ada", "essay").state is FinalState.GRADED


class _GoneOnce(GradeStore):
    """A store whose database is away when the first grade is to be kept."""

    def save(self, grade: NewGrade) -> StoredGrade:
        raise InfraFault("the database is gone")


def test_a_store_that_goes_away_costs_no_second_grading(batch: Batch, tmp_path: Path) -> None:
    with open_store(tmp_path / "class.db") as store:
        enrolled(store, batch)
        gone = _GoneOnce(store._database)
        with pytest.raises(InfraFault, match="the database is gone"):
            run_batch(replace(batch, jobs=1), gone, Silent())
        kept = sorted(batch.results.glob("*/*"))
        assert kept
        rows = run_batch(batch, store, Silent())
        assert [row.open for row in rows] == [False] * 6
        assert set(kept) < set(batch.results.glob("*/*"))
        assert len(list(batch.results.glob("ada/*"))) == 1


def test_what_is_in_the_store_is_what_gradebooks_and_the_site_show(batch: Batch, tmp_path: Path) -> None:
    url = tmp_path / "class.db"
    with open_store(url) as store:
        enrolled(store, batch)
        run_batch(batch, store, Silent())
        store.override("bob", "essay", Decimal(1), possible=Decimal(2), author="kim", reason="seen in person")
    book = gradebook_of(str(url))
    (lab,) = book.labs
    found = {learner.learner_id: book.grade(learner, lab) for learner in book.learners}
    assert {name: (one.state, one.points) for name, one in found.items()} == {
        "ada": (GradeState.GRADED, Decimal(2)),
        "bob": (GradeState.GRADED, Decimal(1)),
        "cyd": (GradeState.GRADED, Decimal(2)),
        "dan": (GradeState.REJECTED, None),
        "eve": (GradeState.GRADED, Decimal(2)),
        "fay": (GradeState.REJECTED, None),
    }
    assert [one.change for one in found["bob"].adjustments] == [Decimal(1)]
    assert {loss.check for loss in found["bob"].losses}
    assert "the key" in found["dan"].problem
    model = class_of(str(url), {"essay": tmp_path / "submissions"})
    assert model.sources["essay"].handed_in.keys() == {"ada", "bob", "cyd", "dan", "eve"}
    files = build_site(model, tmp_path / "site")
    page = (tmp_path / "site" / "index.html").read_text()
    assert "ada" in page
    assert len(files) > len(found)


def test_another_rubric_is_told_and_nobody_is_graded_again(batch: Batch, tmp_path: Path) -> None:
    with open_store(tmp_path / "class.db") as store:
        enrolled(store, batch)
        run_batch(batch, store, Silent())
        rubric = replace(batch.lab.rubric, sha256="another")
        rows = run_batch(replace(batch, lab=replace(batch.lab, rubric=rubric)), store, Silent())
        assert {row.how for row in rows} == {How.STALE}


def test_a_grade_has_the_digest_of_its_bundle_and_its_report(batch: Batch, tmp_path: Path) -> None:
    with open_store(tmp_path / "class.db") as store:
        enrolled(store, batch)
        run_batch(replace(batch, hand_ins=batch.hand_ins[:1]), store, Silent())
        found = store.latest("ada", "essay")
        assert found is not None
        assert found.verdict is Verdict.GRADED
        assert found.bundle is not None
        assert found.bundle_digest
        report = json.loads((found.bundle.parent / "report.json").read_text())
        assert store.report(found.id)["submission"] == report["submission"]
