"""What a release manager and a promotion command leave in a bundle; pure."""

from dataclasses import dataclass, field
from typing import Any, ClassVar


@dataclass(frozen=True)
class Commit:
    """A commit of the branch that the fleet follows.

    `by` is `grader` or `learner`, `release` the version of the image that it is for, where it is for one,
    `files` the paths that it changed.
    """

    FILE: ClassVar[str] = "commits.jsonl"

    t: float
    sha: str
    parents: tuple[str, ...]
    by: str
    subject: str
    release: str = ""
    files: tuple[str, ...] = field(default_factory=tuple)


@dataclass(frozen=True)
class CommandRun:
    """One run of the promotion command, from `t` to `t_end`: how it ended, and the end of what it printed.

    `state` is what it was told of each environment, `pushes` how often it moved the branch.
    """

    FILE: ClassVar[str] = "commandruns.jsonl"

    t: float
    t_end: float
    nth: int
    code: int | None
    reason: str
    output: str = ""
    state: Any = None
    pushes: int = 0


@dataclass(frozen=True)
class Push:
    """The promotion command moved the branch; `forced`: commits are no part of it any more.

    `lost` are those among them that the release manager had made.
    """

    FILE: ClassVar[str] = "pushes.jsonl"

    t: float
    before: str
    after: str
    forced: bool
    lost: tuple[str, ...] = field(default_factory=tuple)
