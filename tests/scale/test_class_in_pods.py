"""A class graded by an Indexed Job on two workers, one of which stops in the middle: `make test-scale`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from graders.batch.plan import is_done
from graders.course import PATCH, apply_patch
from graders.model import Verdict
from graders.paths import REPOSITORY
from graders.polling import NotYet, wait_for
from graders.store import open_store
from tests.e2e.classes import COURSE, ESSAYS, gradebook_at
from tests.scale.pods import Pods
from tests.unit.postgres_server import running_server

LAB = "phoenix"
SOLUTIONS = COURSE / "solutions" / LAB
GRADED_WITHIN_S = 1200.0
SMALL = ("--cpu", "500m", "--memory", "2Gi")
"""Two pods for each worker: a machine with few cores has enough to do with them."""


@pytest.fixture
def class_of_eight(tmp_path: Path) -> Path:
    """Five who bring etcd back, one of them packed, two whose flaws differ, and one who has only begun."""
    folder = tmp_path / "submissions"
    for learner in ("ada", "bob", "cyd", "dan", "eve", "fay", "gil"):
        shutil.copytree(SOLUTIONS / "reference", folder / learner)
        (folder / learner / "NOTES.md").write_text(f"by {learner}\n")
    apply_patch(SOLUTIONS / "flawed" / "nothing-restored" / PATCH, folder / "fay")
    apply_patch(SOLUTIONS / "flawed" / "oldest-backup" / PATCH, folder / "gil")
    shutil.copytree(COURSE / "labs" / LAB / "starter", folder / "hal")
    shutil.make_archive(str(folder / "cyd"), "zip", folder / "cyd")
    shutil.rmtree(folder / "cyd")
    return folder


def batch(course: Path, lab: str, class_folder: Path, store: str, results: Path, *more: str) -> list[str]:
    return [
        *(sys.executable, "-m", "graders", "--course", str(course), "batch", lab, str(class_folder)),
        *("--store", store, "--results", str(results), *more),
    ]


@contextmanager
def running(command: Sequence[str], told: Path) -> Iterator[subprocess.Popen[bytes]]:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "KUBEPROOF_PROVIDER": "embedded"}
    with told.open("ab") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def ended(process: subprocess.Popen[bytes], told: Path) -> int:
    try:
        return process.wait(GRADED_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        pytest.fail(f"it did not end:\n{told.read_text()[-3000:]}")


def outcome(command: Sequence[str], told: Path) -> int:
    with running(command, told) as process:
        return ended(process, told)


def graded_times(url: str) -> Counter[str]:
    with open_store(url) as store:
        return Counter(grade.learner_id for grade in store.grades())


def markers(place: Path) -> list[str]:
    """The results in a place, by their work."""
    found = [file.relative_to(place / "results") for file in place.glob("results/*/*.json")]
    return [file.parts[0] for file in found if is_done(file.as_posix())]


def said_in(told: Path) -> str:
    """What a command said, however wide its lines are."""
    return " ".join(told.read_text().split())


def wait_until(told: Path, says: str) -> None:
    def said() -> None:
        if says not in said_in(told):
            raise NotYet(told.read_text()[-2000:])

    wait_for(said, timeout_s=GRADED_WITHIN_S, interval_s=0.5)


@pytest.mark.smoke
def test_a_job_of_two_has_the_gradebook_of_this_machine(pods: Pods, tmp_path: Path) -> None:
    told, store, local = tmp_path / "told", tmp_path / "class.db", tmp_path / "local.db"
    folder = tmp_path / "submissions"
    shutil.copytree(ESSAYS / "reference", folder / "ada")
    shutil.copytree(COURSE / "labs" / "essay" / "starter", folder / "bob")
    options = [*pods.options("two"), *SMALL]
    command = batch(pods.course, "essay", folder, str(store), tmp_path / "results", *options)
    assert outcome(command, told) == 0, told.read_text()
    assert outcome(batch(pods.course, "essay", folder, str(local), tmp_path / "local"), told) == 0
    assert gradebook_at(store) == gradebook_at(local)
    assert gradebook_at(store)["ada"] == ("graded", "2")
    (job,) = pods.jobs("two")
    assert job["status"]["succeeded"] == 2


def test_a_pod_evicted_and_a_node_stopped_lose_nothing_and_the_gradebook_is_the_local_one(
    pods: Pods, class_of_eight: Path, tmp_path: Path
) -> None:
    told, place = tmp_path / "told", pods.objects / "whole-class"
    local, told_alone = tmp_path / "local", tmp_path / "told-alone"
    stopped = pods.workers[1]

    def has_begun() -> tuple[str, str]:
        """Something is through, and both nodes have work in hand: a pod of each."""
        if process.poll() is not None:
            pytest.fail(f"it ended with {process.returncode}:\n{told.read_text()[-3000:]}")
        by_node = {node: pod for pod, node in pods.in_phase("Running").items()}
        if not markers(place) or len(by_node) < 2:
            raise NotYet(f"{len(markers(place))} results, {by_node}, {told.read_text()[-1000:]}")
        return by_node[pods.workers[0].container], by_node[stopped.container]

    with running_server() as server:
        store = server.url()
        options = [*pods.options(place.name), "--jobs", "4", *SMALL]
        with running(
            batch(pods.course, LAB, class_of_eight, store, tmp_path / "results", *options), told
        ) as process:
            evicted, lost = wait_for(has_begun, timeout_s=GRADED_WITHIN_S, interval_s=0.5)
            pods.evict(evicted)
            pods.engine.call("stop", "--time=2", stopped.container)
            # Nobody hears of it for two minutes: time for the same class on this machine.
            with running(batch(pods.course, LAB, class_of_eight, f"{local}.db", local), told_alone) as alone:
                wait_until(told, f"kubectl delete node {stopped.container}")
                pods.control_plane.kubectl("delete", "node", stopped.container)
                assert ended(process, told) == 0, told.read_text()
                assert ended(alone, told_alone) == 0, told_alone.read_text()
        found, times = gradebook_at(store), graded_times(store)
        again = tmp_path / "again"
        assert (
            outcome(batch(pods.course, LAB, class_of_eight, store, tmp_path / "results", *options), again)
            == 0
        )
        assert graded_times(store) == times
    assert not {evicted, lost} & pods.in_phase("Succeeded").keys()
    assert found == gradebook_at(f"{local}.db")
    assert len(found) == 8
    assert len({points for _, points in found.values()}) > 1
    assert set(times.values()) == {1}
    assert sorted(Counter(markers(place)).values()) == [1] * 8
    (job,) = pods.jobs(place.name)
    assert job["status"]["succeeded"] == 8


def test_the_reference_of_lab_1_has_all_points_in_a_pod(pods: Pods, tmp_path: Path) -> None:
    told, store = tmp_path / "told", str(tmp_path / "class.db")
    folder = tmp_path / "submissions"
    shutil.copytree(REPOSITORY / "solutions" / "lab1" / "reference", folder / "ada")
    options = [*pods.options("lab1"), "--image", pods.whole_course_image(), "--jobs", "1"]
    command = batch(REPOSITORY, "lab1", folder, store, tmp_path / "results", *options)
    assert outcome(command, told) == 0, told.read_text()
    with open_store(store) as opened:
        (grade,) = opened.grades()
    assert (grade.verdict, grade.total) == (Verdict.GRADED, 100), told.read_text()


def test_a_pod_that_runs_out_of_memory_is_ungraded_and_says_so(
    pods: Pods, class_of_eight: Path, tmp_path: Path
) -> None:
    told, store = tmp_path / "told", str(tmp_path / "class.db")
    options = [*pods.options("little-memory"), "--learner", "ada", "--cpu", "500m", "--memory", "200Mi"]
    assert outcome(batch(pods.course, LAB, class_of_eight, store, tmp_path / "results", *options), told) == 3
    with open_store(store) as opened:
        (grade,) = opened.grades()
    assert (grade.learner_id, grade.verdict, grade.total) == ("ada", Verdict.UNGRADED, None)
    assert "ran out of memory (limit 200Mi)" in said_in(told)


def test_an_image_that_no_node_can_pull_is_told_and_the_job_is_gone(
    pods: Pods, class_of_eight: Path, tmp_path: Path
) -> None:
    told, store = tmp_path / "told", str(tmp_path / "class.db")
    options = [*pods.options("no-image"), "--learner", "ada", "--image", "registry.invalid/none:1"]
    assert outcome(batch(pods.course, LAB, class_of_eight, store, tmp_path / "results", *options), told) == 3
    said = said_in(told)
    assert "can start: ErrImagePull" in said or "can start: ImagePullBackOff" in said
    assert "it was removed, and nothing was graded" in said
    assert not graded_times(store)
    assert pods.jobs("no-image") == []
