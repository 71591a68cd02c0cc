"""What goes into a store and comes out of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any

from graders.evidence.bundle import Bundle
from graders.evidence.digest import bundle_digest
from graders.gradekey import GradeKey
from graders.model import GradeReport, Verdict
from graders.reports.report_json import report_document


class Event(StrEnum):
    """What made a row of the history."""

    GRADED = "graded"
    """It was recorded and judged."""
    RESCORED = "rescored"
    """A record or its outcomes were judged or scored again."""
    OVERRIDDEN = "overridden"
    LIFTED = "override lifted"


@dataclass(frozen=True)
class NewGrade:
    """A grade to be kept.

    `submission` is a digest, `report` a `kubeproof/report/v1`. `bundle_digest` is that of the folder
    `bundle`; both are None where no record came to be. `replaces` is the grade that must still hold when
    this one is saved.
    """

    learner_id: str
    lab: str
    submission: str
    key: GradeKey
    verdict: Verdict
    problem: str
    total: Decimal | None
    possible: Decimal | None
    percent: Decimal | None
    report: Mapping[str, Any]
    provider: str = ""
    submitted_at: datetime | None = None
    bundle: Path | None = None
    bundle_digest: str | None = None
    event: Event = Event.GRADED
    author: str = "kubeproof"
    reason: str = ""
    replaces: int | None = None

    @classmethod
    def of(
        cls,
        report: GradeReport,
        *,
        learner_id: str,
        key: GradeKey,
        submission: str = "",
        bundle: Path | None = None,
        **more: Any,
    ) -> NewGrade:
        """What a report says, with the digest of its bundle.

        Args:
            report: of a grading.
            learner_id: whose it is, as in the roster.
            key: what it depends on.
            submission: digest of what was handed in; of a report that knows none, such as a rejected one.
            bundle: the folder that it was judged from, where there is one.
            more: any other field.

        Raises:
            InfraFault: the bundle cannot be read.
        """
        score = report.score if report.verdict is Verdict.GRADED else None
        document = report_document(report, Bundle(bundle) if bundle else None)
        more.setdefault("bundle_digest", bundle_digest(bundle) if bundle else None)
        more.setdefault("provider", str(report.provenance.get("provider", "")))
        return cls(
            learner_id=learner_id,
            lab=report.lab,
            submission=submission or str(report.submission.get("digest", "")),
            key=key,
            verdict=report.verdict,
            problem=str(document["problem"]),
            total=score.total if score else None,
            possible=report.score.possible if report.score else None,
            percent=score.percent if score else None,
            report=document,
            bundle=bundle,
            **more,
        )


@dataclass(frozen=True)
class StoredGrade:
    """A grade that is kept, without its report: `GradeStore.report` has that.

    Moments are aware. `bundle` is where the record lay when it was stored; `verify_digest` says whether it
    still is that. `holds` is false for a grade that another one replaced.
    """

    id: int
    attempt: int
    learner_id: str
    lab: str
    submission: str
    submitted_at: datetime | None
    first_at: datetime
    key: GradeKey
    verdict: Verdict
    problem: str
    total: Decimal | None
    possible: Decimal | None
    percent: Decimal | None
    provider: str
    bundle: Path | None
    bundle_digest: str | None
    event: Event
    author: str
    reason: str
    at: datetime
    replaces: int | None
    holds: bool


@dataclass(frozen=True)
class OverrideEntry:
    """What a person said of a result; `points` None lifts what was said before."""

    id: int
    learner_id: str
    lab: str
    points: Decimal | None
    possible: Decimal
    author: str
    reason: str
    at: datetime


@dataclass(frozen=True)
class HistoryEntry:
    """One change: who made what of which, when and why.

    `before` and `after` are the points of an attempt, or what an override says; None where there are none.
    """

    at: datetime
    event: Event
    learner_id: str
    lab: str
    attempt: int | None
    before: Decimal | None
    after: Decimal | None
    verdict: Verdict | None
    author: str
    reason: str


def moment_text(at: datetime) -> str:
    """A moment as a store has it."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def moment_of(text: str) -> datetime:
    """A moment that `moment_text` wrote."""
    return datetime.fromisoformat(text)


def number_text(value: Decimal | None) -> str | None:
    """A number as a store has it: every digit."""
    return None if value is None else f"{value:f}"


def number_of(text: str | None) -> Decimal | None:
    """A number that `number_text` wrote."""
    return None if text is None else Decimal(text)


def report_text(report: Mapping[str, Any]) -> str:
    """A report as a store has it: ASCII."""
    return json.dumps(report, default=_exact, allow_nan=False, separators=(",", ":"))


def report_of(text: str) -> dict[str, Any]:
    """A report that `report_text` wrote, its numbers to the digit."""
    found: dict[str, Any] = json.loads(text, parse_float=Decimal)
    return found


def _exact(value: object) -> int | float:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    raise TypeError(f"{type(value).__name__} is nothing of a report's")
