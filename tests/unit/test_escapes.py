"""Escape sequences leave nothing of themselves behind, whichever of their forms they have."""

from pathlib import Path

import pytest

from graders.cli.progress import printable
from graders.escapes import printed_text, without_escapes
from graders.images.transcript import printable as transcribed
from graders.judging.text import clean, clean_tail
from graders.reports.text import clean as shown
from graders.sandbox.logs import BoundedLog

FORMS = {
    "colour": "\x1b[31mERROR\x1b[0m",
    "many parameters": "\x1b[38;2;255;0;0;1mERROR\x1b[m",
    "private": "\x1b[?25lERROR\x1b[?25h",
    "colons": "\x1b[4:3mERROR\x1b[24m",
    "title, BEL": "\x1b]0;title\x07ERROR",
    "title, ST": "\x1b]2;title\x1b\\ERROR",
    "link": "\x1b]8;;https://example.org\x1b\\ERROR\x1b]8;;\x1b\\",
    "device control": "\x1bP1$r0m\x1b\\ERROR",
    "character set": "\x1b(BERROR\x1b)0",
    "keypad": "\x1b=ERROR\x1b>",
    "C1 colour": "\x9b31mERROR\x9b0m",
    "C1 title": "\x9d0;title\x9cERROR",
    "C1 title, BEL": "\x9d0;title\x07ERROR",
    "cut at the end": "ERROR\x1b[3",
}


@pytest.mark.parametrize("form", FORMS)
def test_a_sequence_is_taken_out_whole(form: str) -> None:
    assert without_escapes(FORMS[form]) == "ERROR"


@pytest.mark.parametrize("form", FORMS)
def test_a_log_has_none_of_it(form: str, tmp_path: Path) -> None:
    raw = FORMS[form].encode()
    assert printed_text(raw) == "ERROR"
    log = BoundedLog(tmp_path / "log")
    log.write(raw)
    assert log.tail(1) == "ERROR"
    log.close()


def test_single_bytes_of_c1_are_sequences_too() -> None:
    assert printed_text(b"\x9b31mERROR\x9b0m \x9d0;title\x9cagain") == "ERROR again"


def test_letters_that_hold_such_bytes_are_kept() -> None:
    text = "Ûn ěŝ 日本 \u201c“”"
    assert printed_text(text.encode()) == text


def test_other_bytes_that_are_no_text_are_replaced() -> None:
    assert printed_text(b"a\xffb") == "a\ufffdb"


@pytest.mark.parametrize("safe", [clean, shown, printable, transcribed])
def test_whatever_makes_text_safe_takes_them_out_first(safe: object) -> None:
    assert callable(safe)
    assert safe("\x1b[31mERROR\x1b[0m \x1b]0;title\x07cannot") == "ERROR cannot"


def test_what_is_taken_out_does_not_count_towards_the_most_characters() -> None:
    assert clean("\x1b[31m" * 3 + "abcdef", 6) == "abcdef"
    assert clean_tail("\x1b[31mabc\x1b[0mdef", 4) == "…def"


def test_a_text_of_beginnings_alone_takes_no_long_time() -> None:
    assert "\x1b" not in without_escapes("\x1b]" * 200_000)
