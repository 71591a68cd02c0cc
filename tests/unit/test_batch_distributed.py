"""A batch by workers elsewhere, where what befell a worker is more than its result says."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from graders.batch.distributed import DistributedExecutor, EndedIndex
from graders.batch.executor import Batch
from graders.batch.intake import hand_ins_in
from graders.batch.objects import ObjectPlace
from graders.batch.plan import BatchPlan, IndexWork, ResultMarker, assignment_object, read_document
from graders.batch.run import run_batch
from graders.cohort.roster import Roster
from graders.course import load_course
from graders.model import Verdict
from graders.paths import COURSE as NAMED
from graders.paths import REPOSITORY
from graders.progress import Progress, Silent
from graders.store import open_store

COURSE = REPOSITORY / "tests" / "tinycourse"
TOLD = "its pod ran out of memory (limit 3Gi); give more with --memory"


@dataclass(frozen=True)
class OutOfMemory:
    """A workforce whose pods lose a process for want of memory, and say only that a cluster failed."""

    place: ObjectPlace
    title: str = "elsewhere"

    def at_work(self) -> Sequence[str]:
        return ()

    def work(self, plan: BatchPlan, batch: Batch, progress: Progress) -> Iterator[EndedIndex]:
        for index, work in enumerate(plan.works):
            given = read_document(self.place, assignment_object(plan.name, index), IndexWork)
            assert given is not None
            marker = ResultMarker(
                work=work, key=given.key, verdict=Verdict.UNGRADED, problem="the API server ended"
            )
            self.place.put(marker.name, marker.content())
            yield EndedIndex(index, TOLD)


def test_what_befell_a_pod_is_told_beside_what_its_worker_could_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(NAMED, str(COURSE))
    shutil.copytree(COURSE / "solutions" / "essay" / "reference", tmp_path / "submissions" / "ada")
    hand_ins = hand_ins_in(tmp_path / "submissions")
    lab, results = load_course().find_lab("essay"), tmp_path / "results"
    batch = Batch(lab=lab, hand_ins=hand_ins, results=results, provider="embedded", jobs=1)
    place, told = ObjectPlace(f"file://{tmp_path}/objects"), Silent()
    with open_store(tmp_path / "class.db") as store:
        store.enrol(Roster.of_ids(["ada"]))
        (row,) = run_batch(batch, store, told, DistributedExecutor(place, OutOfMemory(place)))
    assert (row.open, row.problem) == (True, "the API server ended")
    assert f"ada: {TOLD}" in told.said
