"""What is run of a chaos experiment, with what, and how, whatever runs it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from graders.sandbox.protocol import Limits, Sandbox
from graders.sandbox.runtime import Runtime


class ChaosExperiment(Protocol):
    """One experiment: `format` is chaostoolkit, chaosmesh or litmus; `hypothesis` is chaosmesh's command."""

    @property
    def id(self) -> str:
        """What it is called."""

    @property
    def format(self) -> str:
        """What its file is written for."""

    @property
    def file(self) -> str:
        """Where it is, below the submission."""

    @property
    def hypothesis(self) -> tuple[str, ...]:
        """The command that exits with 0 where its hypothesis holds; empty where the file has its own."""


@dataclass(frozen=True)
class ChaosEnvironment:
    """What experiments are run with.

    `runtime` is what commands of a hypothesis have, beside the folder `programs`; `toolkit` is that of Chaos
    Toolkit, with its `settings` and `pythonpath` in the submission. `folder` is private to the harness.
    """

    sandbox: Sandbox
    submission: Path
    runtime: Runtime
    toolkit: Runtime
    programs: Path
    limits: Limits
    folder: Path
    settings: str = ""
    pythonpath: str = ""


@dataclass(frozen=True)
class RunMode:
    """How an experiment is run: `bare` leaves its hypothesis alone of it, `dry` leaves out its actions.

    With `continuous`, its hypothesis is asked all the time. `first_write` says when it has written first,
    None while it has not: it is aborted in the next pause. `purpose` is what the record calls the run.
    """

    purpose: str
    bare: bool = False
    dry: bool = False
    continuous: bool = False
    first_write: Callable[[], float | None] | None = None

    @property
    def aborted(self) -> bool:
        """Whether it is aborted."""
        return self.first_write is not None
