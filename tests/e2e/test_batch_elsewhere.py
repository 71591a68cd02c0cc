"""A class graded by workers elsewhere: processes with nothing in common but a place for objects."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from graders.batch.executor import Batch
from graders.batch.objects import ObjectPlace
from graders.batch.run import How
from graders.faults import InfraFault
from graders.model import Verdict
from graders.paths import COURSE as NAMED
from graders.progress import Silent
from graders.store import open_store
from tests.e2e.classes import COURSE, class_of_essays, essay_batch, gradebook
from tests.e2e.elsewhere import EXITS, Processes, graded, local_gradebook, worker
from tests.unit.postgres_server import running_server

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def class_of_eight(tmp_path: Path) -> Path:
    return class_of_essays(tmp_path / "submissions", whole=("ada", "bob", "eve", "gil"), begun="hal")


@pytest.fixture
def batch(class_of_eight: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Batch:
    monkeypatch.setenv(NAMED, str(COURSE))
    return essay_batch(class_of_eight, tmp_path / "results")


@pytest.fixture
def place(tmp_path: Path) -> ObjectPlace:
    return ObjectPlace(f"file://{tmp_path}/objects")


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    return tmp_path / "logs"


@pytest.mark.scale
def test_a_worker_killed_and_a_result_tampered_with_leave_the_gradebook_as_the_local_one(
    batch: Batch, place: ObjectPlace, logs: Path, tmp_path: Path
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

    workers, told = Processes(place, logs, kill_one, tamper), Silent()
    with running_server() as server, open_store(server.url()) as store:
        rows = graded(batch, store, workers, told)
        assert [row.problem for row in rows if row.open] == []
        assert gradebook(store) == local_gradebook(batch, tmp_path)
        assert all(grade.bundle_digest for grade in store.grades(verdict=Verdict.GRADED))
        again = Processes(place, logs)
        assert {row.how for row in graded(batch, store, again, told)} == {How.KEPT}
    assert killed
    assert tampered
    assert [line for line in told.said if "does not have the digest its worker noted: not taken" in line]
    # Seven could be sent; one was begun again after its death, one after its result was found to be another.
    assert len(workers.began) == 7 + 1 + 1
    assert again.began == []


@pytest.mark.cluster
def test_a_store_that_is_lost_costs_no_second_grading(
    batch: Batch, place: ObjectPlace, logs: Path, tmp_path: Path
) -> None:
    few = replace(batch, hand_ins=batch.hand_ins[:2])
    with open_store(tmp_path / "first.db") as store:
        graded(few, store, Processes(place, logs), Silent())
        first = gradebook(store)
    again = Processes(place, logs)
    with open_store(tmp_path / "second.db") as store:
        rows = graded(replace(few, results=tmp_path / "anew"), store, again, Silent())
        assert gradebook(store) == first
    assert {row.how for row in rows} == {How.GRADED}
    assert again.began == []


@pytest.mark.cluster
def test_a_second_worker_of_an_index_changes_nothing(
    batch: Batch, place: ObjectPlace, logs: Path, tmp_path: Path
) -> None:
    plans: list[str] = []
    workers = Processes(place, logs)
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
    batch: Batch, place: ObjectPlace, logs: Path, tmp_path: Path
) -> None:
    only_ada = replace(batch, hand_ins=batch.hand_ins[:1])
    with open_store(tmp_path / "class.db") as store:
        (row,) = graded(replace(only_ada, most_s=0.0), store, Processes(place, logs), Silent())
        assert row.open
        assert row.problem == "the harness hung: the grading did not end within 0 s"
        (again,) = graded(replace(only_ada, retry_ungraded=True), store, Processes(place, logs), Silent())
        assert (again.how, again.open) == (How.GRADED, False), again.problem


@pytest.mark.scale
def test_a_place_that_goes_away_is_told_and_nothing_is_lost(
    batch: Batch, place: ObjectPlace, logs: Path, tmp_path: Path
) -> None:
    few, objects = replace(batch, hand_ins=batch.hand_ins[:3]), tmp_path / "objects"
    away = tmp_path / "away"

    def take_away(index: int) -> None:
        if not away.exists() and index == 0:
            objects.rename(away)
            objects.write_text("a file, and no folder")

    with open_store(tmp_path / "class.db") as store:
        with pytest.raises(InfraFault, match=r"/objects is out of reach .*\n  fix: .*nothing is lost"):
            graded(few, store, Processes(place, logs, ended=take_away), Silent())
        objects.unlink()
        away.rename(objects)
        again = Processes(place, logs)
        rows = graded(few, store, again, Silent())
    assert [row.problem for row in rows if row.open] == []
    assert len(again.began) < len(few.hand_ins)


@pytest.mark.cluster
def test_a_worker_with_other_code_grades_nothing(
    batch: Batch, place: ObjectPlace, logs: Path, tmp_path: Path
) -> None:
    other = replace(batch, hand_ins=batch.hand_ins[:1])
    rubric = replace(other.lab.rubric, sha256="another")
    with open_store(tmp_path / "class.db") as store:
        (row,) = graded(
            replace(other, lab=replace(other.lab, rubric=rubric)), store, Processes(place, logs), Silent()
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
