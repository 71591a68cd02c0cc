"""Every rule of a lab text has a proof, and what is named as one is there."""

from __future__ import annotations

import ast
import dataclasses
import re
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import pytest

from graders.course import Lab, load_course
from graders.course.rules import ProofKind, TextRule, load_rules
from graders.course.rules_page import page
from graders.faults import CourseError
from graders.paths import REPOSITORY

COURSE = load_course()

TEXT = """\
# A lab

Pods carry a label, and a job
is complete at the last. Have a look at | the table | below.

## The end

It stays.
"""
RULES = """\
schema: kubeproof/rules/v1
rules:
  - id: label
    sentence: Pods carry a label
    checks: [creates-pods]
    proof: {mutation: "creates-pods: no labels"}
  - id: complete
    sentence: a job is complete at the last
    checks: [completion]
    proof: {flaw: majority-completes}
  - id: look
    sentence: Have a look at | the table | below.
    proof: {message: "tests/unit/test_course_rules.py::test_rules_are_read_with_their_proofs"}
  - id: stays
    sentence: It stays.
    checks: [completion]
    proof: {mutation: "completion: taken back"}
"""


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    (tmp_path / "README.md").write_text(TEXT)
    (tmp_path / "rules.yaml").write_text(RULES)
    return dataclasses.replace(COURSE.find_lab("lab1"), folder=tmp_path)


def test_rules_are_read_with_their_proofs(lab: Lab) -> None:
    rules = load_rules(lab)
    assert [(rule.id, rule.proof.kind) for rule in rules] == [
        ("label", ProofKind.MUTATION),
        ("complete", ProofKind.FLAW),
        ("look", ProofKind.MESSAGE),
        ("stays", ProofKind.MUTATION),
    ]


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("Pods carry a label\n", "Pods carry two labels\n", "'label' quotes what README.md does not say"),
        ("sentence: It stays.", "sentence: It goes.", "'stays' quotes what README.md does not say"),
        ("id: stays", "id: label", "there is another rule 'label'"),
        ("checks: [creates-pods]", "checks: [makes-pods]", "judged by 'makes-pods', which is no check"),
        ("creates-pods: no labels", "completion: no labels", "does not begin with one of its checks"),
        ("flaw: majority-completes", "flaw: minority-completes", "no flawed solution 'minority-completes'"),
        ("flaw: majority-completes", "flaw: both-lead", "'both-lead' loses leader, which its checks do not"),
        ("flaw: majority-completes", "sound: majority-completes", "no sound solution 'majority-completes'"),
        ("tests/unit/test_course_rules.py", "graders/course/rules.py", "there is no file 'graders/course"),
        ("tests/unit/test_course_rules.py", "tests/unit/test_no.py", "there is no file 'tests/unit/test_no"),
        ("::test_rules_are", "::test_rules_were", "has no 'test_rules_were_read_with_their_proofs'"),
        ("test_course_rules.py::test", "test_course_rules.py/test", "is no test: file::test"),
        ("{flaw: majority-completes}", "{flaw: both-lead, sound: x}", "a rule has one proof"),
        ("{flaw: majority-completes}", "{}", "a rule has one proof"),
        ("{flaw: majority-completes}", "{flaws: both-lead}", 'unknown key "flaws"'),
        ("    proof: {flaw: majority-completes}\n", "", 'the key "proof" is missing'),
    ],
)
def test_a_rule_without_a_proof_is_refused(lab: Lab, old: str, new: str, problem: str) -> None:
    assert RULES.count(old) == 1
    (lab.folder / "rules.yaml").write_text(RULES.replace(old, new))
    with pytest.raises(CourseError) as caught:
        load_rules(lab)
    assert problem in caught.value.problem
    assert caught.value.file == str(lab.folder / "rules.yaml")
    assert caught.value.line is not None
    assert caught.value.fix


def test_the_page_has_all_rules_where_the_text_has_them_and_counts_them(lab: Lab) -> None:
    made = page(lab, load_rules(lab))
    assert "4 rules, each proven:" in made
    assert "- 2 by a change of a recorded run" in made
    _, first, last = re.split(r"(?m)^## .*$", made)
    assert "| label | Pods carry a label | creates-pods | mutation: creates-pods: no labels |" in first
    assert (
        "| look | Have a look at \\| the table \\| below. | – | message: unit/test_course_rules.py::" in first
    )
    assert "| stays | It stays. | completion | mutation: completion: taken back |" in last


@pytest.fixture(scope="module", params=list(COURSE.slugs))
def real(request: pytest.FixtureRequest) -> tuple[Lab, tuple[TextRule, ...]]:
    lab = COURSE.lab(request.param)
    return lab, load_rules(lab)


def test_the_page_of_a_lab_is_up_to_date(real: tuple[Lab, tuple[TextRule, ...]]) -> None:
    lab, rules = real
    kept = REPOSITORY / "docs" / f"{lab.id}-rules.md"
    again = f"python -m graders.course.rules_page {lab.id} > docs/{kept.name}"
    assert kept.read_text(encoding="utf-8") == page(lab, rules), f"make it anew: {again}"


def _unit_tests(lab: Lab) -> list[str]:
    return [str(path.relative_to(REPOSITORY)) for path in REPOSITORY.glob(f"tests/unit/test_{lab.id}_*.py")]


def _named(rules: tuple[TextRule, ...]) -> set[str]:
    """The tests that prove rules, each as pytest names it."""
    return {rule.proof.name for rule in rules if rule.proof.node}


@cache
def _collected(files: tuple[str, ...]) -> list[str]:
    """Every test that pytest finds in these files, by its name."""
    collect = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *files]
    printed = subprocess.run(collect, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    return [line for line in printed.splitlines() if "::" in line]


def _files_of(lab: Lab, proofs: Iterable[str]) -> tuple[str, ...]:
    """The files that have these proofs: those that they name, all of a lab for a change of its record."""
    named = {name.partition("::")[0] for name in proofs}
    there = {name for name in named if (REPOSITORY / name).is_file()}
    return tuple(sorted(there if there == named else {*there, *_unit_tests(lab)}))


def _unproven(lab: Lab, rules: tuple[TextRule, ...], nodes: Iterable[str]) -> list[str]:
    """The proofs that none of these tests is."""
    nodes = list(nodes)
    there = {*nodes, *(node.partition("[")[0] for node in nodes)}
    unit = tuple(_unit_tests(lab))
    changes = {node.partition("[")[2].removesuffix("]") for node in nodes if node.startswith(unit)}
    proofs = [rule.proof for rule in rules]
    mutations = {proof.name for proof in proofs if proof.kind is ProofKind.MUTATION and not proof.node}
    return sorted((_named(rules) - there) | (mutations - changes))


def test_every_test_that_is_named_as_a_proof_is_run(
    real: tuple[Lab, tuple[TextRule, ...]], request: pytest.FixtureRequest
) -> None:
    """By this very run, by a stage that this run is none of, or by the files that have what this run lacks.

    This run may be of a few tests, and a test with parameters is known only when it is collected.
    """
    here = [item.nodeid for item in request.session.items]
    lacking = [proof for proof in _unproven(*real, here) if not _is_written(proof)]
    assert not lacking or not {*lacking} & {*_unproven(*real, _collected(_files_of(real[0], lacking)))}


def _is_written(node: str) -> bool:
    """Whether a test without parameters stands in its file."""
    path, *names = node.split("::")
    if not names or "[" in node or not (REPOSITORY / path).is_file():
        return False
    body = ast.parse((REPOSITORY / path).read_text(encoding="utf-8")).body
    for name in names:
        found = [
            each for each in body if isinstance(each, ast.FunctionDef | ast.ClassDef) and each.name == name
        ]
        if not found:
            return False
        body = found[0].body
    return True
