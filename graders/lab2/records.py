"""What only this lab puts on record; pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar


@dataclass(frozen=True)
class RepositoryFile:
    """A text file of the submission as the engine gets it: the grader's values are in their places."""

    FILE: ClassVar[str] = "files.jsonl"

    t: float
    path: str
    text: str


@dataclass(frozen=True)
class Rendering:
    """One folder rendered once: its objects, a digest of the bytes, or what was said against it.

    `what` is an environment, `chart:PATH` or `mesh`; `nth` counts the renderings of it.
    """

    FILE: ClassVar[str] = "renderings.jsonl"

    t: float
    what: str
    path: str
    nth: int
    sha256: str = ""
    objects: tuple[Any, ...] = ()
    error: str = ""


@dataclass(frozen=True)
class Commit:
    """A commit of the branch that the fleet follows.

    `by` is `grader` or `learner`, `release` the version of the web image that it is for, where it is for one,
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


@dataclass(frozen=True)
class AttemptAnswer:
    """One attempt against a spoke, by a named user: what was tried, and the answer to it.

    `case` names the attempt, `rule` what it breaks (empty: nothing); `dry_run` attempts store nothing.
    """

    FILE: ClassVar[str] = "asked.jsonl"

    t: float
    cluster: str
    track: str
    case: str
    rule: str
    user: str
    kind: str
    namespace: str
    name: str
    code: int
    message: str = ""
    dry_run: bool = False
    object: Any = None


@dataclass(frozen=True)
class MeshAnswer:
    """What an API server with the kinds of the mesh says of an object of mesh/; nothing is stored."""

    FILE: ClassVar[str] = "meshanswers.jsonl"

    t: float
    api_version: str
    kind: str
    namespace: str
    name: str
    code: int
    message: str = ""


@dataclass(frozen=True)
class SecretSeen:
    """The token of an environment as its API server has it: its digest and length, never itself.

    `phase` is `handed-in`, or `replaced` for the grader's own.
    """

    FILE: ClassVar[str] = "secrets.jsonl"

    t: float
    cluster: str
    phase: str
    sha256: str
    length_bytes: int


@dataclass(frozen=True)
class Exposure:
    """A secret stands in plain view: `where`, and as what (`raw`, `base64`, `hex`) or who says so."""

    FILE: ClassVar[str] = "exposures.jsonl"

    t: float
    where: str
    how: str
