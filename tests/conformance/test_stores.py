"""What every store does, in a file and on a server: whole grades, kept for good, whoever else writes."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import event, func, select

from graders.cohort.final import FinalState
from graders.cohort.instants import Extension
from graders.cohort.policy import CoursePolicy, LabPolicy, LatePolicy
from graders.cohort.roster import Learner, Roster
from graders.faults import UsageError
from graders.model import Verdict
from graders.store import Event, GradeStore, open_store
from graders.store.schema import ATTEMPTS, GRADES, METADATA, VERSION_TABLE
from tests.unit.store_grades import LEARNERS, enrol_all, grade, key, with_total

FIRST = LEARNERS[0]
AT = datetime(2026, 11, 3, 9, 30, tzinfo=UTC)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return str(tmp_path / "class.db")
    return str(request.getfixturevalue("postgres_server").url())


@pytest.fixture(scope="module")
def enrolled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store in a file with the class in it, to be copied: sooner had than made."""
    file = tmp_path_factory.mktemp("enrolled") / "class.db"
    with open_store(file) as made:
        enrol_all(made)
    return file


@pytest.fixture
def store(url: str, enrolled: Path) -> Iterator[GradeStore]:
    in_a_file = "://" not in url
    if in_a_file:
        shutil.copy(enrolled, url)
    with open_store(url) as opened:
        if not in_a_file:
            enrol_all(opened)
        yield opened


# --- grades ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("verdict", list(Verdict))
def test_a_grade_comes_back_as_it_went_in(url: str, store: GradeStore, verdict: Verdict) -> None:
    new = grade(verdict=verdict.value, submitted_at=datetime(2026, 10, 12, 23, 59, tzinfo=UTC))
    saved = store.save(new)
    with open_store(url, create=False) as again:
        (found,) = again.grades()
        report = again.report(found.id)
    assert found == saved
    assert found.holds
    for name in ("learner_id", "lab", "submission", "submitted_at", "key", "verdict", "problem", "provider"):
        assert getattr(found, name) == getattr(new, name)
    assert (found.total, found.possible, found.percent) == (new.total, new.possible, new.percent)
    assert {**report, "possible": None} == {**_exact(dict(new.report)), "possible": None}


def _exact(value: object) -> object:
    """Fractions as the decimals that they were."""
    if isinstance(value, dict):
        return {name: _exact(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_exact(item) for item in value]
    return Decimal(str(value)) if isinstance(value, float) else value


@pytest.mark.parametrize("total", ["0", "0.00", "87.35", "33.333333333333333333", "100.10", "0.000000001"])
def test_points_are_kept_to_the_digit(store: GradeStore, total: str) -> None:
    saved = store.save(with_total(total))
    assert saved.total is not None
    assert saved.total.as_tuple() == Decimal(total).as_tuple()


def test_text_of_any_kind_is_kept_and_runs_nothing(store: GradeStore) -> None:
    hostile = "'); DROP TABLE grades; -- \u0000 \ud800 😀 \r\n ${x} %s :a"
    new = grade(reason="Ω '; --")
    assert isinstance(new.report, dict)
    new.report["problem"] = hostile
    saved = store.save(new)
    assert store.report(saved.id)["problem"] == hostile
    assert store.history()[0].reason == "Ω '; --"


def test_what_is_there_is_found_by_its_key_and_need_not_be_graded_again(store: GradeStore) -> None:
    saved = store.save(grade(name="1"))
    assert store.by_key(FIRST, "lab1", key("1")) == saved
    assert store.by_key(FIRST, "lab1", key("2")) is None
    assert store.by_key(LEARNERS[1], "lab1", key("1")) is None
    assert store.by_key(FIRST, "lab2", key("1")) is None


def test_a_record_is_found_also_where_the_rubric_is_another(store: GradeStore) -> None:
    saved = store.save(grade())
    other = type(saved.key)(saved.key.record, saved.key.judge, "another rubric")
    assert store.by_key(FIRST, "lab1", other) is None
    assert store.by_record(FIRST, "lab1", saved.key.record) == saved


def test_a_grade_replaces_that_of_the_same_attempt_and_the_history_has_both(store: GradeStore) -> None:
    first = store.save(grade(verdict="ungraded"))
    second = store.save(grade(author="ada", reason="tried again", event=Event.RESCORED))
    assert [one.id for one in store.grades()] == [second.id]
    assert (second.attempt, second.replaces) == (first.attempt, first.id)
    told = [
        (one.event, one.before, one.after, one.verdict, one.author, one.reason) for one in store.history()
    ]
    assert told == [
        (Event.GRADED, None, None, Verdict.UNGRADED, "kubeproof", ""),
        (Event.RESCORED, None, Decimal("8.85"), Verdict.GRADED, "ada", "tried again"),
    ]


def test_attempts_come_in_the_order_of_handing_in_whatever_was_graded_first(store: GradeStore) -> None:
    noon = datetime(2026, 10, 12, 12, tzinfo=UTC)
    store.save(grade(name="late", submitted_at=noon + timedelta(hours=1)))
    elsewhere = timezone(timedelta(hours=9))
    store.save(grade(name="early", submitted_at=noon.astimezone(elsewhere)))
    assert [one.submission for one in store.grades()] == ["sha256:early", "sha256:late"]
    latest = store.latest(FIRST, "lab1")
    assert latest is not None
    assert latest.submission == "sha256:late"
    assert store.latest(LEARNERS[1], "lab1") is None


def test_the_earliest_time_of_handing_in_counts(store: GradeStore) -> None:
    kept = store.save(grade(submitted_at=AT))
    for hours, expected in ((1, 0), (-3, -3), (-2, -3)):
        kept = store.handed_in(kept, AT + timedelta(hours=hours))
        assert kept.submitted_at == AT + timedelta(hours=expected)
    assert store.handed_in(kept, None) == kept
    assert [one.submitted_at for one in store.grades()] == [AT - timedelta(hours=3)]

    other = store.save(grade(submitted_at=AT))
    assert store.handed_in(other, AT - timedelta(hours=3)) == other


def test_grades_are_asked_for_by_lab_learner_and_verdict(store: GradeStore) -> None:
    store.save_all([grade(LEARNERS[1]), grade(LEARNERS[0], "ungraded"), grade(LEARNERS[2], "rejected")])
    assert [one.learner_id for one in store.grades()] == list(LEARNERS[:3])
    assert [one.learner_id for one in store.grades(verdict=Verdict.UNGRADED)] == [LEARNERS[0]]
    assert [one.learner_id for one in store.grades(learner_id=LEARNERS[2])] == [LEARNERS[2]]
    assert store.grades(lab="lab2") == []
    assert store.labs() == ["lab1"]


def test_a_grade_of_nobody_is_refused(store: GradeStore) -> None:
    with pytest.raises(UsageError, match=r"nobody in the roster is called 'eve'(.|\n)*fix: correct the name"):
        store.save(grade("eve"))


def test_of_several_grades_all_are_kept_or_none(store: GradeStore) -> None:
    with pytest.raises(UsageError, match="'eve'"):
        store.save_all([grade(), grade("eve")])
    assert store.grades() == []


def test_a_grade_that_somebody_else_replaced_meanwhile_is_not_replaced(store: GradeStore) -> None:
    first = store.save(grade())
    store.save(grade())
    with pytest.raises(UsageError, match=r"has changed since it was read(.|\n)*nothing was written"):
        store.save(grade(replaces=first.id))


def test_a_report_of_no_grade_is_told(store: GradeStore) -> None:
    with pytest.raises(UsageError, match="there is no grade 7"):
        store.report(7)


# --- the course ------------------------------------------------------------------------------------


def test_the_class_comes_back_in_the_order_of_its_roster(store: GradeStore) -> None:
    roster = Roster(
        (
            Learner("zoe", "Zoë", "z@x.y", "B", {"canvas": "7"}, {"lab1": Extension(hours=3)}),
            Learner("bob", late_days=0, excused=frozenset({"lab2"})),
            Learner("ada", extensions={"lab1": Extension(until="2026-10-15")}),
        )
    )  # fmt: skip
    store.adopt(CoursePolicy(labs={"lab1": LabPolicy(datetime(2026, 10, 12, tzinfo=UTC))}))
    store.enrol(roster)
    assert store.roster() == roster


def test_a_learner_is_not_made_two_by_another_case(store: GradeStore) -> None:
    with pytest.raises(UsageError, match=r"calls 'LEARNER00' whom the store knows as 'learner00'"):
        store.enrol(Roster.of_ids(["LEARNER00"]))
    assert len(store.roster().learners) == len(LEARNERS)


def test_who_left_keeps_grades_and_is_in_no_result(store: GradeStore) -> None:
    store.save(grade(LEARNERS[0]))
    store.enrol(Roster.of_ids(LEARNERS[1:]))
    assert store.roster().find(LEARNERS[0]) is None
    assert store.roster(everybody=True).learners[-1].learner_id == LEARNERS[0]
    assert not [name for name, _ in store.finals() if name == LEARNERS[0]]
    assert len(store.grades()) == 1


def test_rules_and_roster_must_agree_or_neither_is_taken_in(store: GradeStore) -> None:
    granted = Roster((Learner("ada", extensions={"lab1": Extension(days=3)}),))
    with pytest.raises(UsageError, match="has nothing to add to"):
        store.enrol(granted)
    assert len(store.roster().learners) == len(LEARNERS)
    store.take_in(granted, CoursePolicy(labs={"lab1": LabPolicy(datetime(2026, 10, 12, tzinfo=UTC))}))
    with pytest.raises(UsageError, match="has nothing to add to"):
        store.adopt(CoursePolicy())
    assert store.policy().lab("lab1").due is not None


def test_results_follow_the_rules_and_the_roster(store: GradeStore) -> None:
    due = datetime(2026, 10, 12, 12, tzinfo=UTC)
    late = LatePolicy(per_day=Decimal(10))
    store.adopt(CoursePolicy(labs={"lab1": LabPolicy(due)}, late=late))
    store.save(grade(submitted_at=due + timedelta(hours=1)))
    assert store.final(FIRST, "lab1").points == Decimal("8.85") - Decimal("1.585")
    store.enrol(Roster((Learner(FIRST, extensions={"lab1": Extension(hours=2)}), Learner("bob"))))
    assert store.final(FIRST, "lab1").points == Decimal("8.85")
    assert store.finals()["bob", "lab1"].state is FinalState.MISSING
    with pytest.raises(UsageError, match="nobody in the roster is called 'eve'"):
        store.final("eve", "lab1")


# --- persons ---------------------------------------------------------------------------------------


def test_an_override_holds_until_it_is_lifted(store: GradeStore) -> None:
    store.save(grade())
    said = {"possible": Decimal("15.85"), "author": "E. Noether", "reason": "appeal 12"}
    store.override(FIRST, "lab1", Decimal(10), **said)
    store.override(FIRST, "lab1", Decimal("12.50"), **said)
    store.save(grade(event=Event.RESCORED))
    final = store.final(FIRST, "lab1")
    assert (final.points, final.raw, final.overridden) == (Decimal("12.50"), Decimal("8.85"), True)
    assert [one.points for one in store.overrides()] == [Decimal("12.50")]
    store.override(FIRST, "lab1", None, **said)
    assert store.final(FIRST, "lab1").points == Decimal("8.85")
    assert [(one.event, one.before, one.after) for one in store.history()] == [
        (Event.GRADED, None, Decimal("8.85")),
        (Event.OVERRIDDEN, None, Decimal(10)),
        (Event.OVERRIDDEN, Decimal(10), Decimal("12.50")),
        (Event.RESCORED, Decimal("8.85"), Decimal("8.85")),
        (Event.LIFTED, Decimal("12.50"), None),
    ]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"points": Decimal("15.86")}, r"15\.86 points cannot be given where 15\.85 are possible"),
        ({"points": Decimal(-1)}, "fix: give a number from 0 to"),
        ({"points": Decimal("NaN")}, "NaN points cannot be given"),
        ({"points": None}, "no override of .* holds"),
        ({"learner_id": "eve"}, "nobody in the roster is called 'eve'"),
        ({"author": " "}, "without author or reason is nobody's"),
        ({"reason": ""}, "fix: give --author and --reason"),
    ],
)
def test_an_override_that_cannot_be_meant_is_told(
    store: GradeStore, change: dict[str, object], told: str
) -> None:
    given = {
        "learner_id": FIRST,
        "lab": "lab1",
        "points": Decimal(1),
        "possible": Decimal("15.85"),
        "author": "a",
        "reason": "b",
    }
    with pytest.raises(UsageError, match=told):
        store.override(**{**given, **change})  # type: ignore[arg-type]
    assert store.history() == []


# --- sudden deaths, and others ---------------------------------------------------------------------


def in_another_process(work: Callable[[], None]) -> int:
    """Fork, do the work there, and end without what a test does at its end; gives the process."""
    process = os.fork()
    if process:
        return process
    try:
        work()
    except BaseException as error:
        os.write(2, f"{error!r}\n".encode())
        os._exit(1)
    os._exit(0)


def whole(store: GradeStore) -> int:
    """See that the store has whole grades only; says how many."""
    with store._database.reading() as connection:
        rows = connection.execute(select(func.count()).select_from(GRADES)).scalar_one()
        attempts = connection.execute(select(ATTEMPTS.c.grade_id)).scalars().all()
    held = store.grades()
    assert sorted(one.id for one in held) == sorted(attempts)
    for one in held:
        assert store.report(one.id)["verdict"] == one.verdict
    assert rows == len(held)
    return rows


def test_a_writer_that_is_killed_leaves_whole_grades_and_the_next_goes_on(url: str) -> None:
    with open_store(url) as store:
        enrol_all(store)

    def graded_one_after_another(told: int) -> None:
        with open_store(url, create=False) as store:
            for learner in LEARNERS:
                if store.by_key(learner, "lab1", key()) is None:
                    store.save(grade(learner))
                    os.write(told, b".")

    deaths, seen = 0, 0
    for kill_after in (1, 2, 5, 3, 9, 40):
        here, there = os.pipe()
        process = in_another_process(lambda there=there: graded_one_after_another(there))  # type: ignore[misc]
        os.close(there)
        acknowledged = b""
        while len(acknowledged) < kill_after and (more := os.read(here, 1)):
            acknowledged += more
        os.kill(process, signal.SIGKILL)
        while more := os.read(here, 1):
            acknowledged += more
        os.close(here)
        deaths += os.waitpid(process, 0)[1] == signal.SIGKILL
        seen += len(acknowledged)
        with open_store(url, create=False) as store:
            kept = whole(store)
        # What was told to be kept is; one more may be, whose writer died before it could tell.
        assert seen <= kept
        seen = kept
    assert deaths >= 4
    assert kept == len(LEARNERS)


def test_a_writer_that_dies_just_before_the_end_leaves_nothing(url: str) -> None:
    with open_store(url) as store:
        enrol_all(store)

    def die_with_everything_written() -> None:
        with open_store(url, create=False) as store:
            engine = store._database.engine
            event.listen(engine, "commit", lambda _: os.kill(os.getpid(), signal.SIGKILL))
            store.save_all([grade(learner) for learner in LEARNERS[:5]])

    assert os.waitpid(in_another_process(die_with_everything_written), 0)[1] == signal.SIGKILL
    with open_store(url, create=False) as store:
        assert whole(store) == 0
        store.save(grade())
        assert whole(store) == 1


def test_writers_in_several_processes_lose_nothing(url: str) -> None:
    with open_store(url) as store:
        enrol_all(store)

    def write(part: tuple[str, ...]) -> None:
        with open_store(url, create=False) as store:
            for learner in part:
                store.save(grade(learner))
                store.save(grade(FIRST, name="shared"))

    parts = [LEARNERS[1 + number :: 4] for number in range(4)]
    processes = [in_another_process(lambda part=part: write(part)) for part in parts]  # type: ignore[misc]
    assert [os.waitpid(each, 0)[1] for each in processes] == [0, 0, 0, 0]
    with open_store(url, create=False) as store:
        assert {one.learner_id for one in store.grades()} == set(LEARNERS)
        chain = store.history(learner_id=FIRST)
        (held,) = store.grades(learner_id=FIRST)
        with store._database.reading() as connection:
            replaced = connection.execute(
                select(GRADES.c.replaces).where(GRADES.c.attempt_id == held.attempt)
            ).scalars()
            # One after another: no two replaced the same.
            assert len(set(replaced)) == len(chain) == len(LEARNERS) - 1


def test_threads_share_a_store(store: GradeStore) -> None:
    failures: list[BaseException] = []

    def write(part: tuple[str, ...]) -> None:
        try:
            for learner in part:
                store.save(grade(learner))
                store.grades()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(LEARNERS[number::4],)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert whole(store) == len(LEARNERS)


def test_several_that_make_the_same_store_make_one(url: str) -> None:
    def make() -> None:
        with open_store(url) as store:
            store.enrol(Roster.of_ids(LEARNERS))

    processes = [in_another_process(make) for _ in range(4)]
    assert [os.waitpid(each, 0)[1] for each in processes] == [0, 0, 0, 0]
    with open_store(url, create=False) as store:
        assert len(store.roster().learners) == len(LEARNERS)


def test_a_block_that_fails_writes_nothing(store: GradeStore) -> None:
    engine = store._database.engine

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    event.listen(engine, "commit", fail)
    with pytest.raises(OSError, match="No space left"):
        store.save(grade())
    event.remove(engine, "commit", fail)
    assert whole(store) == 0


def test_migrations_make_the_tables_that_the_store_uses(store: GradeStore) -> None:
    with store._database.reading() as connection:
        options = {"version_table": VERSION_TABLE}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, METADATA) == []


def test_a_store_that_is_not_there_is_told(url: str) -> None:
    with pytest.raises(UsageError, match="there is no store here"), open_store(url, create=False):
        pass
