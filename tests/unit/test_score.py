"""What outcomes earn: whole criteria, exact sums, never a zero for what nobody could judge."""

from __future__ import annotations

import dataclasses
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graders.model import Capability, Criterion, Outcome, Rubric, Status
from graders.scoring import score

D = Decimal


def criterion(
    name: str,
    points: str,
    group: str = "life",
    *,
    checks: tuple[str, ...] = (),
    to: str = "",
    planned: bool = False,
) -> Criterion:
    return Criterion(
        id=name,
        title=name,
        group=group,
        points=D(points),
        checks=checks or (name,),
        planned=planned,
        unsupported_to=to,
    )


def rubric(*criteria: Criterion) -> Rubric:
    return Rubric("lab1", "1", criteria, {"life": "Life-cycle", "rest": "The rest"})


def outcomes(**statuses: Status) -> list[Outcome]:
    return [Outcome(name, status) for name, status in statuses.items()]


P, F, B, U, E = Status.PASSED, Status.FAILED, Status.BLOCKED, Status.UNSUPPORTED, Status.ERROR


def test_a_criterion_earns_all_or_nothing() -> None:
    result = score(
        rubric(criterion("a", "4"), criterion("b", "3"), criterion("c", "2.5"), criterion("d", "1")),
        outcomes(a=P, b=F, c=B, d=P),
        capabilities=(),
    )
    assert [one.earned for one in result.criteria] == [4, 0, 0, 1]
    assert (result.total, result.possible, result.percent) == (D("5"), D("10.5"), D("47.62"))
    assert result.notes == ()


def test_a_criterion_of_several_checks_needs_all_of_them() -> None:
    both = criterion("a", "4", checks=("x", "y"))
    assert score(rubric(both), outcomes(x=P, y=P), capabilities=()).total == 4
    assert score(rubric(both), outcomes(x=P, y=F), capabilities=()).total == 0
    assert score(rubric(both), outcomes(x=B, y=F), capabilities=()).criteria[0].status is F
    assert score(rubric(both), outcomes(x=E, y=F), capabilities=()).total is None


def test_what_could_not_be_judged_is_not_a_zero() -> None:
    result = score(rubric(criterion("a", "4"), criterion("b", "3")), outcomes(a=P, b=E), capabilities=())
    assert [one.earned for one in result.criteria] == [4, None]
    assert (result.total, result.percent, result.possible) == (None, None, 7)


def test_planned_criteria_are_listed_and_count_for_nothing() -> None:
    result = score(
        rubric(criterion("a", "4"), criterion("later", "90", planned=True)), outcomes(a=P), capabilities=()
    )
    assert [(one.criterion.id, one.earned) for one in result.criteria] == [("a", 4), ("later", None)]
    assert (result.total, result.possible) == (4, 4)


def test_criteria_that_were_not_judged_are_left_out_with_a_note() -> None:
    result = score(
        rubric(criterion("a", "4"), criterion("b", "3"), criterion("c", "2", checks=("a", "b"))),
        outcomes(a=P),
        capabilities=(),
    )
    assert [one.criterion.id for one in result.criteria] == ["a"]
    assert result.possible == 4
    assert result.notes == ("Not judged in this run, and not counted: b, c.",)


def test_points_a_provider_cannot_show_move_in_proportion() -> None:
    result = score(
        rubric(
            criterion("a", "5"),
            criterion("b", "2"),
            criterion("real", "1", to="life"),
            criterion("z", "1", "rest"),
        ),
        outcomes(a=P, b=F, real=U, z=P),
        capabilities=[Capability.CONTROLLERS, Capability.API],
    )
    assert [one.points for one in result.criteria] == [D("5.71"), D("2.29"), 0, 1]
    assert (result.total, result.possible) == (D("6.71"), 9)
    assert result.criteria[2].earned == 0
    assert result.notes == (
        "This provider (api, controllers) cannot show real: 1 points moved to Life-cycle.",
    )


def test_points_a_provider_cannot_show_may_move_to_one_criterion() -> None:
    result = score(
        rubric(criterion("a", "5"), criterion("b", "2"), criterion("real", "3", to="b")),
        outcomes(a=P, b=P, real=U),
        capabilities=(),
    )
    assert [one.points for one in result.criteria] == [5, 5, 0]
    assert (result.total, result.possible) == (10, 10)


def test_points_leave_where_no_group_takes_them() -> None:
    lone = score(rubric(criterion("a", "5"), criterion("real", "3")), outcomes(a=P, real=U), capabilities=())
    assert (lone.total, lone.possible) == (5, 5)
    assert lone.notes == ("This provider (no capabilities) cannot show real: 3 points are not counted.",)
    nobody = rubric(criterion("a", "5", "rest"), criterion("real", "3", to="life"))
    assert score(nobody, outcomes(a=P, real=U), capabilities=()).possible == 5


def test_what_is_lost_already_does_not_move() -> None:
    mixed = criterion("mixed", "3", checks=("x", "real"), to="life")
    result = score(rubric(criterion("a", "5"), mixed), outcomes(a=P, x=F, real=U), capabilities=())
    assert (result.total, result.possible) == (5, 8)


def test_two_outcomes_for_one_check_are_a_fault_of_the_grader() -> None:
    with pytest.raises(ValueError, match="two outcomes for check 'a'"):
        score(rubric(criterion("a", "1")), [Outcome("a", P), Outcome("a", F)], capabilities=())


# From here on: what holds for every rubric and every outcome.

GROUPS = ("life", "rest", "third")
points = st.decimals(min_value=0, max_value=40, places=2)


@st.composite
def rubrics(draw: st.DrawFn) -> Rubric:
    drawn = draw(st.lists(st.tuples(points, st.sampled_from(GROUPS)), min_size=1, max_size=8))
    criteria = [
        Criterion(
            id=f"c{place}",
            title="",
            group=group,
            points=worth,
            checks=tuple(draw(st.sets(st.sampled_from("uvwxyz"), min_size=1, max_size=2))),
            planned=draw(st.integers(0, 9)) == 0,
            unsupported_to=draw(st.sampled_from(("", *GROUPS))),
        )
        for place, (worth, group) in enumerate(drawn)
    ]
    return Rubric("lab1", "1", tuple(criteria), {group: group for group in GROUPS})


def some_outcomes(*statuses: Status) -> st.SearchStrategy[dict[str, Status]]:
    return st.dictionaries(st.sampled_from("uvwxyz"), st.sampled_from(statuses))


@given(rubrics(), some_outcomes(*Status))
def test_the_total_lies_between_nothing_and_what_is_possible(
    drawn: Rubric, by_check: dict[str, Status]
) -> None:
    result = score(drawn, outcomes(**by_check), capabilities=())
    counted = [one for one in result.criteria if not one.criterion.planned]
    assert sum(one.points for one in counted) == result.possible
    assert all(one.earned in (None, D(0), one.points) for one in counted)
    if result.total is None:
        assert any(one.status is E for one in counted)
    else:
        assert 0 <= result.total <= result.possible


@given(rubrics(), some_outcomes(P, F, B, U), st.sampled_from("uvwxyz"))
def test_passing_more_never_scores_less(drawn: Rubric, by_check: dict[str, Status], better: str) -> None:
    worse = score(drawn, outcomes(**{**by_check, better: F}), capabilities=()).total
    improved = score(drawn, outcomes(**{**by_check, better: P}), capabilities=()).total
    assert worse is not None
    assert improved is not None
    assert improved >= worse


@given(rubrics())
def test_who_passes_everything_has_all_of_it(drawn: Rubric) -> None:
    result = score(drawn, outcomes(**dict.fromkeys("uvwxyz", P)), capabilities=())
    assert result.total == result.possible
    assert result.possible == sum(one.points for one in drawn.criteria if not one.planned)
    assert result.percent == (100 if result.possible else None)


@given(rubrics(), some_outcomes(P, U))
def test_points_that_move_are_neither_lost_nor_made(drawn: Rubric, by_check: dict[str, Status]) -> None:
    everything = {name: by_check.get(name, P) for name in "uvwxyz"}
    live = [one for one in drawn.criteria if not one.planned]
    shown = {one.id for one in live if all(everything[name] is P for name in one.checks)}
    groups = {one.group for one in live if one.id in shown and one.points}
    kept = sum(one.points for one in live if one.id in shown or one.unsupported_to in groups)
    result = score(drawn, outcomes(**everything), capabilities=())
    assert result.possible == kept
    assert result.total == kept


@given(rubrics(), some_outcomes(P, F, U), st.sampled_from("uvwxyz"))
def test_one_error_takes_no_points_from_any_other_criterion(
    drawn: Rubric, by_check: dict[str, Status], broken: str
) -> None:
    before = {one.criterion.id: one for one in score(drawn, outcomes(**by_check), capabilities=()).criteria}
    after = score(drawn, outcomes(**{**by_check, broken: E}), capabilities=()).criteria
    for one in after:
        if broken not in one.criterion.checks and one.criterion.id in before and U not in by_check.values():
            assert dataclasses.replace(one) == before[one.criterion.id]
