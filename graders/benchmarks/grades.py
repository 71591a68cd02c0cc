"""Measures a whole grade of a lab's reference, provider by provider, as the command a person types."""

import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from graders.benchmarks.starts import spread
from graders.course import Lab
from graders.faults import InfraFault
from graders.gradekey import grade_key
from graders.gradingprocess import GradingProcesses
from graders.interrupt import done_before_the_end
from graders.ownership import OwnedFolder
from graders.progress import Progress
from graders.selftest.recordings import Recordings
from graders.submissions.load import digest_of

_EMBEDDED = "embedded"


@dataclass(frozen=True)
class Grade:
    """One grade: seconds from command to report, those of the first cluster's start, and the score."""

    total_s: float
    start_s: float
    percent: str

    def as_json(self) -> dict[str, object]:
        """For `--json`."""
        return {
            "total_s": round(self.total_s, 2),
            "cluster_start_s": round(self.start_s, 2),
            "percent": self.percent,
        }


def measure_grades(
    lab: Lab, providers: Sequence[str], runs: int, progress: Progress
) -> dict[str, tuple[Grade, ...]]:
    """Grade the reference of `lab` `runs` times on each provider, in turns.

    Raises:
        InfraFault: a grade came to no score.
    """
    found: dict[str, list[Grade]] = {name: [] for name in providers}
    for turn in range(1, runs + 1):
        for name in providers:
            grade = _grade(lab, name, progress)
            progress.say(
                f"{lab.id} on {name}, run {turn} of {runs}: {grade.total_s:.1f} s, {grade.percent} %"
            )
            found[name].append(grade)
    return {name: tuple(grades) for name, grades in found.items()}


def grades_json(grades: dict[str, tuple[Grade, ...]]) -> dict[str, object]:
    """Every grade, with the spread of their seconds by provider."""
    return {
        name: {
            "total_s": spread([grade.total_s for grade in each]),
            "runs": [grade.as_json() for grade in each],
        }
        for name, each in grades.items()
    }


def record_of_reference(lab: Lab, place: Path, progress: Progress) -> Path:
    """A record of the reference of `lab` at `place`: the self-test's, if it is of today, else a new one.

    Raises:
        InfraFault: a grade came to no score.
    """
    key = grade_key(lab, lab.rubric, digest_of(lab.reference), _EMBEDDED)
    if not Recordings(lab.id).unpack(key.record, place):
        _grade(lab, _EMBEDDED, progress, keep=place)
    return place


def _grade(lab: Lab, provider: str, progress: Progress, *, keep: Path | None = None) -> Grade:
    """One grade; its record goes to `keep`, if that is named."""
    with OwnedFolder("bench", "grade") as owned, progress.task(f"grading {lab.id} on {provider}"):
        out, log = owned.path / "out", owned.path / "log.txt"
        arguments = [lab.id, str(lab.reference), "--provider", provider, "--out", str(out)]
        processes = GradingProcesses({})
        started = time.monotonic()
        with done_before_the_end(processes.end):
            processes.run(arguments, log)
        total_s = time.monotonic() - started
        try:
            report = json.loads((out / "report.json").read_text("utf-8"))
        except (OSError, ValueError) as error:
            said = log.read_text("utf-8", "replace")[-500:]
            raise InfraFault(f"a grade on {provider} left no report: {said}") from error
        if report["percent"] is None:
            raise InfraFault(f"a grade on {provider} came to no score: {report['problem']}")
        if keep is not None:
            shutil.move(out / "bundle", keep)
        return Grade(total_s, float(report["timing"].get("cluster_start", 0.0)), str(report["percent"]))
