"""What faults, probes, a ledger and a runbook leave in a bundle: what a recovery is measured by.

As everywhere in a bundle, `t` is in seconds since the start of the run, on the monotonic clock.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar


@dataclass(frozen=True)
class ProbeSample:
    """One slot of an open-loop probe: sent at `t`, answered at `t_end`, None where nobody answered.

    `due` is when slot number `slot` was to be sent. `ok` says what the answer was, not whether it came in
    time. `t` was read before the request was sent, `t_end` after the answer was in.
    """

    FILE: ClassVar[str] = "probes.jsonl"

    t: float
    t_end: float | None
    probe: str
    slot: int
    due: float
    ok: bool
    error: str = ""
    cluster: str = ""


@dataclass(frozen=True)
class StarvationSample:
    """One slot of the control of the processor: `work_s` of computing, begun at `t`, done at `t_end`.

    Whatever it took longer than `work_s` from `due` on, the machine gave its processors to others.
    """

    FILE: ClassVar[str] = "starvation.jsonl"

    t: float
    t_end: float
    due: float
    work_s: float

    @property
    def late_s(self) -> float:
        """Seconds by which the work was done later than on an idle machine."""
        return self.t_end - self.due - self.work_s


@dataclass(frozen=True)
class LedgerWrite:
    """One operation of a ledger, sent at `t`, acknowledged at `t_end`; None where no answer came.

    Each `ledger` keeps a log a `kind`, numbered by `seq` from 1, in which an operation is sent after the one
    before it was answered or given up. `verb` is `create` or `delete`; `part` names what of an object is
    written by a request of its own, such as `status`, and a delete takes all parts. `owner` names the object
    that an ownerReference points at. What the garbage collector takes along has a delete without answer.
    """

    FILE: ClassVar[str] = "ledgerwrites.jsonl"

    t: float
    t_end: float | None
    ledger: str
    kind: str
    seq: int
    verb: str
    name: str
    part: str = ""
    owner: str = ""
    cluster: str = ""


@dataclass(frozen=True)
class RestoredRecord:
    """One part of an object of a ledger as it was found at `t`, by one look at all of its kind.

    `seq`, `written` and `seal` are the text that stood there; anybody may have written it. `owner` is the
    name of the owner whose *present* uid the ownerReference has; empty where there is none, or where it
    points at an object that is gone.
    """

    FILE: ClassVar[str] = "restoredrecords.jsonl"

    t: float
    ledger: str
    kind: str
    name: str
    seq: str
    written: str
    seal: str
    part: str = ""
    owner: str = ""
    cluster: str = ""


@dataclass(frozen=True)
class ScriptRun:
    """One start of `backup`, `restore` or `verify`, from `t` to `t_end`.

    `purpose` says what it was for; `code` is its exit status, None where it was ended, and `how` that in
    words. `backup` is the id under which a backup was sealed, empty where it was not.
    """

    FILE: ClassVar[str] = "scriptruns.jsonl"

    t: float
    t_end: float
    script: str
    purpose: str
    code: int | None
    how: str
    backup: str = ""
    said: str = ""
    cluster: str = ""


@dataclass(frozen=True)
class Drill:
    """One fault and what followed: it came between `t` and `t_end`, and was watched until `watched`.

    `phase` tells drills of one scenario apart, `attempt` repetitions of one phase, from 1. `ledger` is the
    one that was written when it came. `facts` has the backup sealed last, `newest`, with its begin and end.
    """

    FILE: ClassVar[str] = "drills.jsonl"

    t: float
    t_end: float
    watched: float
    scenario: str
    phase: str
    attempt: int
    ledger: str
    dead: tuple[str, ...] = ()
    facts: Mapping[str, object] = field(default_factory=dict)
    cluster: str = ""

    @property
    def key(self) -> str:
        """What looks and starts of scripts that belong to it are called by."""
        return self.phase if self.attempt == 1 else f"{self.phase}-{self.attempt}"


@dataclass(frozen=True)
class LedgerLook:
    """A look at all records of a ledger, at `t`; `when` says on what occasion, `owners` which owners are.

    Its records are the `RestoredRecord`s of the same `t`.
    """

    FILE: ClassVar[str] = "ledgerlooks.jsonl"

    t: float
    ledger: str
    when: str
    owners: tuple[str, ...] = ()
    cluster: str = ""


@dataclass(frozen=True)
class LedgerKey:
    """The secret under which the records of a run are sealed, in hexadecimal, and the run that it binds."""

    FILE: ClassVar[str] = "ledgerkeys.jsonl"

    t: float
    secret: str
    run_id: str
    cluster: str = ""


@dataclass(frozen=True)
class ObjectsLook:
    """What protected objects hold, as digests by their paths; empty where one is not there."""

    FILE: ClassVar[str] = "objectslooks.jsonl"

    t: float
    when: str
    digests: Mapping[str, str]
    cluster: str = ""
