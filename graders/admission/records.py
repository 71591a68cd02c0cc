"""What attempts and access reviews leave in a bundle; pure."""

from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True)
class AttemptAnswer:
    """One attempt against a cluster, by a named user: what was tried, and the answer to it.

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
class AccessAnswer:
    """Whether a user may do something on a cluster."""

    FILE: ClassVar[str] = "access.jsonl"

    t: float
    cluster: str
    verb: str
    group: str
    resource: str
    namespace: str
    name: str
    allowed: bool

    def __str__(self) -> str:
        what = f"{self.resource}.{self.group}" if self.group else self.resource
        named = f" {self.name}" if self.name else ""
        where = f"in {self.namespace}" if self.namespace else "everywhere"
        return f"{self.verb} {what}{named} {where}"


@dataclass(frozen=True)
class MeshAnswer:
    """What an API server with the kinds of a mesh says of one of its manifests; nothing is stored."""

    FILE: ClassVar[str] = "meshanswers.jsonl"

    t: float
    api_version: str
    kind: str
    namespace: str
    name: str
    code: int
    message: str = ""
