"""A report arranged for people: groups of criteria, losses in the order worth reading, plain words.

Terminal and page show the same view, so they cannot disagree. Every text in it is cleaned.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

from graders.model import CriterionScore, Fault, GradeReport, Outcome, Status, Verdict
from graders.reports.text import clean, fact_text, one_line
from graders.reports.withheld import for_learners

_FACTS = 40
_PLANNED = "planned"
_AT = re.compile(r"--at \d{1,6}\b")

WORDS = {
    Status.PASSED: "passed",
    Status.FAILED: "failed",
    Status.BLOCKED: "blocked",
    Status.UNSUPPORTED: "not shown here",
    Status.ERROR: "not graded",
    _PLANNED: "planned",
}
"""Status in the words of a report."""

GLYPHS = {
    Status.PASSED: "✓",
    Status.FAILED: "✗",
    Status.BLOCKED: "⊘",
    Status.UNSUPPORTED: "○",
    Status.ERROR: "!",
    _PLANNED: "·",
}
"""A sign beside the word, so that a table can be scanned."""

_MEANING = {
    Status.BLOCKED: "Blocked: something it builds on failed. Mend that first; this one is then looked at.",
    Status.UNSUPPORTED: "This cluster cannot show it, so it neither earned nor cost anything here.",
}
_NOT_YOURS = {
    Fault.INFRASTRUCTURE: "The machine or the cluster failed while this was graded. It is not your fault and "
    "costs no points; staff have to grade again.",
    Fault.GRADER: "The grader itself broke on this. It is not your fault and costs no points; staff have "
    "a log.",
}


@dataclass(frozen=True)
class CriterionLine:
    """One criterion in the table; `status` is a `Status` value or `planned`."""

    id: str
    title: str
    points: Decimal
    earned: Decimal | None
    status: str
    checks: tuple[str, ...]
    linked: str = ""
    """The first of its checks that has a finding, for a link."""

    @property
    def word(self) -> str:
        """The status in words."""
        return WORDS[self.status]

    @property
    def glyph(self) -> str:
        """The status as a sign."""
        return GLYPHS[self.status]


@dataclass(frozen=True)
class Group:
    """Criteria that belong together; `earned` is None while one of them is not graded."""

    id: str
    title: str
    lines: tuple[CriterionLine, ...]

    @property
    def points(self) -> Decimal:
        """What could be earned in it."""
        return sum((line.points for line in self.lines), Decimal(0))

    @property
    def earned(self) -> Decimal | None:
        """What was earned in it."""
        earned = [line.earned for line in self.lines]
        return None if None in earned else sum((e for e in earned if e is not None), Decimal(0))


@dataclass(frozen=True)
class LossView:
    """An outcome that did not pass, told to the learner; `points` is what its criteria lost."""

    check: str
    title: str
    status: str
    points: Decimal
    meaning: str
    expected: str
    observed: str
    hint: str
    again: str
    """The command that shows it once more, alone; empty where it would show nothing."""
    facts: tuple[tuple[str, str], ...]
    more_facts: int

    @property
    def word(self) -> str:
        """The status in words."""
        return WORDS[self.status]

    @property
    def glyph(self) -> str:
        """The status as a sign."""
        return GLYPHS[self.status]


@dataclass(frozen=True)
class ReportView:
    """What a person reads of one grading; texts are clean, but not escaped for any format."""

    headline: str
    verdict: str
    learner: str
    lab: str
    problem: str
    total: Decimal | None
    possible: Decimal | None
    percent: Decimal | None
    groups: tuple[Group, ...]
    planned: tuple[CriterionLine, ...]
    losses: tuple[LossView, ...]
    ungraded: tuple[LossView, ...]
    blocked: tuple[LossView, ...]
    unsupported: tuple[LossView, ...]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    timing: tuple[tuple[str, float], ...]
    provenance: tuple[tuple[str, str], ...]

    @property
    def counts(self) -> tuple[tuple[str, str, str, int], ...]:
        """Status, word, sign and number of criteria, for each status there is."""
        found = [line.status for group in self.groups for line in group.lines]
        found += [_PLANNED] * len(self.planned)
        return tuple(
            (str(status), word, GLYPHS[status], found.count(status))
            for status, word in WORDS.items()
            if status in found
        )

    @property
    def percent_shown(self) -> int:
        """The percentage in whole numbers, rounded down: nobody reads 100 who lost a point."""
        return int(self.percent or 0)

    @property
    def planned_points(self) -> Decimal:
        """Points of criteria whose checks are not built yet."""
        return sum((line.points for line in self.planned), Decimal(0))

    @property
    def longest(self) -> float:
        """The longest stage in seconds, the scale of a bar chart."""
        return max((seconds for _, seconds in self.timing), default=0.0)


def view_of(report: GradeReport) -> ReportView:
    """Arrange `report` for people; what learners must not read is left out."""
    report = for_learners(report)
    score = report.score
    scored = score.criteria if score else ()
    live = [one for one in scored if not one.criterion.planned]
    findings = [
        _finding(report.lab, outcome, scored)
        for outcome in report.outcomes
        if outcome.status != Status.PASSED
    ]
    by_status = {
        status: tuple(finding for finding in findings if finding.status == status) for status in Status
    }
    return ReportView(
        headline=_headline(report),
        verdict=report.verdict.value,
        learner=one_line(str(report.submission.get("learner_id") or ""), 120),
        lab=one_line(report.lab, 60),
        problem=clean(report.problem),
        total=score.total if score and report.verdict is Verdict.GRADED else None,
        possible=score.possible if score else None,
        percent=score.percent if score and report.verdict is Verdict.GRADED else None,
        groups=_groups(live, {finding.check for finding in findings}, score.groups if score else {}),
        planned=tuple(_line(one) for one in scored if one.criterion.planned),
        losses=tuple(sorted(by_status[Status.FAILED], key=lambda finding: -finding.points)),
        ungraded=by_status[Status.ERROR],
        blocked=by_status[Status.BLOCKED],
        unsupported=by_status[Status.UNSUPPORTED],
        notes=tuple(clean(note) for note in (score.notes if score else ())),
        warnings=tuple(clean(warning) for warning in report.warnings),
        timing=tuple((one_line(name, 60), float(seconds)) for name, seconds in report.timing.items()),
        provenance=tuple(_rows(report.provenance)),
    )


def _rows(values: Mapping[str, object], above: str = "") -> Iterator[tuple[str, str]]:
    """Names and values, one level of nesting told in the name."""
    for name, value in values.items():
        shown = f"{above} {one_line(str(name), 60)}".replace("_", " ").strip()
        if isinstance(value, Mapping) and value and not above:
            yield from _rows(value, shown)
        else:
            yield shown, fact_text(value)


def _headline(report: GradeReport) -> str:
    match report.verdict:
        case Verdict.GRADED:
            return "Graded"
        case Verdict.REJECTED:
            return "Rejected: the submission cannot be graded as it is"
        case Verdict.UNGRADED:
            return "Not graded: something failed that is not yours"


def _groups(
    scores: Iterable[CriterionScore], told: Collection[str], titles: Mapping[str, str]
) -> tuple[Group, ...]:
    members: dict[str, list[CriterionLine]] = {}
    for one in scores:
        members.setdefault(one.criterion.group, []).append(_line(one, told))
    return tuple(
        Group(name, one_line(titles[name], 80) if name in titles else _group_title(name), tuple(lines))
        for name, lines in members.items()
    )


def _group_title(name: str) -> str:
    words = one_line(name, 80).replace("-", " ").replace("_", " ")
    return words[:1].upper() + words[1:]


def _line(one: CriterionScore, told: Collection[str] = ()) -> CriterionLine:
    criterion = one.criterion
    checks = tuple(one_line(check, 80) for check in criterion.checks)
    return CriterionLine(
        id=one_line(criterion.id, 80),
        title=one_line(criterion.title or criterion.id),
        points=criterion.points if criterion.planned else one.points,
        earned=None if criterion.planned else one.earned,
        status=_PLANNED if criterion.planned else one.status,
        checks=checks,
        linked=next((check for check in checks if check in told), ""),
    )


def _finding(lab: str, outcome: Outcome, scores: Iterable[CriterionScore]) -> LossView:
    mine = [one for one in scores if outcome.check_id in one.criterion.checks and not one.criterion.planned]
    lost = sum((one.points - one.earned for one in mine if one.earned is not None), Decimal(0))
    meaning = _MEANING.get(outcome.status, "")
    if outcome.status is Status.ERROR:
        meaning = _NOT_YOURS.get(outcome.fault or Fault.GRADER, "")
    facts = list(outcome.facts.items())
    return LossView(
        check=one_line(outcome.check_id, 80),
        title=one_line(outcome.title or (mine[0].criterion.title if mine else outcome.check_id)),
        status=outcome.status,
        points=lost,
        meaning=meaning,
        expected=clean(outcome.expected),
        observed=clean(outcome.observed),
        hint=clean(outcome.hint),
        again=_again(lab, outcome),
        facts=tuple((one_line(str(name), 80), fact_text(value)) for name, value in facts[:_FACTS]),
        more_facts=max(len(facts) - _FACTS, 0),
    )


def _again(lab: str, outcome: Outcome) -> str:
    """A hint may name the one disturbance of a series that did it."""
    if outcome.status is not Status.FAILED or not outcome.tracks:
        return ""
    at = _AT.search(outcome.hint)
    words = ["kubeproof grade", one_line(lab, 60), "DIR --only", one_line(outcome.check_id, 80)]
    return " ".join([*words, *([at[0]] if at else []), "--keep"])
