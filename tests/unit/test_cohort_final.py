"""What a course makes of attempts: exact, told line by line, and never mixed into what evidence earned."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graders.cohort.final import Final, FinalState, LabAttempt, LabWork, LineKind, Override, finals
from graders.cohort.instants import Extension, days_late
from graders.cohort.policy import CoursePolicy, LabPolicy, LatePolicy
from graders.cohort.roster import Learner
from graders.model import Verdict

BERLIN = ZoneInfo("Europe/Berlin")
DUE = datetime(2026, 10, 12, 23, 59, tzinfo=BERLIN)
ADA = Learner("ada")
TEN_A_DAY = LatePolicy(per_day=Decimal(10))


def attempt(
    total: str | None, late_h: float | None = -1, name: str = "1", possible: str = "100"
) -> LabAttempt:
    verdict = Verdict.UNGRADED if total is None else Verdict.GRADED
    at = None if late_h is None else DUE.astimezone(UTC) + timedelta(hours=late_h)
    return LabAttempt(name, verdict, None if total is None else Decimal(total), Decimal(possible), at)


REJECTED = LabAttempt("r", Verdict.REJECTED, None, None, DUE)


def result(
    *attempts: LabAttempt,
    late: LatePolicy = TEN_A_DAY,
    learner: Learner = ADA,
    counts: str = "best",
    override: Override | None = None,
) -> Final:
    labs = {"lab1": LabPolicy(DUE, "last" if counts == "last" else "best")}
    policy = CoursePolicy(BERLIN, late=late, labs=labs)
    return finals(learner, {"lab1": LabWork(attempts, override)}, policy)["lab1"]


def kinds(final: Final) -> list[str]:
    return [line.kind.value for line in final.lines]


def test_in_time_evidence_is_the_result() -> None:
    final = result(attempt("87.35"))
    assert (final.state, final.points, final.raw) == (FinalState.GRADED, Decimal("87.35"), Decimal("87.35"))
    assert kinds(final) == ["raw"]


def test_each_day_that_is_begun_costs_and_has_a_line_of_its_own() -> None:
    final = result(attempt("87.35", 24.5))
    assert (final.points, final.raw, final.days_late) == (Decimal("67.35"), Decimal("87.35"), 2)
    assert [(line.kind, line.points) for line in final.lines] == [
        (LineKind.RAW, Decimal("87.35")),
        (LineKind.LATE_PENALTY, Decimal(-20)),
    ]
    assert final.lines[1].text == "2 late days: 10 % of what is possible for each"


def test_a_penalty_can_be_of_what_was_earned_and_has_an_end() -> None:
    late = LatePolicy(per_day=Decimal("7.5"), at_most=Decimal(30), of="earned")
    assert result(attempt("80", 1), late=late).points == Decimal("74.0")
    final = result(attempt("80", 24 * 9.5), late=late)
    assert final.points == Decimal(56)
    assert final.lines[-1].text.endswith("at most 30 %")


def test_nobody_falls_below_nothing() -> None:
    assert result(attempt("5", 1)).points == 0
    assert result(attempt("0", 1)).points == 0


def test_grace_costs_nothing_and_then_counts_from_the_due_date() -> None:
    late = LatePolicy(timedelta(minutes=15), Decimal(10))
    assert result(attempt("80", 0.25), late=late).points == 80
    assert result(attempt("80", 0.26), late=late).points == 70
    assert result(attempt("80", 24.1), late=late).days_late == 2


def test_a_day_is_one_of_the_clock_also_where_it_has_25_hours() -> None:
    due = datetime(2026, 10, 24, 23, 59, tzinfo=BERLIN)
    assert days_late(datetime(2026, 10, 25, 23, 59, tzinfo=BERLIN), due, timedelta(0)) == 1
    assert days_late(datetime(2026, 10, 25, 23, 59, 1, tzinfo=BERLIN), due, timedelta(0)) == 2
    due = datetime(2026, 3, 28, 23, 59, tzinfo=BERLIN)
    assert days_late(datetime(2026, 3, 29, 23, 59, tzinfo=BERLIN), due, timedelta(0)) == 1


def test_late_days_of_the_bank_come_first() -> None:
    final = result(attempt("80", 49), late=LatePolicy(per_day=Decimal(10), bank=2))
    assert (final.points, final.days_late, final.late_days_used) == (Decimal(70), 3, 2)
    assert kinds(final) == ["raw", "late-days", "late-penalty"]


@pytest.mark.parametrize(
    "late",
    [
        LatePolicy(per_day=Decimal(0), bank=5),
        LatePolicy(per_day=Decimal(10), at_most=Decimal(10), bank=2),
    ],
    ids=["nothing-to-save", "too-late-to-save"],
)
def test_late_days_that_would_not_help_are_kept(late: LatePolicy) -> None:
    assert result(attempt("80", 24 * 3.5), late=late).late_days_used == 0


def test_the_bank_is_spent_once_in_the_order_of_due_dates() -> None:
    week = timedelta(days=7)
    labs = {"b-first": LabPolicy(DUE), "a-second": LabPolicy(DUE + week), "undated": LabPolicy(None)}
    policy = CoursePolicy(BERLIN, late=LatePolicy(per_day=Decimal(10), bank=3), labs=labs)
    second = LabAttempt("2", Verdict.GRADED, Decimal(80), Decimal(100), DUE + week + timedelta(hours=30))
    found = finals(ADA, {"b-first": LabWork((attempt("80", 30),)), "a-second": LabWork((second,))}, policy)
    assert [(slug, one.late_days_used, one.points) for slug, one in found.items()] == [
        ("a-second", 1, Decimal(70)),
        ("b-first", 2, Decimal(80)),
        ("undated", 0, None),
    ]


def test_an_extension_is_told() -> None:
    final = result(attempt("80", 30), learner=Learner("ada", extensions={"lab1": Extension(days=2)}))
    assert final.points == 80
    assert final.lines[1].text == "due 2026-10-14 23:59 CEST, extended by +2d"


def test_a_hand_in_of_unknown_time_is_in_time_and_says_so() -> None:
    final = result(attempt("80", None))
    assert final.points == 80
    assert "nobody knows when it was handed in" in final.lines[1].text


def test_the_best_attempt_is_the_best_after_its_penalty() -> None:
    final = result(attempt("75", name="1"), attempt("80", 1, name="2"))
    assert (final.attempt, final.points) == ("1", Decimal(75))
    assert final.lines[0].text == "attempt 1 of 2 counts: the best that could be graded"


def test_attempts_out_of_different_points_are_compared_by_their_share() -> None:
    final = result(attempt("80", name="1"), attempt("78", name="2", possible="90"))
    assert final.attempt == "2"


def test_the_last_attempt_counts_where_the_course_says_so() -> None:
    assert result(attempt("75", name="1"), attempt("60", name="2"), counts="last").points == 60


def test_an_attempt_that_is_not_graded_leaves_the_result_open_while_it_could_decide() -> None:
    waiting = attempt(None, name="2")
    final = result(attempt("75", name="1"), waiting)
    assert (final.state, final.points) == (FinalState.UNGRADED, None)
    assert "so far 75 of 100" in final.lines[0].text
    assert result(attempt("100", name="1"), waiting).points == 100
    assert result(attempt("75"), waiting, counts="last").state is FinalState.UNGRADED
    assert result(waiting, attempt("75", name="1"), counts="last").points == 75


def test_a_rejected_attempt_counts_for_nothing_beside_another() -> None:
    assert result(attempt("75"), REJECTED, counts="last").points == 75
    assert result(REJECTED).state is FinalState.REJECTED


def test_nothing_handed_in_is_missing_and_no_zero() -> None:
    final = result()
    assert (final.state, final.points, final.percent) == (FinalState.MISSING, None, None)


def test_who_is_excused_owes_nothing_and_uses_no_late_days() -> None:
    excused = Learner("ada", excused=frozenset({"lab1"}))
    final = result(attempt("80", 30), learner=excused, late=LatePolicy(per_day=Decimal(10), bank=5))
    assert (final.state, final.points, final.late_days_used) == (FinalState.EXCUSED, None, 0)
    assert final.lines[0].text == "excused, by the roster"


def test_an_override_is_the_result_and_says_by_whom_and_instead_of_what() -> None:
    said = Override(Decimal("90.5"), Decimal(100), "E. Noether", "appeal 12", DUE)
    final = result(attempt("80", 30), override=said)
    assert (final.points, final.raw, final.overridden) == (Decimal("90.5"), Decimal(80), True)
    assert final.lines[-1].text == "set to 90.5 by E. Noether: appeal 12 (else 60)"
    for work in ((), (attempt(None),), (REJECTED,)):
        final = result(*work, override=said)
        assert (final.state, final.points) == (FinalState.GRADED, Decimal("90.5"))


earned = st.decimals(0, 100, places=2)


@given(
    attempts=st.lists(st.tuples(earned, st.floats(-50, 400)), min_size=1, max_size=4),
    per_day=st.decimals(0, 100, places=1),
    at_most=st.decimals(0, 100, places=1),
    bank=st.integers(0, 6),
    of=st.sampled_from(["possible", "earned"]),
    counts=st.sampled_from(["best", "last"]),
)
def test_lines_add_up_and_nobody_gains_by_being_late(
    attempts: list[tuple[Decimal, float]],
    per_day: Decimal,
    at_most: Decimal,
    bank: int,
    of: str,
    counts: str,
) -> None:
    tried = [attempt(str(total), hours, str(n)) for n, (total, hours) in enumerate(attempts)]
    late = LatePolicy(timedelta(0), per_day, at_most, "earned" if of == "earned" else "possible", bank)
    final = result(*tried, late=late, counts=counts)
    assert final.points == sum((line.points or Decimal(0) for line in final.lines), Decimal(0))
    assert final.points is not None
    assert final.raw is not None
    assert 0 <= final.points <= final.raw
    assert final.late_days_used <= min(bank, final.days_late)
    more = result(*tried, late=LatePolicy(timedelta(0), per_day, at_most, late.of, bank + 1), counts=counts)
    assert more.points is not None
    assert more.points >= final.points
