"""The seam between a batch and whatever grades its hand-ins."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from graders.batch.grading import MOST_S
from graders.batch.intake import HandIn
from graders.batch.results import Results
from graders.batch.work import Work
from graders.course import Lab
from graders.progress import Progress
from graders.store import NewGrade, StoredGrade

Keep = Callable[[NewGrade], StoredGrade]
"""Has a grade in the store, in one transaction; any thread may call it."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What to grade, and how: `jobs` gradings side by side, whose results go below `results`.

    What is UNGRADED in the store stays so unless `retry_ungraded`. No grading takes longer than `most_s`.
    """

    lab: Lab
    hand_ins: Sequence[HandIn]
    results: Path
    provider: str
    jobs: int
    retry_ungraded: bool = False
    most_s: float = MOST_S

    @property
    def places(self) -> Results:
        """Where the results of its gradings lie."""
        return Results(self.lab.id, self.results, self.provider)


@dataclass(frozen=True, kw_only=True)
class ExecutorOptions:
    """What somebody said of an executor; empty where nothing was said."""

    image: str = ""
    objects: str = ""
    namespace: str = ""
    queue: str = ""
    secret: str = ""
    claim: str = ""
    cpu: str = ""
    memory: str = ""
    kubeconfig: Path | None = None
    context: str = ""

    def given(self) -> dict[str, str]:
        """The options that were given, by name."""
        return {name: str(value) for name, value in vars(self).items() if value}


class Executor(Protocol):
    """Grades a batch's hand-ins somewhere."""

    @property
    def title(self) -> str:
        """Where, as progress tells it."""

    def grades(
        self, batch: Batch, to_do: Sequence[Work], keep: Keep, progress: Progress
    ) -> Iterator[StoredGrade]:
        """The grades of `to_do` as they come, each kept before it is given.

        Whoever is killed on the way and called again goes on: what was graded is not graded again. One that
        could not be graded is kept as UNGRADED.

        Raises:
            InfraFault: the store, or what gradings share, cannot be had; what was kept stays.
            UsageError: it was asked for something that cannot be.
        """
