"""A class graded by workers elsewhere: processes with nothing in common but a place for objects."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from graders.batch.distributed import DistributedExecutor, EndedIndex
from graders.batch.executor import Batch
from graders.batch.intake import hand_ins_in
from graders.batch.objects import ObjectPlace
from graders.batch.plan import BatchPlan
from graders.batch.run import BatchRow, How, run_batch
from graders.cohort import Roster
from graders.course import load_course
from graders.faults import InfraFault
from graders.model import Verdict
from graders.paths import COURSE as NAMED
from graders.paths import REPOSITORY
from graders.progress import Progress, Silent
from graders.store import GradeStore, open_store
from tests.unit.postgres_server import running_server

pytestmark = pytest.mark.timeout(600)

COURSE = REPOSITORY / "tests" / "tinycourse"
ESSAYS = COURSE / "solutions" / "essay"
EXITS = "worker exits"


@pytest.fixture
def class_of_eight(tmp_path: Path) -> Path:
    """Whole essays, as folders and packed, one that lacks something, one without a manifest, one damaged."""
    folder = tmp_path / "submissions"
    for learner in ("ada", "bob", "eve", "gil"):
        shutil.copytree(ESSAYS / "reference", folder / learner)
        (folder / learner / "more.md").write_text(f"by {learner}\n")
    shutil.copytree(COURSE / "labs" / "essay" / "starter", folder / "hal")
    shutil.make_archive(str(folder / "cyd"), "zip", ESSAYS / "reference")
    (folder / "dan").mkdir()
    (folder / "dan" / "submission.yaml").write_text("schema: x\n")
    (folder / "fay.zip").write_bytes(b"PK\x03\x04 and no more")
    return folder


@pytest.fixture
def batch(class_of_eight: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Batch:
    monkeypatch.setenv(NAMED, str(COURSE))
    return Batch(
        lab=load_course().find_lab("essay"),
        hand_ins=hand_ins_in(class_of_eight),
        results=tmp_path / "results",
        provider="embedded",
        jobs=2,
    )


@dataclass
class Processes:
    """Workers as processes, two at a time; what exits with 3 or is killed gets two more tries."""

    place: ObjectPlace
    befall: Callable[[int, subprocess.Popen[bytes]], None] = lambda index, process: None
    ended: Callable[[int], None] = lambda index: None
    began: list[int] = field(default_factory=list)
    title: str = "elsewhere"

    def at_work(self) -> Sequence[str]:
        return ()

    def work(self, plan: BatchPlan, batch: Batch, progress: Progress) -> Iterator[EndedIndex]:
        waiting, tries = list(range(len(plan.works))), dict.fromkeys(range(len(plan.works)), 3)
        while waiting:
            some = [(index, self.start(plan, index)) for index in waiting[:2]]
            for index, process in some:
                self.befall(index, process)
            for index, exit_code in [(index, process.wait(120)) for index, process in some]:
                waiting.remove(index)
                tries[index] -= 1
                if exit_code in (3, -signal.SIGKILL) and tries[index]:
                    waiting.append(index)
                else:
                    self.ended(index)
                    yield EndedIndex(index, f"{EXITS} {exit_code}: {self.log(index)}" if exit_code else "")

    def start(self, plan: BatchPlan, index: int) -> subprocess.Popen[bytes]:
        self.began.append(index)
        with self.logs(index).open("ab") as told:
            return worker(self.place.url, plan.name, index, told.fileno())

    def logs(self, index: int) -> Path:
        return Path(self.place.url.removeprefix("file://")).with_name(f"worker-{index}.log")

    def log(self, index: int) -> str:
        return self.logs(index).read_text()[-600:]


def worker(url: str, plan: str, index: int, told: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "graders", "--course", COURSE),
            *("batch-worker", "--objects", url, "--plan", plan),
        ],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "JOB_COMPLETION_INDEX": str(index)},
        stdout=subprocess.DEVNULL,
        stderr=told,
    )


@pytest.fixture
def place(tmp_path: Path) -> ObjectPlace:
    return ObjectPlace(f"file://{tmp_path}/objects")


def graded(batch: Batch, store: GradeStore, workers: Processes, progress: Progress) -> list[BatchRow]:
    store.enrol(Roster.of_ids(each.learner_id for each in batch.hand_ins))
    return run_batch(batch, store, progress, DistributedExecutor(workers.place, workers))


def gradebook(store: GradeStore) -> dict[str, tuple[str, str]]:
    return {one: (final.state.value, str(final.points)) for (one, _), final in store.finals().items()}


def local_gradebook(batch: Batch, tmp_path: Path) -> dict[str, tuple[str, str]]:
    with open_store(tmp_path / "local.db") as store:
        store.enrol(Roster.of_ids(each.learner_id for each in batch.hand_ins))
        run_batch(replace(batch, results=tmp_path / "local"), store, Silent())
        return gradebook(store)


@pytest.mark.scale
def test_a_worker_killed_and_a_result_tampered_with_leave_the_gradebook_as_the_local_one(
    batch: Batch, place: ObjectPlace, tmp_path: Path
) -> None:
    killed: list[int] = []
    tampered: list[Path] = []

    def kill_one(index: int, process: subprocess.Popen[bytes]) -> None:
        """In the middle: it has begun, and there is nothing of it yet."""
        if not killed:
            process.kill()
            killed.append(index)

    def tamper(index: int) -> None:
        """With the first pack that there is."""
        if not tampered and (packs := sorted((tmp_path / "objects/packs").glob("*"))):
            tampered.append(packs[0])
            packs[0].write_bytes(packs[0].read_bytes()[:-1] + b"?")

    workers, told = Processes(place, kill_one, tamper), Silent()
    with running_server() as server, open_store(server.url()) as store:
        rows = graded(batch, store, workers, told)
        assert [row.problem for row in rows if row.open] == []
        assert gradebook(store) == local_gradebook(batch, tmp_path)
        assert all(grade.bundle_digest for grade in store.grades(verdict=Verdict.GRADED))
        again = Processes(place)
        assert {row.how for row in graded(batch, store, again, told)} == {How.KEPT}
    assert killed
    assert tampered
    assert [line for line in told.said if "does not have the digest its worker noted: not taken" in line]
    # Seven could be sent; one was begun again after its death, one after its result was found to be another.
    assert len(workers.began) == 7 + 1 + 1
    assert again.began == []


@pytest.mark.cluster
def test_a_store_that_is_lost_costs_no_second_grading(
    batch: Batch, place: ObjectPlace, tmp_path: Path
) -> None:
    few = replace(batch, hand_ins=batch.hand_ins[:2])
    with open_store(tmp_path / "first.db") as store:
        graded(few, store, Processes(place), Silent())
        first = gradebook(store)
    again = Processes(place)
    with open_store(tmp_path / "second.db") as store:
        rows = graded(replace(few, results=tmp_path / "anew"), store, again, Silent())
        assert gradebook(store) == first
    assert {row.how for row in rows} == {How.GRADED}
    assert again.began == []


@pytest.mark.cluster
def test_a_second_worker_of_an_index_changes_nothing(
    batch: Batch, place: ObjectPlace, tmp_path: Path
) -> None:
    plans: list[str] = []
    workers = Processes(place)
    workers.ended = lambda index: plans.append(place.names("plans")[0])
    with open_store(tmp_path / "class.db") as store:
        graded(replace(batch, hand_ins=batch.hand_ins[:1]), store, workers, Silent())
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "objects").rglob("*")}
    second = worker(place.url, plans[0].split("/")[1], 0, subprocess.PIPE)
    told = second.communicate(timeout=120)[1].decode()
    assert second.returncode == 0
    assert "ada: graded already, by" in told
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "objects").rglob("*")} == before


@pytest.mark.scale
def test_what_hangs_is_ungraded_and_is_tried_again_when_somebody_says_so(
    batch: Batch, place: ObjectPlace, tmp_path: Path
) -> None:
    only_ada = replace(batch, hand_ins=batch.hand_ins[:1])
    with open_store(tmp_path / "class.db") as store:
        (row,) = graded(replace(only_ada, most_s=0.0), store, Processes(place), Silent())
        assert row.open
        assert row.problem == "the harness hung: the grading did not end within 0 s"
        (again,) = graded(replace(only_ada, retry_ungraded=True), store, Processes(place), Silent())
        assert (again.how, again.open) == (How.GRADED, False), again.problem


@pytest.mark.scale
def test_a_place_that_goes_away_is_told_and_nothing_is_lost(
    batch: Batch, place: ObjectPlace, tmp_path: Path
) -> None:
    few, objects = replace(batch, hand_ins=batch.hand_ins[:3]), tmp_path / "objects"
    away = tmp_path / "away"

    def take_away(index: int) -> None:
        if not away.exists() and index == 0:
            objects.rename(away)
            objects.write_text("a file, and no folder")

    with open_store(tmp_path / "class.db") as store:
        with pytest.raises(InfraFault, match=r"/objects is out of reach .*\n  fix: .*nothing is lost"):
            graded(few, store, Processes(place, ended=take_away), Silent())
        objects.unlink()
        away.rename(objects)
        again = Processes(place)
        rows = graded(few, store, again, Silent())
    assert [row.problem for row in rows if row.open] == []
    assert len(again.began) < len(few.hand_ins)


@pytest.mark.cluster
def test_a_worker_with_other_code_grades_nothing(batch: Batch, place: ObjectPlace, tmp_path: Path) -> None:
    other = replace(batch, hand_ins=batch.hand_ins[:1])
    rubric = replace(other.lab.rubric, sha256="another")
    with open_store(tmp_path / "class.db") as store:
        (row,) = graded(
            replace(other, lab=replace(other.lab, rubric=rubric)), store, Processes(place), Silent()
        )
    assert row.problem.startswith(f"{EXITS} 4: ")
    assert "the score key of essay is not the batch's: another kubeproof, Python or course" in row.problem
    assert not (tmp_path / "objects" / "results").exists()


@pytest.mark.cluster
def test_a_worker_of_no_plan_says_so(place: ObjectPlace) -> None:
    place.claim()
    process = worker(place.url, "none", 0, subprocess.PIPE)
    assert "has no plan none with index 0" in process.communicate(timeout=60)[1].decode()
    assert process.returncode == 2
