"""The store: what is kept of a class, and what can be asked of it."""

from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, Connection, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from graders.cohort.final import Final, LabAttempt, LabWork, Override, finals
from graders.cohort.policy import CoursePolicy, check_granted, policy_from, policy_text
from graders.cohort.roster import Learner, Roster
from graders.faults import UsageError
from graders.gradekey import GradeKey
from graders.model import Verdict
from graders.store import people, rows
from graders.store.address import Address
from graders.store.engine import Database, one_at_a_time
from graders.store.records import (
    HistoryEntry,
    NewGrade,
    OverrideEntry,
    StoredGrade,
    moment_text,
    number_text,
    report_of,
    report_text,
)
from graders.store.schema import ATTEMPTS, COURSE, GRADES, OVERRIDES


class GradeStore:
    """A store that `open_store` opened; safe to use from many threads, and beside other processes.

    Every method raises InfraFault where the database fails or is gone; then nothing of what it was to write
    is there.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    @property
    def address(self) -> Address:
        """Where it is."""
        return self._database.address

    # --- the course ---------------------------------------------------------------------------------

    def enrol(self, roster: Roster) -> None:
        """Make `roster` the class; whoever is no longer in it keeps grades, and is in no view.

        Raises:
            UsageError: what it grants cannot be meant in this course.
        """
        self.take_in(roster, None)

    def adopt(self, policy: CoursePolicy, *, author: str = "kubeproof") -> None:
        """Make `policy` the rules of the course; the same again changes nothing.

        Raises:
            UsageError: what the roster grants cannot be meant by it.
        """
        self.take_in(None, policy, author=author)

    def take_in(
        self, roster: Roster | None, policy: CoursePolicy | None, *, author: str = "kubeproof"
    ) -> None:
        """Make `roster` the class and `policy` its rules, where given, in one transaction.

        Raises:
            UsageError: what the roster grants cannot be meant by the rules; then nothing is taken in.
        """
        with self._database.writing() as connection:
            one_at_a_time(connection)
            if roster is not None:
                people.enrol(connection, roster)
            if policy is not None and policy_text(policy) != rows.policy(connection):
                new = insert(COURSE).values(policy=policy_text(policy), author=author, at=_now())
                connection.execute(new)
            rules = self._policy(connection)
            for learner in people.roster(connection, everybody=False).learners:
                check_granted(rules, learner)

    def roster(self, *, everybody: bool = False) -> Roster:
        """The class in the order of its roster; with `everybody` also those who left."""
        with self._database.reading() as connection:
            return people.roster(connection, everybody=everybody)

    def policy(self) -> CoursePolicy:
        """The rules of the course; where none were adopted, those that cost nobody anything."""
        with self._database.reading() as connection:
            return self._policy(connection)

    # --- grades -------------------------------------------------------------------------------------

    def save(self, grade: NewGrade) -> StoredGrade:
        """Keep a grade, in one transaction; from now on it is the one that holds for its attempt.

        Raises:
            UsageError: nobody is called so, or the grade that it was to replace holds no longer.
        """
        (stored,) = self.save_all([grade])
        return stored

    def save_all(self, grades: Sequence[NewGrade]) -> list[StoredGrade]:
        """Keep all of these, or where one cannot be kept none; raises as `save`."""
        with self._database.writing() as connection:
            ids = [self._save(connection, grade) for grade in grades]
            found = {one.id: one for one in rows.grades(connection, self.address, GRADES.c.id.in_(ids))}
        return [found[each] for each in ids]

    def grades(
        self, *, lab: str = "", learner_id: str = "", verdict: Verdict | None = None
    ) -> list[StoredGrade]:
        """The grade that holds of every attempt, in the order of the roster, labs and attempts."""
        wanted = []
        if lab:
            wanted.append(ATTEMPTS.c.lab == lab)
        if learner_id:
            wanted.append(ATTEMPTS.c.learner_id == learner_id)
        if verdict is not None:
            wanted.append(GRADES.c.verdict == verdict.value)
        with self._database.reading() as connection:
            return self._held(connection, *wanted)

    def latest(self, learner_id: str, lab: str) -> StoredGrade | None:
        """The grade of the learner's last attempt at the lab."""
        found = self.grades(lab=lab, learner_id=learner_id)
        return found[-1] if found else None

    def by_key(self, learner_id: str, lab: str, key: GradeKey) -> StoredGrade | None:
        """The grade that holds and depends on just this: it need not be graded again, unless UNGRADED."""
        found = self.by_record(learner_id, lab, key.record)
        return found if found is not None and found.key == key else None

    def by_record(self, learner_id: str, lab: str, record: str) -> StoredGrade | None:
        """The grade that holds and was judged from a record of that key: `rescore` makes it today's."""
        with self._database.reading() as connection:
            found = self._held(
                connection,
                GRADES.c.record_key == record,
                ATTEMPTS.c.learner_id == learner_id,
                ATTEMPTS.c.lab == lab,
            )
        return found[-1] if found else None

    def handed_in(self, grade: StoredGrade, at: datetime | None) -> StoredGrade:
        """The grade, now that its hand-in was found with the time `at`: the earliest that is known counts."""
        if at is None or (grade.submitted_at is not None and grade.submitted_at <= at):
            return grade
        same = [ATTEMPTS.c[name] == getattr(grade, name) for name in ("learner_id", "lab", "submission")]
        with self._database.writing() as connection:
            one_at_a_time(connection)
            times = connection.execute(select(ATTEMPTS.c.submitted_at).where(*same)).scalars().all()
            if (text := moment_text(at)) not in times:
                changed = update(ATTEMPTS).where(ATTEMPTS.c.id == grade.attempt)
                connection.execute(changed.values(submitted_at=text))
            (found,) = rows.grades(connection, self.address, GRADES.c.id == grade.id)
        return found

    def report(self, grade: int) -> dict[str, Any]:
        """The report of a grade by its id, a `kubeproof/report/v1`; fractions are `Decimal`."""
        return self.reports([grade])[grade]

    def reports(self, grades: Iterable[int]) -> dict[int, dict[str, Any]]:
        """The reports of grades, by their ids.

        Raises:
            UsageError: there is no grade of one of these ids.
        """
        wanted = list(grades)
        with self._database.reading() as connection:
            found = {id_: report_of(text) for id_, text in rows.reports(connection, wanted)}
        for each in wanted:
            if each not in found:
                raise UsageError(f"there is no grade {each}", file=self.address.shown)
        return found

    def labs(self) -> list[str]:
        """The labs that somebody handed something in for, or was given points for."""
        with self._database.reading() as connection:
            graded = connection.execute(select(ATTEMPTS.c.lab).distinct()).scalars().all()
            said = connection.execute(select(OVERRIDES.c.lab).distinct()).scalars().all()
        return sorted({*graded, *said})

    # --- persons ------------------------------------------------------------------------------------

    def override(
        self,
        learner_id: str,
        lab: str,
        points: Decimal | None,
        *,
        possible: Decimal,
        author: str,
        reason: str,
    ) -> OverrideEntry:
        """Have a person decide the result of a learner and lab; `points` None lifts what was decided.

        Raises:
            UsageError: nobody is called so, there is nothing to lift, author or reason are not given, or
                the points are none of 0 to `possible`.
        """
        self._check_override(points, possible, author, reason)
        with self._database.writing() as connection:
            _expect_learner(connection, learner_id, self.address)
            before = rows.holding(connection).get((learner_id, lab))
            if points is None and before is None:
                raise UsageError(f"no override of {learner_id} in {lab} holds", file=self.address.shown)
            added = connection.execute(
                insert(OVERRIDES)
                .values(
                    learner_id=learner_id,
                    lab=lab,
                    points=number_text(points),
                    possible=number_text(possible),
                    author=author.strip(),
                    reason=reason.strip(),
                    at=_now(),
                )
                .returning(OVERRIDES)
            ).one()
            return rows.override(added)

    def overrides(self) -> list[OverrideEntry]:
        """Those that hold."""
        with self._database.reading() as connection:
            return list(rows.holding(connection).values())

    def history(self, *, lab: str = "", learner_id: str = "") -> list[HistoryEntry]:
        """All that happened to grades, in the order of time."""
        with self._database.reading() as connection:
            return rows.history(connection, self.address, lab=lab, learner_id=learner_id)

    # --- results ------------------------------------------------------------------------------------

    def final(self, learner_id: str, lab: str) -> Final:
        """The result of a learner and a lab.

        Raises:
            UsageError: nobody is called so.
        """
        learner = self.roster(everybody=True).find(learner_id)
        if learner is None:
            raise _nobody(learner_id, self.address)
        return self.finals(learners=[learner], labs=[lab])[learner.learner_id, lab]

    def finals(
        self,
        *,
        labs: Collection[str] = (),
        learners: Iterable[Learner] | None = None,
        grades: Sequence[StoredGrade] | None = None,
    ) -> dict[tuple[str, str], Final]:
        """The results by learner and lab, in the order of the roster.

        Args:
            labs: only these; none: all of the policy, and all that somebody handed something in for.
            learners: only these; None: the class.
            grades: as if these were the grades that hold.
        """
        with self._database.reading() as connection:
            held = self._held(connection) if grades is None else grades
            said = rows.holding(connection)
            policy = self._policy(connection)
            class_ = people.roster(connection, everybody=False).learners if learners is None else learners
        slugs = {*policy.labs, *(one.lab for one in held), *(lab for _, lab in said), *labs}
        handed_in: dict[tuple[str, str], list[StoredGrade]] = {}
        for one in held:
            handed_in.setdefault((one.learner_id, one.lab), []).append(one)
        found: dict[tuple[str, str], Final] = {}
        for learner in class_:
            keys = {lab: (learner.learner_id, lab) for lab in slugs}
            work = {lab: _work(handed_in.get(of, ()), said.get(of)) for lab, of in keys.items()}
            for lab, final in finals(learner, work, policy).items():
                if not labs or lab in labs:
                    found[learner.learner_id, lab] = final
        return found

    # --- inside -------------------------------------------------------------------------------------

    def _policy(self, connection: Connection) -> CoursePolicy:
        text = rows.policy(connection)
        return policy_from(text, self.address.shown) if text else CoursePolicy()

    def _held(self, connection: Connection, *wanted: ColumnElement[bool]) -> list[StoredGrade]:
        return rows.grades(connection, self.address, GRADES.c.id == ATTEMPTS.c.grade_id, *wanted)

    def _save(self, connection: Connection, grade: NewGrade) -> int:
        _expect_learner(connection, grade.learner_id, self.address)
        identity = {
            "learner_id": grade.learner_id,
            "lab": grade.lab,
            "submission": grade.submission,
            "submitted_at": moment_text(grade.submitted_at) if grade.submitted_at else "",
        }
        maker = sqlite.insert if self.address.file else postgresql.insert
        at = _now()
        connection.execute(maker(ATTEMPTS).values(**identity, first_at=at).on_conflict_do_nothing())
        # The row is ours until the transaction ends: of two writers the second sees what the first did.
        same = [ATTEMPTS.c[name] == value for name, value in identity.items()]
        attempt, before = connection.execute(
            select(ATTEMPTS.c.id, ATTEMPTS.c.grade_id).where(*same).with_for_update()
        ).one()
        if grade.replaces is not None and grade.replaces != before:
            raise UsageError(
                f"the grade of {grade.learner_id} in {grade.lab} has changed since it was read",
                file=self.address.shown,
                fix="run the same command again; nothing was written",
            )
        id_: int = connection.execute(
            insert(GRADES)
            .values(
                attempt_id=attempt,
                replaces=before,
                event=grade.event.value,
                verdict=grade.verdict.value,
                problem=grade.problem,
                total=number_text(grade.total),
                possible=number_text(grade.possible),
                percent=number_text(grade.percent),
                record_key=grade.key.record,
                judge_key=grade.key.judge,
                score_key=grade.key.score,
                provider=grade.provider,
                bundle=self.address.place_of(grade.bundle) if grade.bundle else None,
                bundle_digest=grade.bundle_digest,
                report=report_text(grade.report),
                author=grade.author,
                reason=grade.reason,
                at=at,
            )
            .returning(GRADES.c.id)
        ).scalar_one()
        connection.execute(update(ATTEMPTS).where(ATTEMPTS.c.id == attempt).values(grade_id=id_))
        return id_

    def _check_override(self, points: Decimal | None, possible: Decimal, author: str, reason: str) -> None:
        if not author.strip() or not reason.strip():
            raise UsageError(
                "an override without author or reason is nobody's", fix="give --author and --reason"
            )
        if points is not None and not (points.is_finite() and 0 <= points <= possible):
            raise UsageError(
                f"{points} points cannot be given where {possible} are possible",
                fix=f"give a number from 0 to {possible}",
            )


def _work(grades: Iterable[StoredGrade], override: OverrideEntry | None) -> LabWork:
    """What one learner did for one lab."""
    return LabWork(
        tuple(
            LabAttempt(str(one.attempt), one.verdict, one.total, one.possible, one.submitted_at)
            for one in sorted(grades, key=lambda one: (one.submitted_at or one.first_at, one.attempt))
        ),
        Override(override.points, override.possible, override.author, override.reason, override.at)
        if override is not None and override.points is not None
        else None,
    )


def _expect_learner(connection: Connection, learner_id: str, address: Address) -> None:
    if not people.is_known(connection, learner_id):
        raise _nobody(learner_id, address)


def _nobody(learner_id: str, address: Address) -> UsageError:
    return UsageError(
        f"nobody in the roster is called {learner_id!r}",
        file=address.shown,
        fix="correct the name, or add a line to the roster and give it with --roster",
    )


def _now() -> str:
    return moment_text(datetime.now(UTC))
