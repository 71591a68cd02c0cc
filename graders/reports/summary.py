"""`summary.md`: the report as Markdown, for GitHub's job summary, a merge request, or a release's text."""

from collections.abc import Iterable, Iterator

from graders.evidence.bundle import Bundle
from graders.model import GradeReport
from graders.reports.gantt import gantt
from graders.reports.markdown import block, code, escaped
from graders.reports.text import points_text
from graders.reports.view import CriterionLine, Group, LossView, ReportView, view_of

LIMIT = 512 * 1024
"""Bytes of the whole text: half of what GitHub takes from one step."""

_LOSSES = 40
_TEXT = 1_500
_FACTS = 12
_CUT = "\n\n*The rest is in report.html.*\n"


class SummaryExporter:
    """Writes `summary.md`."""

    name = "summary"
    file_name = "summary.md"

    def render(self, report: GradeReport, bundle: Bundle | None) -> str:
        """Score, criteria, losses with hints, the timeline as a chart, and where all this comes from."""
        view = view_of(report)
        parts = [
            *_head(view),
            *_criteria(view),
            *_findings(view),
            *_chart(gantt(report, bundle)),
            *_foot(view),
        ]
        text = "\n\n".join(part for part in parts if part) + "\n"
        whole = text.encode()
        if len(whole) <= LIMIT:
            return text
        # A fence or a table that is cut in two would swallow what other steps have to say.
        kept: list[str] = []
        for part in parts:
            if sum(len(each.encode()) + 2 for each in [*kept, part]) > LIMIT - len(_CUT):
                break
            kept.append(part)
        return "\n\n".join(part for part in kept if part) + _CUT


def headline(view: ReportView) -> str:
    """The result in one line of plain text."""
    if view.total is None:
        return f"{view.lab}: {view.headline}"
    percent = f" ({points_text(view.percent)} %)" if view.percent is not None else ""
    return f"{view.lab}: {points_text(view.total)} of {points_text(view.possible)} points{percent}"


def _head(view: ReportView) -> Iterator[str]:
    yield f"## {escaped(headline(view))}"
    if view.problem:
        yield block(view.problem[:_TEXT])
    if view.verdict == "ungraded":
        yield "This is no zero: nothing was taken off, and staff have to grade again."
    for warning in view.warnings:
        yield f"> **Warning:** {escaped(warning)}"
    for note in view.notes:
        yield f"> {escaped(note)}"


def _criteria(view: ReportView) -> Iterator[str]:
    if not view.groups:
        return
    rows = ["| | Criterion | Points |", "|---|---|---:|"]
    for group in view.groups:
        rows.append(f"| | **{escaped(group.title)}** | **{_earned(group)}** |")
        rows += [
            f"| {line.glyph} {line.word} | {escaped(line.title)} | {_earned(line)} |" for line in group.lines
        ]
    yield "\n".join(rows)


def _earned(line: CriterionLine | Group) -> str:
    return f"{points_text(line.earned)} / {points_text(line.points)}"


def _findings(view: ReportView) -> Iterator[str]:
    lists: Iterable[tuple[str, tuple[LossView, ...]]] = (
        ("Points lost", view.losses),
        ("Not graded: no fault of yours", view.ungraded),
        ("Blocked by one of the above", view.blocked),
        ("Not shown on this cluster", view.unsupported),
    )
    for title, findings in lists:
        if not findings:
            continue
        yield f"### {title}"
        for finding in findings[:_LOSSES]:
            yield _finding(finding)
        if len(findings) > _LOSSES:
            yield f"*{len(findings) - _LOSSES} more are in report.html.*"


def _finding(finding: LossView) -> str:
    lost = f" (−{points_text(finding.points)})" if finding.points else ""
    lines = [f"- **{escaped(finding.title)}**{lost}"]
    told = (
        ("", finding.meaning),
        ("expected: ", finding.expected),
        ("seen: ", finding.observed),
        ("**next step:** ", finding.hint),
    )
    lines += [f"  - {label}{escaped(text[:_TEXT])}" for label, text in told if text]
    if finding.facts:
        facts = ", ".join(f"{name} = {value[:80]}" for name, value in finding.facts[:_FACTS])
        lines.append(f"  - measured: {escaped(facts)}")
    if finding.again:
        lines.append(f"  - see it again: {code(finding.again)}")
    return "\n".join(lines)


def _chart(source: str) -> Iterator[str]:
    if source:
        yield "### Timeline"
        yield block(source, "mermaid")


def _foot(view: ReportView) -> Iterator[str]:
    rows = [f"| {escaped(name)} | {escaped(value[:200])} |" for name, value in view.provenance]
    if rows:
        table = "\n".join(["| | |", "|---|---|", *rows])
        yield f"<details><summary>Where this comes from</summary>\n\n{table}\n\n</details>"
