"""The class in a store."""

import json
from typing import Any

from sqlalchemy import Connection, Row, bindparam, insert, select, update

from graders.cohort.instants import Extension
from graders.cohort.roster import Learner, Roster
from graders.faults import UsageError
from graders.store.rows import ORDER
from graders.store.schema import LEARNERS


def enrol(connection: Connection, roster: Roster) -> None:
    """Make `roster` the class.

    Raises:
        UsageError: it writes somebody's id in another case than before, which would make two persons of one.
    """
    there = set(connection.execute(select(LEARNERS.c.learner_id)).scalars())
    known = {each.lower(): each for each in there}
    for learner in roster.learners:
        before = known.get(learner.learner_id.lower(), learner.learner_id)
        if before != learner.learner_id:
            raise UsageError(
                f"the roster calls {learner.learner_id!r} whom the store knows as {before!r}",
                fix=f"write {before} in the roster",
            )
    connection.execute(update(LEARNERS).values(enrolled=False))
    new: list[dict[str, Any]] = []
    again: list[dict[str, Any]] = []
    for place, learner in enumerate(roster.learners):
        values = {
            "place": place,
            "enrolled": True,
            "name": learner.name,
            "email": learner.email,
            "section": learner.section,
            "granted": _granted(learner),
        }
        if learner.learner_id in there:
            again.append({"whose": learner.learner_id, **values})
        else:
            new.append({"learner_id": learner.learner_id, **values})
    if again:
        connection.execute(update(LEARNERS).where(LEARNERS.c.learner_id == bindparam("whose")), again)
    if new:
        connection.execute(insert(LEARNERS), new)


def roster(connection: Connection, *, everybody: bool) -> Roster:
    """The class in its order; those who left come last."""
    wanted = select(LEARNERS).order_by(*ORDER)
    if not everybody:
        wanted = wanted.where(LEARNERS.c.enrolled)
    return Roster(tuple(_learner(row) for row in connection.execute(wanted)))


def is_known(connection: Connection, learner_id: str) -> bool:
    """Whether there is, or was, somebody of that id."""
    wanted = select(LEARNERS.c.learner_id).where(LEARNERS.c.learner_id == learner_id)
    return connection.execute(wanted).first() is not None


def _granted(learner: Learner) -> str:
    extensions = {
        lab: {"until": one.until, "days": one.days, "hours": one.hours}
        for lab, one in learner.extensions.items()
    }
    granted = {
        "ids": dict(learner.ids),
        "extensions": extensions,
        "late_days": learner.late_days,
        "excused": sorted(learner.excused),
    }
    return json.dumps(granted, sort_keys=True)


def _learner(row: Row[Any]) -> Learner:
    granted = json.loads(row.granted)
    return Learner(
        learner_id=row.learner_id,
        name=row.name,
        email=row.email,
        section=row.section,
        ids=granted["ids"],
        extensions={lab: Extension(**one) for lab, one in granted["extensions"].items()},
        late_days=granted["late_days"],
        excused=frozenset(granted["excused"]),
    )
