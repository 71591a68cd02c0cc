"""What probes, a processor's control and a ledger leave in a bundle: what a recovery is measured by.

As everywhere in a bundle, `t` is in seconds since the start of the run, on the monotonic clock.
"""

from __future__ import annotations

from dataclasses import dataclass
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
