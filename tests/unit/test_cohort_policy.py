"""The rules of a course are read strictly, mean moments on its own clock, and come back from a store."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from graders.cohort.instants import Extension
from graders.cohort.policy import CoursePolicy, load_policy, policy_from, policy_text
from graders.cohort.roster import Learner, Roster
from graders.faults import UsageError

WHOLE = """\
time_zone: Europe/Berlin
attempts: last
late:
  grace: 15m
  per_day: 7.5
  at_most: 50
  of: earned
  bank: 3
labs:
  lab1:
    due: 2026-10-12 23:59
  lab2:
    due: 2026-11-09
    attempts: best
"""


def read(folder: Path, content: str, roster: Roster | None = None) -> CoursePolicy:
    path = folder / "course.yaml"
    path.write_text(content)
    return load_policy(path, labs=("lab1", "lab2"), roster=roster)


def test_everything_is_read(tmp_path: Path) -> None:
    policy = read(tmp_path, WHOLE)
    late = policy.late
    assert (late.grace, late.per_day, late.at_most) == (timedelta(minutes=15), Decimal("7.5"), Decimal(50))
    assert (late.of, late.bank) == ("earned", 3)
    assert policy.lab("lab1").attempts == "last"
    assert policy.lab("lab2").attempts == "best"
    assert policy.lab("lab9").due is None


def test_the_number_of_an_assignment_in_canvas_is_kept(tmp_path: Path) -> None:
    policy = read(tmp_path, WHOLE.replace("attempts: best", "canvas: 4711"))

    assert (policy.lab("lab1").canvas, policy.lab("lab2").canvas) == (None, 4711)
    assert policy_from(policy_text(policy), "store") == policy


def test_two_labs_in_one_assignment_of_canvas_are_refused(tmp_path: Path) -> None:
    doubled = WHOLE.replace("attempts: best", "canvas: 4711").replace("23:59\n", "23:59\n    canvas: 4711\n")

    with pytest.raises(
        UsageError, match=r"course.yaml:15: lab2 has the Canvas assignment of lab1, 4711\n  fix: "
    ):
        read(tmp_path, doubled)


def test_a_due_date_is_on_the_clock_of_the_course(tmp_path: Path) -> None:
    policy = read(tmp_path, WHOLE)
    assert policy.due("lab1", Learner("ada")) == datetime(2026, 10, 12, 21, 59, tzinfo=UTC)
    # A date alone means its end, here in winter.
    assert policy.due("lab2", Learner("ada")) == datetime(2026, 11, 9, 22, 59, 59, tzinfo=UTC)


def test_an_hour_that_comes_twice_is_the_later(tmp_path: Path) -> None:
    policy = read(tmp_path, WHOLE.replace("2026-10-12 23:59", "2026-10-25 02:30"))
    due = policy.due("lab1", Learner("ada"))
    assert due is not None
    # Moments of two clocks are never equal to Python while one of the clocks is set back.
    assert due.astimezone(UTC) == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("granted", "due"),
    [
        (Extension(days=14), datetime(2026, 10, 26, 22, 59, tzinfo=UTC)),  # on the clock, over its change
        (Extension(hours=12), datetime(2026, 10, 13, 9, 59, tzinfo=UTC)),
        (Extension(until="2026-10-20 12:00"), datetime(2026, 10, 20, 10, 0, tzinfo=UTC)),
    ],
)
def test_an_extension_is_the_learners_own(tmp_path: Path, granted: Extension, due: datetime) -> None:
    policy = read(tmp_path, WHOLE)
    assert policy.due("lab1", Learner("ada", extensions={"lab1": granted})) == due
    assert policy.due("lab2", Learner("ada", extensions={"lab1": granted})) == policy.lab("lab2").due


def test_a_bank_of_ones_own_replaces_that_of_all(tmp_path: Path) -> None:
    policy = read(tmp_path, WHOLE)
    assert policy.bank(Learner("ada")) == 3
    assert policy.bank(Learner("ada", late_days=0)) == 0


@pytest.mark.parametrize(
    "content", [WHOLE, "time_zone: UTC\n", "time_zone: Pacific/Chatham\nattempts: best\n"]
)
def test_a_store_gives_back_what_was_read(tmp_path: Path, content: str) -> None:
    policy = read(tmp_path, content)
    assert policy_from(policy_text(policy), "store") == policy


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("time_zone: Europe/Berlin", "time_zone: Berlin", "course.yaml:1: time_zone: there is no time zone"),
        ("time_zone: Europe/Berlin", "time_zone: ../../etc/passwd", "course.yaml:1: time_zone: there is no"),
        ("time_zone: Europe/Berlin\n", "", 'the key "time_zone" is missing'),
        ("attempts: last", "attempts: first", "course.yaml:2: attempts"),
        ("grace: 15m", "grace: 15", 'fix: write it in quotes, so that it is text'),
        ("grace: 15m", "grace: a while", 'course.yaml:4: late.grace: "a while" is no duration'),
        ("per_day: 7.5", "per_day: 101", "course.yaml:5: late.per_day is 101"),
        ("per_day: 7.5", "per_day: 10%", 'is text, not a number\n  fix: write the per cent as a bare number'),
        ("per_day: 7.5", "per_day: .nan", "course.yaml:5"),
        ("per_day: 7.5", "perday: 7.5", 'fix: remove it, or did you mean "per_day"?'),
        ("bank: 3", "bank: -1", "course.yaml:8: late.bank is -1"),
        ("2026-10-12 23:59", "2026-13-12", "course.yaml:11: labs.lab1.due"),
        ("2026-10-12 23:59", "12 October", "is no date\n  fix: write a date, such as 2026-10-12"),
        ("2026-10-12 23:59", "2026-10-12 23:59Z", "is no date"),
        ("2026-10-12 23:59", "2026-03-29 02:30", "never comes: the clocks of Europe/Berlin leap over it"),
        ("2026-10-12 23:59", "1026-10-12", "is a date of no course"),
        ("lab1:", "lab7:", "course.yaml:10: there is no lab 'lab7'\n  fix: there are: lab1, lab2"),
        ("  lab2:", "  lab1:", "course.yaml:12"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_line_and_fix(tmp_path: Path, before: str, after: str, told: str) -> None:
    assert before in WHOLE
    with pytest.raises(UsageError) as error:
        read(tmp_path, WHOLE.replace(before, after, 1))
    said = str(error.value).replace(f"{tmp_path}/", "")
    assert told in said
    assert "fix: " in said


@pytest.mark.parametrize(
    ("lab", "granted", "told"),
    [
        ("lab9", Extension(days=3), r"extension:lab9 of ada: \+3d has nothing to add to"),
        ("lab1", Extension(until="2026-03-29 02:30"), "extension:lab1 of ada: .* never comes"),
    ],
)
def test_what_cannot_be_granted_here_is_told(tmp_path: Path, lab: str, granted: Extension, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        read(tmp_path, WHOLE, Roster((Learner("ada", extensions={lab: granted}),)))
