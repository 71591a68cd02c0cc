"""A class graded by an Indexed Job on two workers, one of which stops in the middle: `make test-scale`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from graders.batch.plan import is_done
from graders.cohort import FinalState
from graders.course import PATCH, apply_patch
from graders.model import Verdict
from graders.paths import REPOSITORY
from graders.polling import NotYet, wait_for
from graders.store import open_store
from tests.scale.pods import COURSE, Pods
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


def batch(class_folder: Path, store: str, results: Path, *more: str) -> list[str]:
    return [
        *(sys.executable, "-m", "graders", "--course", str(COURSE), "batch", LAB, str(class_folder)),
        *("--store", store, "--results", str(results), *more),
    ]


def started(command: Sequence[str], told: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "KUBEPROOF_PROVIDER": "embedded"}
    with told.open("ab") as log:
        return subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)


def ended(process: subprocess.Popen[bytes], told: Path) -> int:
    try:
        return process.wait(GRADED_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        pytest.fail(f"it did not end:\n{told.read_text()[-3000:]}")


def gradebook(url: str) -> dict[str, tuple[FinalState, str]]:
    with open_store(url) as store:
        return {one: (final.state, str(final.points)) for (one, _), final in store.finals().items()}


def graded_times(url: str) -> Counter[str]:
    with open_store(url) as store:
        return Counter(grade.learner_id for grade in store.grades())


def markers(place: Path) -> list[str]:
    """The results in a place, by their work."""
    found = [file.relative_to(place / "results") for file in place.glob("results/*/*.json")]
    return [file.parts[0] for file in found if is_done(file.as_posix())]


def wait_until(told: Path, says: str) -> None:
    def said() -> None:
        if says not in told.read_text():
            raise NotYet(told.read_text()[-2000:])

    wait_for(said, timeout_s=GRADED_WITHIN_S, interval_s=0.5)


def test_a_pod_evicted_and_a_node_stopped_lose_nothing_and_the_gradebook_is_the_local_one(
    pods: Pods, class_of_eight: Path, tmp_path: Path
) -> None:
    told, place = tmp_path / "told", pods.objects / "whole-class"
    stopped = pods.workers[1]

    def has_begun() -> list[str]:
        """Something is through, and the node that is to stop has work in hand."""
        if process.poll() is not None:
            pytest.fail(f"it ended with {process.returncode}:\n{told.read_text()[-3000:]}")
        here = [pod for pod, node in pods.running().items() if node == stopped.container]
        if not markers(place) or not here:
            raise NotYet(f"{len(markers(place))} results, {here}, {told.read_text()[-1000:]}")
        return here

    with running_server() as server:
        store = server.url()
        options = [*pods.options(place.name), "--jobs", "4", *SMALL]
        process = started(batch(class_of_eight, store, tmp_path / "results", *options), told)
        try:
            on_it = wait_for(has_begun, timeout_s=GRADED_WITHIN_S, interval_s=0.5)
            evicted = next(pod for pod, node in pods.running().items() if node != stopped.container)
            pods.evict(evicted)
            pods.engine.call("stop", "--time=2", stopped.container)
            wait_until(told, f"kubectl delete node {stopped.container}")
            pods.control_plane.kubectl("delete", "node", stopped.container)
            assert ended(process, told) == 0, told.read_text()
        finally:
            process.kill()
        found, times = gradebook(store), graded_times(store)
        again = tmp_path / "again"
        nothing = started(batch(class_of_eight, store, tmp_path / "results", *options), again)
        assert ended(nothing, again) == 0, again.read_text()
        assert graded_times(store) == times
    local = tmp_path / "local"
    alone = started(batch(class_of_eight, f"{local}.db", local), tmp_path / "told-local")
    assert ended(alone, tmp_path / "told-local") == 0, (tmp_path / "told-local").read_text()
    assert on_it
    assert found == gradebook(f"{local}.db")
    assert len(found) == 8
    assert len({points for _, points in found.values()}) > 1
    assert set(times.values()) == {1}
    assert sorted(Counter(markers(place)).values()) == [1] * 8
    (job,) = pods.jobs(place.name)
    assert job["status"]["succeeded"] == 8


def test_a_pod_that_runs_out_of_memory_is_ungraded_and_says_so(
    pods: Pods, class_of_eight: Path, tmp_path: Path
) -> None:
    told, store = tmp_path / "told", str(tmp_path / "class.db")
    options = [*pods.options("little-memory"), "--learner", "ada", "--cpu", "500m", "--memory", "200Mi"]
    process = started(batch(class_of_eight, store, tmp_path / "results", *options), told)
    assert ended(process, told) == 3, told.read_text()
    with open_store(store) as opened:
        (grade,) = opened.grades()
    assert (grade.learner_id, grade.verdict, grade.total) == ("ada", Verdict.UNGRADED, None)
    assert "ran out of memory (limit 200Mi)" in " ".join(told.read_text().split())


def test_an_image_that_no_node_can_pull_is_told_and_the_job_is_gone(
    pods: Pods, class_of_eight: Path, tmp_path: Path
) -> None:
    told, store = tmp_path / "told", str(tmp_path / "class.db")
    options = [*pods.options("no-image"), "--learner", "ada", "--image", "registry.invalid/none:1"]
    process = started(batch(class_of_eight, store, tmp_path / "results", *options), told)
    assert ended(process, told) == 3, told.read_text()
    said = " ".join(told.read_text().split())
    assert "can start: ErrImagePull" in said or "can start: ImagePullBackOff" in said
    assert "it was removed, and nothing was graded" in said
    assert not graded_times(store)
    assert pods.jobs("no-image") == []
