"""The record types of lab 3, beside those that a recovery is measured by (`graders.recovery.records`).

As everywhere in a bundle, `t` is in seconds since the start of the run, on the monotonic clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar


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
    """A look at all records of a ledger, at `t`; `when` says on what occasion, `owners` which Models are.

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
    """What the objects of workload/ hold, as digests by their paths; empty where one is not there."""

    FILE: ClassVar[str] = "objectslooks.jsonl"

    t: float
    when: str
    digests: Mapping[str, str]
    cluster: str = ""


@dataclass(frozen=True)
class BaselineLook:
    """What experiments must leave as it was, as digests by path; `when` says after which run of which."""

    FILE: ClassVar[str] = "baselinelooks.jsonl"

    t: float
    experiment: str
    when: str
    digests: Mapping[str, str]
    cluster: str = ""
