"""The lines of an evidence bundle, one frozen type per file.

Every `t` is in seconds since the start of the run, on a monotonic clock; wall-clock stamps of an API
server are converted once, by the recorder. `FILE` is where records of a type go. `cluster` is the name of
the cluster that a record is of; a lab adds a record type by declaring one like these.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from http import HTTPStatus
from typing import Any, ClassVar, Protocol

Object = Mapping[str, Any]
"""A Kubernetes object as the API server gave it, without managedFields."""


class Record(Protocol):
    """What every record type has, a lab's own too."""

    FILE: ClassVar[str]
    """The name of its file in the bundle, such as `marks.jsonl`."""

    @property
    def t(self) -> float:
        """When it was, in seconds since the start of the run."""


NAMESPACE = "namespace"
"""The mark that says which namespace of which cluster is a track's, or a named part of it."""

CLEARED = "cleared"
"""The mark after which the record of its namespace tells nothing: the grader took away what was there."""


@dataclass(frozen=True)
class Mark:
    """Something the scenario did or reached: `created`, `scaled`, `missed`.

    `track` is the piece of acting that set it; `data` names the objects meant.
    """

    FILE: ClassVar[str] = "marks.jsonl"

    t: float
    track: str
    name: str
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Wait:
    """A stretch of time in which a track waited, from `t` to `t_end`; `what` says for what, in words.

    `kind` is `condition`, `rest` (until the operator stops writing), `turn` (until no other track
    disturbs watches), `others` (until every track is ready for the restart) or `restart`. `released_by`
    is the track that the others waited for last.
    """

    FILE: ClassVar[str] = "waits.jsonl"

    t: float
    t_end: float
    track: str
    kind: str
    what: str
    released_by: str = ""


@dataclass(frozen=True)
class AuditEvent:
    """One request as the API server's audit log has it, when its response was complete.

    `t` is when the request was received, `t_end` when it was answered. `request` and `response` hold
    bodies where the audit policy keeps them: always the request of a write.
    """

    FILE: ClassVar[str] = "audit.jsonl"

    t: float
    t_end: float
    id: str
    user: str
    verb: str
    group: str
    resource: str
    subresource: str
    namespace: str
    name: str
    code: int
    dry_run: bool = False
    user_agent: str = ""
    request: Any = None
    response: Any = None
    annotations: Mapping[str, str] = field(default_factory=dict)
    cluster: str = ""

    @property
    def ok(self) -> bool:
        """Whether the API server accepted it."""
        return 200 <= self.code < 300

    @property
    def is_write(self) -> bool:
        """Whether it could have changed something (dry runs cannot)."""
        return self.verb in WRITE_VERBS and not self.dry_run

    @property
    def did(self) -> str:
        """What its verb did, see `effective_verb`."""
        return effective_verb(self.verb, self.code)


def effective_verb(verb: str, code: int) -> str:
    """What a request did: its verb, but `create` where what was applied or put had not been there.

    Whoever uses server-side apply never asks to create; the API server's answer, 201, says that it did.
    """
    return "create" if code == HTTPStatus.CREATED and verb in ("patch", "update") else verb


WRITE_VERBS = frozenset({"create", "update", "patch", "delete", "deletecollection"})


@dataclass(frozen=True)
class WatchEvent:
    """One watch event of the grader's own watches: `type` is ADDED, MODIFIED or DELETED."""

    FILE: ClassVar[str] = "objects.jsonl"

    t: float
    type: str
    resource: str
    namespace: str
    name: str
    object: Object
    cluster: str = ""

    @cached_property
    def uid(self) -> str:
        """The object's uid."""
        return str(self.object.get("metadata", {}).get("uid", ""))


@dataclass(frozen=True)
class Scrape:
    """One read of an operator process's metrics port; `text` is what it answered, `error` why not."""

    FILE: ClassVar[str] = "scrapes.jsonl"

    t: float
    instance: str
    ok: bool
    text: str = ""
    error: str = ""


@dataclass(frozen=True)
class ProcessEvent:
    """Something that happened to an operator process.

    `event` is `started`, `ready`, `killed` (by the scenario), `paused` and `resumed` (by it, too),
    `exited` (by itself), `stopped` (at the end of the run), `usage`; `instance` numbers the
    processes of one replica: `operator-1`, `operator-2` …, and `standby-1` … of a second.
    """

    FILE: ClassVar[str] = "processes.jsonl"

    t: float
    instance: str
    event: str
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Request:
    """A request of the grader itself whose answer is evidence: an install, a refused bad spec."""

    FILE: ClassVar[str] = "requests.jsonl"

    t: float
    track: str
    name: str
    method: str
    path: str
    code: int
    body: Any = None
    response: Any = None
    warnings: tuple[str, ...] = ()
    cluster: str = ""


@dataclass(frozen=True)
class Exchange:
    """One request of the operator's as the fault proxy saw it.

    `t` is when its head had arrived, `t_end` when the last of the answer was sent; `code` is 0 where
    no answer was. `rules` names the disturbances it met.
    """

    FILE: ClassVar[str] = "exchanges.jsonl"

    t: float
    t_end: float
    instance: str
    verb: str
    group: str
    resource: str
    subresource: str
    namespace: str
    name: str
    code: int
    rules: tuple[str, ...] = ()
    user_agent: str = ""
    cluster: str = ""


@dataclass(frozen=True)
class Disturbance:
    """One application of a rule of the fault proxy's: which, to what request, and what was done."""

    FILE: ClassVar[str] = "disturbances.jsonl"

    t: float
    rule: str
    instance: str
    effect: str
    verb: str
    resource: str
    subresource: str
    namespace: str
    name: str
    cluster: str = ""


@dataclass(frozen=True)
class ToolRun:
    """A program run over the submission in the sandbox: linters, type checkers, the learner's tests."""

    FILE: ClassVar[str] = "tools.jsonl"

    t: float
    tool: str
    argv: tuple[str, ...]
    code: int | None
    duration_s: float
    output: str = ""
    reason: str = ""


@dataclass(frozen=True)
class HarnessSample:
    """How healthy the harness itself was: `lag_s` is how late its clock tick came.

    A harness that was not scheduled cannot say that somebody else was late.
    """

    FILE: ClassVar[str] = "harness.jsonl"

    t: float
    lag_s: float


@dataclass(frozen=True)
class HealthSample:
    """How a cluster's API answered: `read_s` is what a trivial read took.

    None says that it failed, and `error` how. That an API server is away may be what a lab is about.
    """

    FILE: ClassVar[str] = "health.jsonl"

    t: float
    read_s: float | None
    error: str = ""
    cluster: str = ""


@dataclass(frozen=True)
class WatchBreak:
    """A watch of the grader's ended and was begun anew, from `before`; `after` is where it went on.

    `how` is `reconnected` (nothing was missed), `relisted` (what happened between is known only by its
    outcome) or `went-back`: the API server's revision is lower than one it had given before, as after the
    restore of a snapshot.
    """

    FILE: ClassVar[str] = "watchbreaks.jsonl"

    t: float
    resource: str
    how: str
    before: str
    after: str
    error: str = ""
    cluster: str = ""
