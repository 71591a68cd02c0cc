"""The rules of a lab as a page: `python -m graders.course.rules_page LAB > docs/LAB-rules.md`."""

import sys
from collections.abc import Iterator, Sequence

from graders.course.course import Lab, load_course
from graders.course.rules import TEXT, ProofKind, TextRule, by_proof, load_rules, plain

_TOLD = {
    ProofKind.FLAW: "by a flawed solution that breaks it and loses for it",
    ProofKind.SOUND: "by a sound solution that must lose nothing",
    ProofKind.MUTATION: "by a change of a recorded run that its check notices",
    ProofKind.MESSAGE: "by a test of what the harness promises",
}


def page(lab: Lab, rules: Sequence[TextRule]) -> str:
    """All rules in the order of the lab text, as Markdown."""
    return "\n".join(_lines(lab, rules)) + "\n"


def _lines(lab: Lab, rules: Sequence[TextRule]) -> Iterator[str]:
    counted = by_proof(rules)
    yield f"# {lab.id}: its rules, and what proves each"
    yield ""
    yield f"Made from `labs/{lab.id}/rules.yaml` by `python -m graders.course.rules_page {lab.id}`."
    yield f"{len(rules)} rules, each proven:"
    yield ""
    yield from (f"- {counted[kind]} {told}" for kind, told in _TOLD.items())
    places = _places(lab)
    for place in dict.fromkeys(heading for heading, _ in places):
        there = [rule for rule in rules if _heading(places, rule) == place]
        if there:
            yield from (
                "",
                f"## {place}",
                "",
                "| rule | what the text says | checks | proof |",
                "|---|---|---|---|",
            )
            yield from (_row(rule) for rule in there)


def _row(rule: TextRule) -> str:
    proof = f"{rule.proof.kind}: {_cell(rule.proof.name.removeprefix('tests/'))}"
    return f"| {rule.id} | {_cell(rule.sentence)} | {', '.join(rule.checks) or '–'} | {proof} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _places(lab: Lab) -> list[tuple[str, str]]:
    """The parts of the lab text, by their heading."""
    parts: list[tuple[str, list[str]]] = [("", [])]
    for line in (lab.folder / TEXT).read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            parts.append((line.lstrip("# "), []))
        parts[-1][1].append(line)
    return [(heading, plain("\n".join(lines))) for heading, lines in parts]


def _heading(places: list[tuple[str, str]], rule: TextRule) -> str:
    return next((heading for heading, text in places if rule.sentence in text), places[0][0])


if __name__ == "__main__":
    found = load_course().find_lab(sys.argv[1])
    sys.stdout.write(page(found, load_rules(found)))
