"""What only this lab puts on record; pure."""

from dataclasses import dataclass
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
