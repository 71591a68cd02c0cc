"""What a site says of a class: item analysis, losses, waits, likenesses."""

from __future__ import annotations

import dataclasses
import random
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graders.gradebook.model import CriterionGrade, GradeState, LabGrade
from graders.model import Status
from graders.site import LabSources, SlowWait
from graders.site.fingerprints import GRAM, SOURCES, WINDOW, fingerprints, gram_hashes
from graders.site.itemanalysis import Item, analyse
from graders.site.likenesses import likenesses
from graders.site.losses import common_losses, shape
from graders.site.waits import slowest_waits
from tests.unit.synthetic_class import graded, large_class, without
from tests.unit.synthetic_sources import STARTER, disguised, program, sources


def grade(who: str, *earned: str, status: Status = Status.PASSED) -> LabGrade:
    """A grade of criteria a, b, c … worth two points each."""
    criteria = tuple(
        CriterionGrade("abcdefgh"[i], f"title {i}", "g", Decimal(2), Decimal(each), status)
        for i, each in enumerate(earned)
    )
    return graded(who, str(sum(map(Decimal, earned))), criteria=criteria, possible=Decimal(2 * len(earned)))


ROWS = "222 220 222 202 210 002 010 002 222 000 220 002"
CLASS = [grade(f"l{i}", *row) for i, row in enumerate(ROWS.split())]


def item(name: str, grades: list[LabGrade] | None = None) -> Item:
    return next(one for one in analyse(grades or CLASS).items if one.id == name)


class TestItems:
    """Of a class of twelve, whose three criteria are in `ROWS`."""

    def test_difficulty_is_the_share_of_points_earned(self) -> None:
        assert (item("a").full, item("a").graded) == (7, 12)
        assert item("a").difficulty == pytest.approx(7 / 12)
        assert item("b").difficulty == pytest.approx(12 / 24)

    def test_discrimination_leaves_the_criterion_itself_out_of_the_rest(self) -> None:
        """For a, against b + c: means 7/6 of 2 and 13/6; worked out with the textbook formula."""
        a = [float(one.criteria[0].earned or 0) for one in CLASS]
        rest = [float(sum(each.earned or 0 for each in one.criteria[1:])) for one in CLASS]
        mean_a, mean_rest, n = sum(a) / 12, sum(rest) / 12, 12
        covariance = sum((x - mean_a) * (y - mean_rest) for x, y in zip(a, rest, strict=True)) / n
        spread = (sum((x - mean_a) ** 2 for x in a) / n * sum((y - mean_rest) ** 2 for y in rest) / n) ** 0.5

        assert item("a").discrimination == pytest.approx(covariance / spread)
        assert item("c").discrimination is not None
        assert item("c").discrimination < 0.1

    def test_a_point_biserial_is_the_same_for_all_or_nothing(self) -> None:
        """r = (M1 − M0) / s · √(p q), Glass and Hopkins."""
        ones = [one for one in CLASS if one.criteria[0].earned]
        zeros = [one for one in CLASS if not one.criteria[0].earned]

        def rest(one: LabGrade) -> float:
            return float(sum(each.earned or 0 for each in one.criteria[1:]))

        values = [rest(one) for one in CLASS]
        mean = sum(values) / 12
        deviation = (sum((value - mean) ** 2 for value in values) / 12) ** 0.5
        m1, m0 = sum(map(rest, ones)) / len(ones), sum(map(rest, zeros)) / len(zeros)
        expected = (m1 - m0) / deviation * (len(ones) * len(zeros)) ** 0.5 / 12

        assert item("a").discrimination == pytest.approx(expected)

    def test_who_has_no_grade_counts_in_nothing(self) -> None:
        others = [
            without(f"u{i}", state) for i, state in enumerate(GradeState) if state is not GradeState.GRADED
        ]

        assert analyse([*CLASS, *others]) == analyse(CLASS)

    def test_what_could_not_be_shown_counts_for_nobody(self) -> None:
        unseen = [grade(f"u{i}", "0", "0", "0", status=Status.UNSUPPORTED) for i in range(5)]

        assert item("a", [*CLASS, *unseen]) == item("a")

    def test_nothing_is_said_of_what_does_not_vary_or_of_few(self) -> None:
        assert item("a", [grade(f"l{i}", "2", str(i % 2)) for i in range(12)]).discrimination is None
        assert item("a", CLASS[:9]).discrimination is None
        assert analyse(CLASS[:9]).alpha is None

    def test_alpha_is_one_where_all_criteria_agree_and_low_where_none_do(self) -> None:
        assert analyse(
            [grade(f"l{i}", *("2" if i % 3 else "0") * 4) for i in range(12)]
        ).alpha == pytest.approx(1)
        draw = random.Random(3)
        noise = [grade(f"l{i}", *(draw.choice("02") for _ in range(6))) for i in range(200)]
        alpha = analyse(noise).alpha
        assert alpha is not None
        assert abs(alpha) < 0.3

    def test_a_criterion_that_the_able_lose_is_pointed_at(self) -> None:
        upside_down = [grade(f"l{i}", "0" if i > 6 else "2", *["2" if i > 6 else "0"] * 3) for i in range(14)]

        assert "mistake in the check" in item("a", upside_down).remark

    def test_remarks_of_a_class_made_to_vary_are_few(self) -> None:
        analysis = analyse(large_class(150).grades)

        assert len(analysis.items) == 28
        assert all(one.discrimination and one.discrimination > 0 for one in analysis.items)


class TestLosses:
    """Counted by check, told by reason."""

    def test_reasons_that_differ_in_details_are_one(self) -> None:
        assert shape("pod flaky-2 twice after 3.5 s") == shape("pod flaky-11 twice after 20 s")
        assert shape('"a" is not `b`') == shape("'x' is not \"y z\"")
        assert shape("a pod twice") != shape("no pod")

    def test_the_most_frequent_comes_first_with_what_it_cost(self) -> None:
        grades = [graded("ada"), graded("bob"), without("eve", GradeState.UNGRADED)]
        rare = dataclasses.replace(grades[0].losses[0], check="rare", criteria=())
        grades[0] = dataclasses.replace(grades[0], losses=(*grades[0].losses, rare))

        found = common_losses(grades)

        assert [(one.check, one.learners, one.points) for one in found] == [
            ("retries", ("ada", "bob"), Decimal(8)),
            ("rare", ("ada",), Decimal(0)),
        ]
        assert [reason.learners for reason in found[0].reasons] == [("ada", "bob")]

    def test_what_was_blocked_is_no_loss_of_its_own(self) -> None:
        assert "codes" not in [one.check for one in common_losses([graded("ada")])]


def test_waits_for_one_thing_are_told_together() -> None:
    waits = [SlowWait(f"l{i}", "t", f"pod p-{i} to go", float(i)) for i in range(1, 12)]

    (group,) = slowest_waits(waits)

    assert (group.times, group.median_s, group.longest_s, group.slowest) == (11, 6.0, 11.0, "l11")
    assert group.p90_s == 10.0
    assert group.total_s == 66.0


WORDS = [
    "if",
    "for",
    "while",
    "(",
    ")",
    "[",
    "]",
    "+",
    "-",
    "*",
    "/",
    "==",
    "<",
    ">",
    "return",
    "not",
    "and",
    "%",
]


class TestFingerprints:
    """Winnowing keeps its two promises."""

    @settings(max_examples=60)
    @given(st.integers(0, 10_000), st.integers(0, 40), st.integers(0, 40))
    def test_whatever_is_long_enough_is_found(self, seed: int, before: int, after: int) -> None:
        draw = random.Random(seed)
        copied = [draw.choice(WORDS) for _ in range(GRAM + WINDOW - 1)]
        texts = [
            " ".join([*draw.choices(WORDS, k=before), *copied, *draw.choices(WORDS, k=after)])
            for _ in range(2)
        ]

        one, other = ({gram.hash for gram in fingerprints({"a.py": text})} for text in texts)

        assert one & other

    def test_nothing_shorter_than_a_gram_is(self) -> None:
        assert fingerprints({"a.py": " ".join(WORDS[: GRAM - 1])}) == ()
        assert len(fingerprints({"a.py": " ".join(WORDS[:GRAM])})) == 1

    def test_other_names_comments_literals_and_layout_change_nothing(self) -> None:
        one, other = (gram_hashes("a.py", text) for text in (program(1), disguised(program(1))))

        assert one == other

    def test_lines_are_those_of_the_text(self) -> None:
        text = "# a\n\n" + "\n".join(f"x{i} = {i} + y" for i in range(20))

        found = fingerprints({"a.py": text})

        # Five tokens a line, so eighteen of them are on four or five lines.
        assert {gram.last - gram.first for gram in found} <= {3, 4}
        assert min(gram.first for gram in found) >= 3
        assert max(gram.last for gram in found) <= 22

    def test_manifests_and_unknown_files_are_not_looked_at(self) -> None:
        assert fingerprints({"a.yaml": program(1), "b.unknown": program(2), "c": program(3)}) == ()


class TestLikenesses:
    """Only copies are alike."""

    def test_copies_are_found_and_nobody_else(self) -> None:
        found = likenesses(sources(16))

        assert [(pair.one, pair.other) for pair in found.pairs] == [
            ("learner-003", "learner-005"),
            ("learner-008", "learner-009"),
        ]
        assert found.pairs[0].share == 1
        assert 0.3 < found.pairs[1].share < 0.7

    def test_what_the_course_gave_is_nobodys_likeness(self) -> None:
        handed_in = {name: {"main.py": STARTER} for name in ("ada", "bob")}

        assert likenesses(LabSources(handed_in, {"starter/main.py": STARTER})).pairs == ()
        assert likenesses(LabSources(handed_in, {})).compared == 2

    def test_what_many_have_is_nobodys_likeness(self) -> None:
        handed_in = {f"l{i}": {"main.py": program(1) + program(100 + i, 4)} for i in range(12)}

        found = likenesses(LabSources(handed_in))

        assert found.pairs == ()
        assert found.common > 10

    def test_regions_are_the_same_code_on_both_sides(self) -> None:
        pair = likenesses(sources(12)).pairs[0]

        for ours, theirs in pair.regions:
            assert ours.number == theirs.number
            assert (ours.first, ours.last) == (theirs.first, theirs.last)  # A copy keeps its lines here.


@pytest.mark.parametrize("suffix", sorted(SOURCES))
@pytest.mark.parametrize("unit", ["\n\t", "/*\n", "'''", "`\n"])
def test_no_text_takes_a_lexer_for_ever(suffix: str, unit: str) -> None:
    """Sixty thousand characters of it: where time grew with the square, some would take half a minute."""
    found = fingerprints({f"a{suffix}": unit * (60_000 // len(unit))})

    assert all(1 <= gram.first <= gram.last <= 60_000 for gram in found)
