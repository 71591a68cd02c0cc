"""Before the restart that tracks share, the jobs of those that are over go, and their record ends there."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from graders.evidence.bundle import Bundle
from graders.evidence.records import CLEARED
from graders.judging import Facts
from graders.kube.client import Answer, ApiRefused
from graders.lab1.api import PLURAL, jobs_path
from graders.lab1.clearing import clear
from graders.lab1.environment import OperatorEnvironment
from graders.lab1.names import FOREIGN_FINALIZER, RUN
from graders.lab1.trackrecord import JobsRecord
from tests.unit.lab1_telling import Object, Telling, job, pod


class Cluster:
    """Jobs by namespace, and what was marked; a deleted job goes when nobody holds it, and takes its pods."""

    def __init__(self, *jobs: Object, refusing: bool = False) -> None:
        self.jobs = list(jobs)
        self.pods = [pod(each, 0) for each in jobs]
        self.marks: list[tuple[str, str]] = []
        self.refusing = refusing

    def env(self) -> OperatorEnvironment:
        spaces = {"done": "here", "done/more": "there", "goes-on": "elsewhere"}
        recording = SimpleNamespace(mark=self._mark, changes=self)
        env = SimpleNamespace(kube=self, watches=self, recording=recording, namespaces=spaces, deadline_s=0.2)
        return cast(OperatorEnvironment, env)

    def left(self) -> list[str]:
        return [each["metadata"]["name"] for each in self.jobs]

    def objects(self, resource: str, namespace: str) -> dict[str, Object]:
        found = self.jobs if resource == PLURAL else self.pods
        mine = (each["metadata"] for each in found if each["metadata"]["namespace"] == namespace)
        return {meta["name"]: next(e for e in found if e["metadata"] is meta) for meta in mine}

    def delete(self, path: str, **_: object) -> None:
        if self.refusing:
            raise ApiRefused("DELETE", path, Answer(403, {}))
        found = self.find(path)
        assert found is not None
        found["metadata"]["deletionTimestamp"] = "now"
        self._collect()

    def find(self, path: str) -> Object | None:
        meta = ((each, each["metadata"]) for each in self.jobs)
        return next((each for each, m in meta if jobs_path(m["namespace"], m["name"]) == path), None)

    def patch(self, path: str, body: Any) -> None:
        found = self.find(path)
        assert found is not None
        found["metadata"].update(body["metadata"])
        self._collect()

    @contextlib.contextmanager
    def listener(self) -> Iterator[None]:
        yield None

    def _collect(self) -> None:
        gone = [
            each
            for each in self.jobs
            if each["metadata"].get("deletionTimestamp") and not each["metadata"].get("finalizers")
        ]
        for each in gone:
            self.jobs.remove(each)
            self.pods.remove(pod(each, 0))

    def _mark(self, track: str, name: str, **_: object) -> None:
        self.marks.append((track, name))


def held(item: Object, *finalizers: str) -> Object:
    item["metadata"]["finalizers"] = list(finalizers)
    return item


def test_the_jobs_of_tracks_that_are_over_go_and_no_others() -> None:
    cluster = Cluster(job("a"), job("b", "there"), job("c", "elsewhere"))
    clear(cluster.env(), {"done"})
    assert cluster.left() == ["c"]
    assert cluster.marks == [("done", CLEARED)] * 2


def test_the_graders_own_finalizer_holds_nothing_up() -> None:
    cluster = Cluster(held(job("a"), FOREIGN_FINALIZER))
    clear(cluster.env(), {"done"})
    assert cluster.left() == []


def test_what_an_operator_holds_is_left_and_marked() -> None:
    cluster = Cluster(held(job("a"), "their/own"))
    clear(cluster.env(), {"done"})
    assert cluster.left() == ["a"]
    assert cluster.marks == [("done", CLEARED)] * 2 + [(RUN, "not-cleared")]


def test_a_refusal_stops_nothing() -> None:
    cluster = Cluster(job("a"), refusing=True)
    clear(cluster.env(), {"done"})
    assert cluster.marks[-1] == (RUN, "not-cleared")


def test_what_comes_of_it_is_nobodys_evidence(tmp_path: Path) -> None:
    telling = Telling("done")
    telling.see(1.0, PLURAL, job("a"), kind="ADDED")
    telling.write(1.5, "delete", "pods", "a-1")
    telling.mark(2.0, CLEARED, namespace="here")
    telling.see(2.5, PLURAL, job("a"), kind="DELETED")
    telling.write(2.6, "delete", "pods", "a-0")
    telling.write(2.7, "delete", "pods", "b-0", namespace="elsewhere")

    def look(bundle: Bundle, _: Facts) -> None:
        story = JobsRecord(bundle, "done")
        assert story.job("a").gone is None
        assert [event.name for event in story.writes("pods", "delete")] == ["a-1"]
        assert [event.name for event in story.audit_in("here")] == ["a-1"]
        assert [event.name for event in story.audit_in("elsewhere")] == ["b-0"]

    telling.judge(look, tmp_path)
