"""A value is found in a text however it is written there, and whatever is around it."""

from __future__ import annotations

import base64

import pytest

from graders.audits.encodings import forms_in

TOKEN = b"ad0707795a5b56c3a9851c28c5e3daf9"


@pytest.mark.parametrize("before", [b"", b"T", b"T=", b"TOKEN="])
@pytest.mark.parametrize("after", [b"", b"\n", b"\nUSER=web\n"])
@pytest.mark.parametrize("value", [TOKEN, TOKEN[:-1], TOKEN[:-2]])
def test_base64_of_a_file_that_holds_it(before: bytes, after: bytes, value: bytes) -> None:
    text = b"data: " + base64.b64encode(before + value + after)
    assert list(forms_in(text, value)) == ["base64"]


@pytest.mark.parametrize("form", [TOKEN.hex(), TOKEN.hex().upper()])
def test_hex_in_small_letters_or_large(form: str) -> None:
    assert list(forms_in(form.encode(), TOKEN)) == ["hex"]


def test_as_it_is_and_not_at_all() -> None:
    assert list(forms_in(b"token: " + TOKEN, TOKEN)) == ["raw"]
    assert list(forms_in(base64.b64encode(TOKEN[1:] + b"0"), TOKEN)) == []
