"""The rules of a lab: each sentence of its text that demands, forbids or promises something, with its proof.

`labs/<lab>/rules.yaml` lists them, and below `background` what only explains: no sentence is passed
over. A rule is proven by a solution that breaks it and loses for it, by a sound solution that no check
may mistake for a flawed one, by a change of a recorded run that a check notices, or, for what the
harness promises, by a test.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from graders.course.course import Lab
from graders.documents import Document, Location, Strict, load_document, misfit, parse
from graders.faults import CourseError
from graders.paths import REPOSITORY

FILE = "rules.yaml"
TEXT = "README.md"
"""What learners read, and rules quote, both in the folder of the lab."""


class ProofKind(StrEnum):
    """What may prove a rule."""

    FLAW = "flaw"
    SOUND = "sound"
    MUTATION = "mutation"
    MESSAGE = "message"


@dataclass(frozen=True)
class Proof:
    """`name` is that of a solution; or a test `file::test`, or of a mutation `check: what is changed`."""

    kind: ProofKind
    name: str

    @property
    def node(self) -> tuple[str, str] | None:
        """File and name of the test, if it names one."""
        file, apart, test = self.name.partition("::")
        return (file, test) if apart else None


@dataclass(frozen=True)
class TextRule:
    """One thing that the lab text says, in its own words, the checks that judge it, and what proves that."""

    id: str
    sentence: str
    checks: tuple[str, ...]
    proof: Proof


def by_proof(rules: Iterable[TextRule]) -> Counter[ProofKind]:
    """How many rules are proven by what."""
    return Counter(rule.proof.kind for rule in rules)


def load_rules(lab: Lab, repository: Path = REPOSITORY) -> tuple[TextRule, ...]:
    """Read and cross-check the rules of a lab.

    Raises:
        CourseError: one quotes what the text does not say, or its proof is none; says file, line and fix.
    """
    document, file = _read(lab)
    text = plain((lab.folder / TEXT).read_text(encoding="utf-8"))
    ids: set[str] = set()
    found = []
    for at, written in enumerate(file.rules):
        where: Location = ("rules", at)
        if written.id in ids:
            fix = "give each rule an id of its own"
            raise document.refusal(f"there is another rule {written.id!r}", (*where, "id"), fix=fix)
        ids.add(written.id)
        if plain(written.sentence) not in text:
            raise document.refusal(
                f"rule {written.id!r} quotes what {TEXT} does not say: {written.sentence!r}",
                (*where, "sentence"),
                fix="quote the text word for word, or follow its change",
            )
        _check_checks(document, (*where, "checks"), written, lab)
        proof = Proof(*next((kind, name) for kind, name in written.proof.named() if name))
        rule = TextRule(written.id, plain(written.sentence), tuple(written.checks), proof)
        if problem := _doubt(rule, lab, repository):
            raise document.refusal(
                f"rule {rule.id!r} is not proven: {problem}",
                (*where, "proof", proof.kind.value),
                fix="name what proves it",
            )
        found.append(rule)
    return tuple(found)


def load_background(lab: Lab) -> tuple[str, ...]:
    """What the lab text says to explain something, and neither demands, forbids nor promises.

    Raises:
        CourseError: the text does not say it; names file, line and fix.
    """
    document, file = _read(lab)
    text = plain((lab.folder / TEXT).read_text(encoding="utf-8"))
    for at, words in enumerate(file.background):
        if plain(words) not in text:
            raise document.refusal(
                f"the background quotes what {TEXT} does not say: {words!r}",
                ("background", at),
                fix="quote the text word for word, or follow its change",
            )
    return tuple(plain(words) for words in file.background)


def _read(lab: Lab) -> tuple[Document, _RulesFile]:
    document = load_document(lab.folder / FILE, error=CourseError)
    return document, parse(document, _RulesFile)


def plain(text: str) -> str:
    """Text on one line: how lines are broken does not matter."""
    return " ".join(text.split())


def _check_checks(document: Document, where: Location, rule: _Rule, lab: Lab) -> None:
    known = {info.id for info in lab.checks}
    for at, name in enumerate(rule.checks):
        if name not in known:
            raise document.refusal(
                f"rule {rule.id!r} is judged by {name!r}, which is no check",
                (*where, at),
                fix=f"name some of {', '.join(sorted(known))}",
            )


def _doubt(rule: TextRule, lab: Lab, repository: Path) -> str:
    """Why its proof is none; empty when it is one."""
    proof = rule.proof
    match proof.kind:
        case ProofKind.FLAW:
            return _doubt_flaw(rule, lab)
        case ProofKind.SOUND:
            there = proof.name in {each.name for each in lab.sound}
            return "" if there else f"there is no sound solution {proof.name!r}"
        case ProofKind.MUTATION if proof.node is None:
            judged = proof.name.partition(": ")[0] in rule.checks
            return "" if judged else f"{proof.name!r} does not begin with one of its checks and a colon"
    return _doubt_test(proof, repository)


def _doubt_flaw(rule: TextRule, lab: Lab) -> str:
    name = rule.proof.name
    flaw = next((each for each in lab.flawed if each.name == name), None)
    if flaw is None:
        return f"there is no flawed solution {name!r}"
    lost = [criterion for criterion in lab.rubric.criteria if criterion.id in flaw.everything]
    if any(set(criterion.checks) & set(rule.checks) for criterion in lost):
        return ""
    return f"{name!r} loses {', '.join(c.id for c in lost)}, which its checks do not decide"


def _doubt_test(proof: Proof, repository: Path) -> str:
    if proof.node is None:
        return f"{proof.name!r} is no test: file::test"
    file, test = proof.node
    path = repository / file
    if not file.startswith("tests/") or ".." in Path(file).parts or not path.is_file():
        return f"there is no file {file!r} in tests/"
    name = test.partition("[")[0].rpartition("::")[2]
    return "" if name in _tests(path) else f"{file} has no {name!r}"


@cache
def _tests(path: Path) -> frozenset[str]:
    parts = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return frozenset(part.name for part in parts if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef))


def _one(value: object) -> object:
    if not isinstance(value, dict) or len(value) != 1:
        raise misfit("a rule has one proof", f"write one of {', '.join(ProofKind)}")
    return value


Text = Annotated[str, Field(min_length=1)]
Slug = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]


class _Proof(Strict):
    flaw: Slug | None = None
    sound: Slug | None = None
    mutation: Text | None = None
    message: Text | None = None

    def named(self) -> Iterable[tuple[ProofKind, str]]:
        return ((kind, getattr(self, kind.value) or "") for kind in ProofKind)


class _Rule(Strict):
    id: Slug
    sentence: Text
    checks: list[Slug] = Field(default_factory=list)
    proof: Annotated[_Proof, BeforeValidator(_one)]


class _RulesFile(Strict):
    declared: Annotated[Literal["kubeproof/rules/v1"], Field(alias="schema")]
    rules: list[_Rule]
    background: list[Text] = Field(default_factory=list)
