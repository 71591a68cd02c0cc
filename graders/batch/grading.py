"""One hand-in, graded in a process of its own: from what lies somewhere to what a store keeps."""

import math
from dataclasses import dataclass
from pathlib import Path

from graders.batch.results import Results
from graders.batch.work import Work
from graders.faults import UsageError
from graders.gradingprocess import GradingProcesses
from graders.model import Verdict
from graders.progress import Progress
from graders.reports.report_json import load_report
from graders.store import NewGrade

MOST_S = 3600.0
"""No grading takes longer, unless something hangs that no limit of its own ends."""

_LOG = "grading.log"
_TAIL_BYTES = 4096
_WORDS = 300


class NoReport(Exception):
    """A grading came to no report; says why."""


@dataclass(frozen=True)
class Grader:
    """Grades hand-ins of one lab. Any thread may use it."""

    lab: str
    provider: str
    processes: GradingProcesses
    progress: Progress
    most_s: float = math.inf

    def grade(self, work: Work, results: Results) -> NewGrade:
        """Grade one hand-in; its results are in a new folder of its learner's when this returns.

        Raises:
            InterruptedError: gradings are being ended.
        """
        if work.hand_in.problem:
            return results.told(work, Verdict.REJECTED, work.hand_in.problem)
        try:
            return results.keep(work, self.run(work, results.making(work)))
        except NoReport as error:
            return results.told(work, Verdict.UNGRADED, str(error))

    def run(self, work: Work, making: Path) -> Path:
        """Grade one hand-in; gives the folder in `making` that has its report, log and perhaps a bundle.

        Raises:
            NoReport: it came to none. InterruptedError: gradings are being ended.
        """
        hand_in, out, log = work.hand_in, making / "out", making / _LOG
        try:
            with self.progress.task(hand_in.learner_id) as task:
                self.processes.run(
                    [
                        *(self.lab, str(hand_in.path), "--out", str(out)),
                        *("--provider", self.provider, "--learner", hand_in.learner_id),
                    ],
                    log,
                    most_s=self.most_s,
                    meanwhile=lambda: task.update(detail=_last_line(log)),
                )
            load_report(out / "report.json")
        except TimeoutError as error:
            raise NoReport(f"the harness hung: {error}") from error
        except UsageError as error:
            raise NoReport(f"the grading left no report; the last it said: {_last_words(log)}") from error
        log.rename(out / _LOG)
        return out


def _last_line(log: Path) -> str:
    """The last line of what a grading said."""
    return (_lines(log) or [""])[-1][:_WORDS]


def _last_words(log: Path) -> str:
    """The last thing that a grading said: the error that ended it with its fix, or else its last line."""
    lines = _lines(log)
    errors = [place for place, line in enumerate(lines) if line.startswith("kubeproof: ")]
    return " ".join(lines[errors[-1] :])[: 4 * _WORDS] if errors else _last_line(log)


def _lines(log: Path) -> list[str]:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
        return [line.strip() for line in file.read().decode("utf-8", "replace").splitlines() if line.strip()]
