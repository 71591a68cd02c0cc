"""What all tracks of one cluster share: an environment with an operator in it."""

import threading
from dataclasses import dataclass, field

from graders.evidence.records import Object
from graders.lab1.samples import Samples
from graders.scenario.environment import Environment
from graders.scenario.learnerprocess import LearnerProcess


@dataclass(frozen=True, kw_only=True)
class OperatorEnvironment(Environment):
    """An environment with an operator, and in one track with a second replica of it."""

    watch_turn: threading.Lock = field(default_factory=threading.Lock)
    """Held by the track that disturbs watches: what ends one for 410 would end another's old news."""
    at: int | None = None
    """The one crash point to act out; None for all."""
    deployments: tuple[Object, ...] = ()
    """Those of the submission, as they were handed in."""
    samples: Samples = field(default_factory=Samples)

    @property
    def operator(self) -> LearnerProcess:
        """The operator, its first replica."""
        return self.processes[0]

    @property
    def standby(self) -> LearnerProcess | None:
        """A second replica, in the one track that has it."""
        return self.processes[1] if len(self.processes) > 1 else None
