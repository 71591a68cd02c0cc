"""What reading yields, and what it may cost."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from graders.faults import BadSubmission, LocatedError

Location = tuple[str | int, ...]
"""Where a value stands in a document: `("operator", "command", 0)`."""


@dataclass(frozen=True)
class DocumentLimits:
    """What a file may cost; `nodes` counts what aliases stand for as well.

    With `plain_keys` a key that is a number or a truth becomes text, as it does on the way to an API server.
    """

    size_bytes: int = 1024 * 1024
    depth: int = 64
    nodes: int = 100_000
    aliases: int = 100
    documents: int = 1000
    plain_keys: bool = False


@dataclass(frozen=True)
class Document:
    """Plain data (dict, list, str, int, float, bool, None) and the line each value starts on."""

    data: Any
    lines: Mapping[Location, int]
    file: str
    error: type[LocatedError] = BadSubmission

    def line(self, location: Location = ()) -> int:
        """The line of `location`, or of the nearest thing around it that has one."""
        while location and location not in self.lines:
            location = location[:-1]
        return self.lines.get(location, 1)

    def refusal(self, problem: str, location: Location = (), *, fix: str) -> LocatedError:
        """An error about what stands at `location`, to be raised by the caller."""
        return self.error(problem, file=self.file, line=self.line(location), fix=fix)
