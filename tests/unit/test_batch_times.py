"""A hand-in that the store has already is the attempt that it was, whatever time its files have by now."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from graders.batch.executor import Batch, Keep
from graders.batch.intake import hand_ins_in
from graders.batch.run import run_batch
from graders.batch.work import Work
from graders.cohort.roster import Roster
from graders.course import load_course
from graders.progress import Progress, Silent
from graders.store import StoredGrade, open_store
from tests.unit.essay_record import COURSE
from tests.unit.store_grades import grade

NOON = datetime(2026, 11, 3, 12, tzinfo=UTC)


@dataclasses.dataclass(frozen=True)
class Giving:
    """An executor that has the same verdict for everybody."""

    verdict: str
    title: str = "nowhere"

    def grades(
        self, batch: Batch, works: Sequence[Work], keep: Keep, progress: Progress
    ) -> Iterator[StoredGrade]:
        del progress
        for work in works:
            made = grade(work.hand_in.learner_id, self.verdict, submitted_at=work.hand_in.submitted_at)
            yield keep(dataclasses.replace(made, lab=batch.lab.id, key=work.key, submission=work.digest))


@pytest.mark.parametrize(("hour", "counts"), [(9, 9), (15, 12)])
def test_the_same_again_is_the_attempt_that_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hour: int, counts: int
) -> None:
    monkeypatch.setenv("KUBEPROOF_COURSE", str(COURSE))
    folder = tmp_path / "in" / "ada"
    shutil.copytree(COURSE / "solutions" / "essay" / "reference", folder)
    with open_store(tmp_path / "class.db") as store:
        store.enrol(Roster.of_ids(["ada"]))
        for verdict, at in (("ungraded", NOON), ("graded", NOON.replace(hour=hour))):
            for file in folder.iterdir():
                os.utime(file, (at.timestamp(), at.timestamp()))
            batch = Batch(
                lab=load_course().find_lab("essay"),
                hand_ins=hand_ins_in(tmp_path / "in"),
                results=tmp_path / "results",
                provider="embedded",
                jobs=1,
                retry_ungraded=True,
            )
            run_batch(batch, store, Silent(), Giving(verdict))

        (only,) = store.grades()
    assert (only.verdict.value, only.submitted_at) == ("graded", NOON.replace(hour=counts))
