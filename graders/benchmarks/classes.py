"""Measures what grading side by side gains: the same hand-ins, one after another and as a batch does it."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from graders.batch.executor import Batch
from graders.batch.intake import HandIn
from graders.batch.packing import pack
from graders.batch.run import run_batch
from graders.cohort.roster import Roster
from graders.course import Lab
from graders.faults import InfraFault
from graders.ownership import OwnedFolder
from graders.progress import Progress
from graders.slots import capacity
from graders.store import open_store
from graders.store.records import report_text


@dataclass(frozen=True)
class Throughput:
    """A class graded one way: gradings at once, seconds in all, seconds of processors, and the scores.

    `pack_bytes` are what all reports and records are as objects, `report_bytes` what the store has of them.
    """

    jobs: int
    seconds: float
    cpu_s: float
    percents: tuple[str, ...]
    pack_bytes: int = 0
    report_bytes: int = 0

    @property
    def busy(self) -> float:
        """Share of the machine's processors that worked meanwhile, whoever for."""
        return self.cpu_s / (self.seconds * (os.cpu_count() or 1))

    def as_json(self) -> dict[str, object]:
        """For `--json`."""
        return {
            "jobs": self.jobs,
            "seconds": round(self.seconds, 1),
            "cpu_s": round(self.cpu_s, 1),
            "busy": round(self.busy, 3),
            "percents": sorted(set(self.percents)),
            "pack_bytes": self.pack_bytes,
            "report_bytes": self.report_bytes,
        }


def measure_class(lab: Lab, size: int, progress: Progress) -> tuple[Throughput, Throughput]:
    """Grade the reference of `lab` as if `size` learners had handed it in: one by one, then side by side.

    Raises:
        InfraFault: one of them came to no score.
    """
    hand_ins = [HandIn(f"learner-{number:02}", lab.reference) for number in range(1, size + 1)]
    one_by_one, side_by_side = (_graded(lab, hand_ins, jobs, progress) for jobs in (1, capacity()))
    return one_by_one, side_by_side


def _graded(lab: Lab, hand_ins: list[HandIn], jobs: int, progress: Progress) -> Throughput:
    with OwnedFolder("bench", "class") as owned, open_store(owned.path / "class.db") as store:
        store.enrol(Roster.of_ids(each.learner_id for each in hand_ins))
        results = Path(owned.path, "results")
        batch = Batch(lab=lab, hand_ins=hand_ins, results=results, provider="embedded", jobs=jobs)
        busy, began = processors_s(), time.monotonic()
        rows = run_batch(batch, store, progress)
        seconds, worked = time.monotonic() - began, processors_s() - busy
        for row in rows:
            if row.grade is None or row.grade.percent is None:
                raise InfraFault(f"{row.learner_id} came to no score: {row.problem}")
        percents = tuple(str(row.grade.percent) for row in rows if row.grade)
        packs = sum(_packed(place, owned.path / "pack") for place in results.glob("*/*"))
        reports = sum(len(report_text(store.report(row.grade.id))) for row in rows if row.grade)
        return Throughput(jobs, seconds, worked, percents, packs, reports)


def _packed(place: Path, file: Path) -> int:
    """Bytes of a grading's results as an object."""
    pack(place, file)
    size = file.stat().st_size
    file.unlink()
    return size


def processors_s() -> float:
    """Seconds that the machine's processors have worked."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0))
