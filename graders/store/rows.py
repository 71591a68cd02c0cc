"""Rows of a store as values."""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, select

from graders.gradekey import GradeKey
from graders.model import Verdict
from graders.store.address import Address
from graders.store.records import (
    Event,
    HistoryEntry,
    OverrideEntry,
    StoredGrade,
    moment_of,
    number_of,
)
from graders.store.schema import ATTEMPTS, COURSE, GRADES, LEARNERS, OVERRIDES

_AT_ONCE = 500
"""A statement has so many parameters at most."""

_GRADE = [column for column in GRADES.c if column.name != "report"]
_ATTEMPT = [
    ATTEMPTS.c[name] for name in ("learner_id", "lab", "submission", "submitted_at", "first_at", "grade_id")
]

ORDER = (LEARNERS.c.enrolled.desc(), LEARNERS.c.place, LEARNERS.c.learner_id)
"""The class, then those who left."""


def policy(connection: Connection) -> str | None:
    """The rules that were adopted last, as text."""
    return connection.execute(select(COURSE.c.policy).order_by(COURSE.c.id.desc()).limit(1)).scalar()


def grades(connection: Connection, address: Address, *wanted: ColumnElement[bool]) -> list[StoredGrade]:
    """Grades without their reports, in the order of roster, labs, attempts and time."""
    rows = connection.execute(
        select(*_GRADE, *_ATTEMPT)
        .join(ATTEMPTS, GRADES.c.attempt_id == ATTEMPTS.c.id)
        .join(LEARNERS, ATTEMPTS.c.learner_id == LEARNERS.c.learner_id)
        .where(*wanted)
        .order_by(*ORDER, ATTEMPTS.c.lab, GRADES.c.id)
    )
    found = [_grade(row, address) for row in rows]
    # Sorting keeps the order of whatever is equal.
    place = {one.learner_id: number for number, one in reversed(list(enumerate(found)))}
    return sorted(
        found,
        key=lambda one: (
            place[one.learner_id],
            one.lab,
            one.submitted_at or one.first_at,
            one.attempt,
            one.id,
        ),
    )


def reports(connection: Connection, wanted: Sequence[int]) -> Iterator[tuple[int, str]]:
    """Ids and reports, as text."""
    for start in range(0, len(wanted), _AT_ONCE):
        some = wanted[start : start + _AT_ONCE]
        chosen = select(GRADES.c.id, GRADES.c.report).where(GRADES.c.id.in_(some))
        yield from ((row.id, row.report) for row in connection.execute(chosen))


def holding(connection: Connection) -> dict[tuple[str, str], OverrideEntry]:
    """The overrides that hold, by learner and lab."""
    found: dict[tuple[str, str], OverrideEntry] = {}
    for row in connection.execute(select(OVERRIDES).order_by(OVERRIDES.c.id)):
        one = override(row)
        found.pop((one.learner_id, one.lab), None)
        if one.points is not None:
            found[one.learner_id, one.lab] = one
    return found


def override(row: Row[Any]) -> OverrideEntry:
    """One override."""
    possible = number_of(row.possible)
    assert possible is not None
    return OverrideEntry(
        id=row.id,
        learner_id=row.learner_id,
        lab=row.lab,
        points=number_of(row.points),
        possible=possible,
        author=row.author,
        reason=row.reason,
        at=moment_of(row.at),
    )


def history(connection: Connection, address: Address, *, lab: str, learner_id: str) -> list[HistoryEntry]:
    """All changes of grades and results, in the order of time."""
    wanted = [ATTEMPTS.c.lab == lab] if lab else []
    said = [OVERRIDES.c.lab == lab] if lab else []
    if learner_id:
        wanted.append(ATTEMPTS.c.learner_id == learner_id)
        said.append(OVERRIDES.c.learner_id == learner_id)
    entries = []
    known = {one.id: one for one in grades(connection, address, *wanted)}
    for one in known.values():
        before = known.get(one.replaces) if one.replaces is not None else None
        entries.append(
            HistoryEntry(
                at=one.at,
                event=one.event,
                learner_id=one.learner_id,
                lab=one.lab,
                attempt=one.attempt,
                before=before.total if before else None,
                after=one.total,
                verdict=one.verdict,
                author=one.author,
                reason=one.reason,
            )
        )
    last: dict[tuple[str, str], OverrideEntry] = {}
    for row in connection.execute(select(OVERRIDES).where(*said).order_by(OVERRIDES.c.id)):
        now = override(row)
        earlier = last.get((now.learner_id, now.lab))
        last[now.learner_id, now.lab] = now
        entries.append(
            HistoryEntry(
                at=now.at,
                event=Event.LIFTED if now.points is None else Event.OVERRIDDEN,
                learner_id=now.learner_id,
                lab=now.lab,
                attempt=None,
                before=earlier.points if earlier else None,
                after=now.points,
                verdict=None,
                author=now.author,
                reason=now.reason,
            )
        )
    return sorted(entries, key=lambda entry: entry.at)


def _grade(row: Row[Any], address: Address) -> StoredGrade:
    return StoredGrade(
        id=row.id,
        attempt=row.attempt_id,
        learner_id=row.learner_id,
        lab=row.lab,
        submission=row.submission,
        submitted_at=moment_of(row.submitted_at) if row.submitted_at else None,
        first_at=moment_of(row.first_at),
        key=GradeKey(record=row.record_key, judge=row.judge_key, score=row.score_key),
        verdict=Verdict(row.verdict),
        problem=row.problem,
        total=number_of(row.total),
        possible=number_of(row.possible),
        percent=number_of(row.percent),
        provider=row.provider,
        bundle=address.bundle_at(row.bundle) if row.bundle else None,
        bundle_digest=row.bundle_digest,
        event=Event(row.event),
        author=row.author,
        reason=row.reason,
        at=moment_of(row.at),
        replaces=row.replaces,
        holds=row.id == row.grade_id,
    )
