"""Text that a learner may have written is safe to show, and a reader sees that something was there."""

import unicodedata
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graders.reports.text import LIMIT, clean, fact_text, number, one_line, plain, points_text


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;https://evil.example\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x9b2Jcleared", "cleared"),
        ("\x1b]never ended", "never ended"),
        ("a\x00b\x08c", "a\ufffdb\ufffdc"),
        ("abc\u202edef\u2069", "abc\ufffddef\ufffd"),
        ("one\r\ntwo\rthree\u2028four", "one\ntwo\nthree\nfour"),
        ("lone \ud800 surrogate", "lone \ufffd surrogate"),
        ("no \uffff character", "no \ufffd character"),
        ("tabs\tand\nlines, ümläuts, 日本, 👩\u200d🔬", "tabs\tand\nlines, ümläuts, 日本, 👩\u200d🔬"),
    ],
)
def test_what_acts_on_a_screen_is_removed_and_the_rest_is_kept(hostile: str, shown: str) -> None:
    assert clean(hostile) == shown


def test_a_long_text_is_cut_and_says_how_much_was_left_out() -> None:
    text = clean("x" * 10_000_000)

    assert text.startswith("x" * LIMIT + "…")
    assert text.endswith("(9,996,000 more characters)")


@given(st.text())
def test_no_control_format_or_surrogate_character_survives(text: str) -> None:
    kept = clean(text)

    kinds = {unicodedata.category(character) for character in kept if character not in "\n\t\u200c\u200d"}
    assert not kinds & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert len(kept) <= len(text)


def test_marks_piled_on_one_letter_are_cut() -> None:
    assert clean("e" + "\u0301" * 500 + "x") == "e" + "\u0301" * 8 + "x"


def test_one_line_has_no_line_breaks() -> None:
    assert one_line("a\n  b\tc", 200) == "a b c"
    assert one_line("abcdef", 4) == "abc…"


def test_facts_become_json_data_of_bounded_size() -> None:
    data = plain(
        {
            "nan": float("nan"),
            "points": Decimal("2.50"),
            "huge": 1 << 100_000,
            "raw": b"\x00\x01",
            "many": list(range(1000)),
            "bad\x1b[1mkey": "value\x00",
        }
    )

    assert data["nan"] == "nan"
    assert data["points"] == 2.5
    assert data["huge"] == "a number of 100,001 bits"
    assert data["raw"] == "2 bytes"
    assert data["many"][-1] == "… 800 more"
    assert data["badkey"] == "value\ufffd"


def test_facts_nested_without_end_are_cut() -> None:
    endless: dict[str, object] = {}
    endless["self"] = endless

    assert "…" in fact_text(endless)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (3, "3"),
        (0.1 + 0.2, "0.3"),
        ([1.0, 2, "x"], "1, 2, x"),
        ([], "none"),
        ({"a": 1}, '{"a": 1}'),
        (True, "true"),
    ],
)
def test_a_fact_reads_as_a_person_writes_it(value: object, shown: str) -> None:
    assert fact_text(value) == shown


def test_points_keep_their_digits() -> None:
    assert number(Decimal("0.1") + Decimal("0.2")) == 0.3
    assert repr(number(Decimal("4.00"))) == "4"
    assert points_text(Decimal("2.350")) == "2.35"
    assert points_text(Decimal("100")) == "100"
    assert points_text(None) == "–"
