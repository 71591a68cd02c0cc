"""Sections of Markdown: what is a heading, what stands below it, and whether somebody could do it."""

from __future__ import annotations

import pytest

from graders.documents.markdown import sections

TEXT = """# Runbook

Some words.

## control-plane-loss

1. Look.

### Afterwards

## Empty

```
# no heading
```

Set below
---------
"""


def test_a_section_goes_on_to_the_next_heading_of_its_rank() -> None:
    found = {each.title: each for each in sections(TEXT)}
    assert list(found) == ["Runbook", "control-plane-loss", "Afterwards", "Empty", "Set below"]
    assert "Look" in found["control-plane-loss"].body
    assert "Afterwards" in found["control-plane-loss"].body
    assert "Empty" not in found["control-plane-loss"].body
    assert (found["Empty"].line, found["Set below"].level) == (11, 2)


def test_a_heading_in_code_is_none_and_headings_alone_are_no_text() -> None:
    found = {each.title: each for each in sections(TEXT)}
    assert found["Afterwards"].is_empty
    assert not found["Runbook"].is_empty


@pytest.mark.parametrize(
    ("body", "steps"),
    [
        ("Look at it.", False),
        ("- Look.", True),
        ("1. Look.\n   - Closer.", True),
        ("Type `status`.", True),
        ("```\nstatus\n```", True),
        # Nobody can follow what says nothing.
        ("-\n-\n\nWords.", False),
        ("```\n\n```", False),
    ],
)
def test_lists_and_code_are_steps(body: str, steps: bool) -> None:
    (found,) = sections(f"# Title\n\n{body}\n")
    assert found.has_steps is steps


def test_hyphens_and_blanks_name_the_same() -> None:
    (found,) = sections("# The `control-plane loss`\n")
    assert found.names("control-plane-loss")
    assert not found.names("node-loss")


@pytest.mark.parametrize("body", ["<!-- to be written -->", "<!-- to\nbe\n\nwritten -->", "### Below", ""])
def test_what_nobody_sees_is_no_text(body: str) -> None:
    assert sections(f"# Title\n\n{body}\n")[0].is_empty


def test_words_beside_a_comment_are_text() -> None:
    assert not sections("# Title\n\n<!-- a note --> Some words.\n")[0].is_empty
