"""A class whose hand-ins and records go through a bucket of a real S3 server, and the bucket goes away."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from graders.batch.executor import Batch
from graders.batch.objects import ObjectPlace
from graders.batch.run import How
from graders.faults import InfraFault
from graders.model import Verdict
from graders.paths import COURSE as NAMED
from graders.polling import NotYet, wait_for
from graders.progress import Silent
from graders.store import open_store
from tests.cluster.kubelets import NOWHERE, ProcessKubelet, own_namespace
from tests.cluster.proxied import proxied
from tests.e2e.classes import COURSE, class_of_essays, essay_batch, gradebook, gradebook_at, kubeproof
from tests.e2e.elsewhere import Processes, graded, local_gradebook
from tests.scale.bucket import Bucket, running_bucket
from tests.unit.postgres_server import running_server


@pytest.fixture
def bucket(tmp_path: Path) -> Iterator[Bucket]:
    with running_bucket(tmp_path / "bucket", Silent()) as bucket:
        yield bucket


@pytest.fixture
def place(bucket: Bucket) -> ObjectPlace:
    return ObjectPlace(bucket.url)


@pytest.fixture
def batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Batch:
    """Three who are graded, one who is rejected, and one who is before anything is sent."""
    monkeypatch.setenv(NAMED, str(COURSE))
    submissions = class_of_essays(tmp_path / "submissions", whole=("ada",), begun="bob")
    return essay_batch(submissions, tmp_path / "results")


def test_what_is_put_into_a_bucket_comes_back_as_it_was(place: ObjectPlace, tmp_path: Path) -> None:
    place.claim()
    large = tmp_path / "large"
    large.write_bytes(os.urandom(60 << 20))
    place.put("packs/a.tar.gz", large)
    place.put("results/a/done.1.json", b"{}")
    place.put("results/ab/open.2.json", b"[]")
    assert place.names("results") == ["results/a/done.1.json", "results/ab/open.2.json"]
    assert place.names("results/a") == ["results/a/done.1.json"]
    assert place.names("nothing") == []
    assert place.read("results/ab/open.2.json", 2) == b"[]"
    assert place.read("results/ab/open.2.json", 1) is None
    assert place.read("results/none", 5) is None
    assert place.fetch("packs/a.tar.gz", tmp_path / "back", 60 << 20)
    assert (tmp_path / "back").read_bytes() == large.read_bytes()
    assert not place.fetch("packs/a.tar.gz", tmp_path / "more", 1 << 20)
    assert not place.fetch("packs/none", tmp_path / "none", 1)
    for _ in range(2):
        place.remove("results/a/done.1.json")
    assert not place.has("results/a/done.1.json")


def test_a_class_by_a_bucket_is_graded_once_whatever_becomes_of_its_store(
    batch: Batch, bucket: Bucket, place: ObjectPlace, tmp_path: Path
) -> None:
    killed: list[int] = []

    def kill_one(index: int, process: subprocess.Popen[bytes]) -> None:
        if not killed:
            process.kill()
            killed.append(index)

    workers, again = (
        Processes(place, tmp_path / "logs", befall=each) for each in (kill_one, lambda *_: None)
    )
    with running_server() as server, open_store(server.url()) as store:
        rows = graded(batch, store, workers, Silent())
        assert [row.problem for row in rows if row.open] == []
        first = gradebook(store)
        assert all(grade.bundle_digest for grade in store.grades(verdict=Verdict.GRADED))
        assert {row.how for row in graded(batch, store, again, Silent())} == {How.KEPT}
    with open_store(tmp_path / "another.db") as store:
        graded(replace(batch, results=tmp_path / "another"), store, again, Silent())
        assert gradebook(store) == first
    assert first == local_gradebook(batch, tmp_path)
    assert (len(workers.began), again.began) == (4 + 1, [])
    kept = [file.relative_to(bucket.objects).parts[0] for file in bucket.objects.rglob("*") if file.is_file()]
    assert {name: kept.count(name) for name in set(kept)} == {
        "kubeproof-place.json": 1, "submissions": 4, "plans": 5, "packs": 4, "results": 4,
    }  # fmt: skip


def test_a_bucket_that_goes_away_is_told_and_what_was_graded_is_not_graded_again(
    batch: Batch, bucket: Bucket, place: ObjectPlace, tmp_path: Path
) -> None:
    """After the first result: the command ends, and says what to do; that grades what is left."""
    gone: list[int] = []

    def take_away(index: int) -> None:
        if not gone:
            bucket.stop()
            gone.append(index)

    workers, again = Processes(place, tmp_path / "logs", ended=take_away), Processes(place, tmp_path / "logs")
    with open_store(tmp_path / "class.db") as store:
        with pytest.raises(InfraFault, match=r"s3://class/lab is out of reach .*\n  fix: .*nothing is lost"):
            graded(batch, store, workers, Silent())
        assert store.grades(verdict=Verdict.GRADED) == []
        bucket.start()
        rows = graded(batch, store, again, Silent())
        assert [row.problem for row in rows if row.open] == []
        assert gradebook(store) == local_gradebook(batch, tmp_path)
        assert len(store.grades(verdict=Verdict.GRADED)) == 3
    # Two were at work when it went, and had put their results there.
    assert len(workers.began) == 2
    assert len(again.began) == 2


def test_a_bucket_that_goes_away_under_a_worker_costs_a_try_and_one_that_stays_away_no_points(
    batch: Batch, bucket: Bucket, place: ObjectPlace, tmp_path: Path
) -> None:
    """A worker ends with 3 and says why; where it is back for the next, that one's result is the only one."""
    only_ada = replace(batch, hand_ins=batch.hand_ins[:1])
    workers = Processes(place, tmp_path / "logs")

    def go_away_once(index: int, process: subprocess.Popen[bytes]) -> None:
        if len(workers.began) > 1:
            bucket.start()
            return

        def grading() -> None:
            if "ada ..." not in workers.log(index):
                raise NotYet(workers.log(index))

        wait_for(grading, timeout_s=60)
        bucket.stop()

    workers.befall = go_away_once
    with open_store(tmp_path / "class.db") as store:
        (row,) = graded(only_ada, store, workers, Silent())
        assert (row.how, row.open) == (How.GRADED, False), row.problem
        (grade,) = store.grades()
        assert grade.verdict is Verdict.GRADED
    assert len(workers.began) == 2
    said = (tmp_path / "logs" / "0.log").read_text()
    assert "s3://class/lab is out of reach (writing packs/" in " ".join(said.split())
    assert len(list(bucket.objects.glob("results/*/*"))) == 1


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [("AWS_SECRET_ACCESS_KEY", "another", "signature"), ("AWS_ACCESS_KEY_ID", "nobody", "PutObject")],
)
def test_credentials_that_do_not_hold_are_told_before_anything_is_sent(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch, name: str, value: str, says: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(InfraFault, match=rf"class/lab is out of reach .*{says}.*\n  fix: .*credentials hold"):
        ObjectPlace(bucket.url).claim()
    assert not bucket.objects.exists()


def test_a_bucket_that_is_not_there_and_one_that_was_emptied_are_told(
    bucket: Bucket, place: ObjectPlace
) -> None:
    with pytest.raises(InfraFault, match=r"s3://none/lab is out of reach \(writing kubeproof-place.json\)"):
        ObjectPlace("s3://none/lab").claim()
    place.claim()
    place.remove("kubeproof-place.json")
    with pytest.raises(InfraFault, match=r"s3://class/lab is no longer what it was: .*\n  fix: put it back"):
        place.check()


def test_a_job_whose_pods_have_the_bucket_by_a_secret_and_the_store_is_postgresql(
    bucket: Bucket, batch: Batch, tmp_path: Path
) -> None:
    """The command as docs/scale.md has it, at a real control plane; what a pod runs is a process here."""
    submissions, objects = tmp_path / "submissions", bucket.objects
    keys = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    with (
        running_server() as server,
        proxied(tmp_path, "bucket") as world,
        own_namespace(world.kube, "by-bucket") as namespace,
    ):
        secret = {"metadata": {"name": "objects"}, "stringData": keys}
        world.kube.create(f"/api/v1/namespaces/{namespace}/secrets", secret)
        url = server.url()
        options = [
            *("--executor", "kubernetes", "--image", "registry.invalid/kubeproof:1", "--cpu", NOWHERE),
            *("--objects", bucket.url, "--secret", "objects", "--namespace", namespace),
            *("--kubeconfig", world.cluster.kubeconfig, "--context", "kubeproof"),
            *("--store", url, "--results", tmp_path / "results"),
        ]
        with ProcessKubelet(world.kube, namespace, COURSE, tmp_path) as pods:
            done = kubeproof(tmp_path, submissions, *options)
        assert done.returncode == 0, done.stdout + done.stderr
        assert gradebook_at(url) == local_gradebook(batch, tmp_path)
    assert sorted(pods.seen.values()) == [0, 1, 2, 3]
    assert len(list(objects.glob("results/*/*"))) == 4
