"""Whatever a lab text says is a rule, or is known to explain only."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from graders.course import Lab, load_course
from graders.course.limits import BEGIN, END
from graders.course.rules import load_background
from graders.faults import CourseError
from tests.unit.unread_sentences import unread

TEXT = f"""\
# A lab

Pods carry a label, and a job
is complete at the last. Nothing may be
left behind by it. A pod is not a dog!

| check | what happens there |
|---|---|
| a | a pod fails, and then another |

    kubectl get every pod there is

- It stays where it was put. **It** goes away at night.

## Limits

{BEGIN}

| so much | and not one byte more than that |

{END}
"""
RULES = """\
schema: kubeproof/rules/v1
rules:
  - id: label
    sentence: Pods carry a label
    checks: [creates-pods]
    proof: {mutation: "creates-pods: no labels"}
  - id: fails
    sentence: a pod fails, and then another
    checks: [retries]
    proof: {mutation: "retries: none"}
background:
  - A pod is not a dog!
  - what happens there
"""


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    (tmp_path / "README.md").write_text(TEXT)
    (tmp_path / "rules.yaml").write_text(RULES)
    return dataclasses.replace(load_course().find_lab("lab1"), folder=tmp_path)


def test_what_nobody_quotes_is_found_word_for_word(lab: Lab) -> None:
    assert unread(lab) == (
        "Nothing may be left behind by it.",
        "It stays where it was put.",
        "**It** goes away at night.",
    )


def test_a_few_words_of_a_sentence_do_not_read_it(lab: Lab) -> None:
    (lab.folder / "rules.yaml").write_text(RULES + "  - It stays\n  - goes away at night\n")
    assert unread(lab) == ("Nothing may be left behind by it.", "It stays where it was put.")


def test_the_background_quotes_the_text(lab: Lab) -> None:
    (lab.folder / "rules.yaml").write_text(RULES + "  - A pod is a dog!\n")
    with pytest.raises(CourseError, match="does not say: 'A pod is a dog!'") as refused:
        load_background(lab)
    assert refused.value.line == 14


@pytest.mark.parametrize("name", ["lab1", "lab2", "lab3"])
def test_every_sentence_of_a_lab_text_is_a_rule_or_known_to_explain_only(name: str) -> None:
    assert unread(load_course().find_lab(name)) == ()
