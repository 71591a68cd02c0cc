"""Prints a report where the grading was asked for: the score, the table, then what to do about each loss.

Every text of a report goes into `Text`, never through rich's markup, and after `clean`. Signs and words
stand beside colours, and a terminal that cannot show a sign gets a plain one.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from graders.model import GradeReport, Status
from graders.reports.critical import Step, longest
from graders.reports.text import clean, one_line, points_text
from graders.reports.view import Group, LossView, ReportView, view_of

_TEXT = 1_200
_FACT = 240
_NARROW = 60
_STEPS = 8
_STYLES = {
    Status.PASSED.value: "green",
    Status.FAILED.value: "bold red",
    Status.BLOCKED.value: "yellow",
    Status.UNSUPPORTED.value: "cyan",
    Status.ERROR.value: "bold yellow",
    "graded": "blue",
    "rejected": "red",
    "ungraded": "yellow",
}
_ASCII = str.maketrans(
    {
        "✓": "+",
        "✗": "x",
        "⊘": "/",
        "○": "o",
        "·": "-",
        "–": "-",
        "−": "-",
        "…": "...",
        "‘": "'",
        "’": "'",
        "→": "->",
    }
)


def print_report(
    report: GradeReport,
    console: Console,
    files: Mapping[str, Path] | None = None,
    path: Sequence[Step] = (),
) -> None:
    """Print `report`; `files` are what `write_reports` returned, `path` where the time went."""
    _Printer(view_of(report), console).everything(files or {}, path)


class _Printer:
    def __init__(self, view: ReportView, console: Console) -> None:
        self.view = view
        self.console = console
        self._utf = console.encoding.lower().startswith("utf")
        self._narrow = console.width < _NARROW

    def everything(self, files: Mapping[str, Path], path: Sequence[Step]) -> None:
        view = self.view
        self._header()
        for warning in view.warnings:
            self._line("warning: " + warning, "yellow")
        if view.groups:
            self.console.print(self._table())
            self._planned()
        for note in view.notes:
            self._line("note: " + note, "cyan")
        self._findings("What could not be graded", view.ungraded)
        self._findings("What to mend", view.losses)
        self._findings("Waiting for something above", view.blocked)
        self._findings("Not shown by this cluster", view.unsupported)
        self._path(path)
        self._closing(files)

    def _header(self) -> None:
        view = self.view
        body = Table.grid(padding=(0, 0))
        who = " · ".join(part for part in (view.lab, view.learner) if part)
        body.add_row(self._text(who, "dim"))
        body.add_row(self._text(view.headline, "bold"))
        if view.total is not None and view.possible:
            total = f"{points_text(view.total)} of {points_text(view.possible)} points"
            percent = f"   {points_text(view.percent)} %"
            body.add_row(Text.assemble((total, "bold"), (percent, "bold")))
            body.add_row(self._bar(float(view.total / view.possible)))
        if view.counts:
            counts = [f"{glyph} {number} {word}" for _, word, glyph, number in view.counts]
            body.add_row(self._text("\n".join(_lines(counts, self.console.width - 6))))
        if view.problem:
            body.add_row(self._text(clean(view.problem, _TEXT), _STYLES.get(view.verdict, "")))
        self.console.print(Panel(body, border_style=_STYLES.get(view.verdict, ""), padding=(0, 2)))

    def _bar(self, share: float) -> Text:
        full, empty = ("█", "░") if self._utf else ("#", ".")
        width = min(40, self.console.width - 6)
        filled = round(width * min(share, 1.0))
        return Text.assemble((full * filled, _STYLES["graded"]), (empty * (width - filled), "dim"))

    def _table(self) -> Table:
        table = Table(box=None, expand=True, padding=(0, 1), show_header=False)
        table.add_column(ratio=1, overflow="fold")
        if not self._narrow:
            table.add_column(no_wrap=True)
        table.add_column(justify="right", no_wrap=True)
        for group in self.view.groups:
            self._group(table, group)
        return table

    def _group(self, table: Table, group: Group) -> None:
        points = self._text(f"{points_text(group.earned)} / {points_text(group.points)}", "bold")
        between = [] if self._narrow else [""]
        table.add_row(self._text(group.title, "bold"), *between, points)
        for line in group.lines:
            title = self._text(line.title)
            result = self._text(f"{line.glyph} {line.word}", _STYLES.get(line.status, ""))
            points = self._text(f"{points_text(line.earned)} / {points_text(line.points)}")
            if self._narrow:
                table.add_row(Padding(title + "\n" + result, (0, 0, 0, 2)), points)
                continue
            if line.title != line.id:
                title += self._text(f"  {line.id}", "dim")
            table.add_row(Padding(title, (0, 0, 0, 2)), result, points)

    def _planned(self) -> None:
        planned = self.view.planned
        if planned:
            names = ", ".join(line.id for line in planned)
            points = points_text(self.view.planned_points)
            count = f"{len(planned)} more ({points} points) are planned and count for nothing yet: "
            self.console.print(Padding(self._text(count + names, "dim"), (0, 1)))

    def _findings(self, heading: str, findings: tuple[LossView, ...]) -> None:
        if not findings:
            return
        self.console.print()
        self._line(heading, "bold underline")
        for finding in findings:
            self._finding(finding)

    def _finding(self, finding: LossView) -> None:
        lost = f" · −{points_text(finding.points)} points" if finding.points else ""
        self.console.print()
        self._line(f"{finding.glyph} {finding.title}", _STYLES.get(finding.status, ""))
        self.console.print(Padding(self._text(finding.check + lost, "dim"), (0, 0, 0, 2)))
        if finding.meaning:
            self.console.print(Padding(self._text(finding.meaning, "dim"), (0, 0, 0, 2)))
        told = Table.grid(padding=(0, 2, 0, 0))
        told.add_column(style="dim", no_wrap=True)
        told.add_column(ratio=1, overflow="fold")
        for label, value in (("expected", finding.expected), ("seen", finding.observed)):
            if value:
                told.add_row(label, self._text(clean(value, _TEXT)))
        for i, (name, value) in enumerate(finding.facts):
            told.add_row("" if i else "measured", self._text(f"{name} = {one_line(value, _FACT)}", "dim"))
        if finding.more_facts:
            told.add_row("", self._text(f"and {finding.more_facts} more in report.json", "dim"))
        if finding.hint:
            told.add_row("next step", self._text(clean(finding.hint, _TEXT), "bold"))
        if finding.again:
            told.add_row("again", self._text(finding.again, "dim"))
        self.console.print(Padding(told, (0, 0, 0, 2)))

    def _path(self, path: Sequence[Step]) -> None:
        """The longest steps that decided the end, in the order of time."""
        if not path:
            return
        shown, others = longest(path, _STEPS)
        self.console.print()
        self._line(f"Where {path[-1].end:.1f} s went: the chain of waits that decided the end", "dim")
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(justify="right", no_wrap=True, style="dim")
        table.add_column(ratio=1, overflow="fold", style="dim")
        for step in shown:
            told = f"{step.track}: {step.told}" if step.track else step.told
            table.add_row(f"{step.seconds:.1f} s", self._text(one_line(told, _FACT)))
        if others:
            seconds = sum(step.seconds for step in others)
            table.add_row(f"{seconds:.1f} s", f"{len(others)} shorter steps; report.html has them all")
        self.console.print(Padding(table, (0, 0, 0, 2)))

    def _closing(self, files: Mapping[str, Path]) -> None:
        self.console.print()
        if self.view.timing:
            parts = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in self.view.timing)
            self._line(f"time   {parts}", "dim")
        if files:
            # A path is for copying, so it is never wrapped; a terminal wraps it without breaking it.
            width = max(len(name) for name in files)
            for name, path in files.items():
                self.console.print(self._text(f"{name:<{width}}  {path}", "dim"), soft_wrap=True)

    def _line(self, text: str, style: str = "") -> None:
        self.console.print(self._text(text, style))

    def _text(self, text: str, style: str = "") -> Text:
        return Text(self._fit(text), style)

    def _fit(self, text: str) -> str:
        if self._utf:
            return text
        plain = text.translate(_ASCII)
        return plain.encode(self.console.encoding, "replace").decode(self.console.encoding)


def _lines(words: Iterable[str], width: int) -> Iterator[str]:
    """`words` on lines of at most `width`, none of them broken."""
    line = ""
    for word in words:
        longer = f"{line}   {word}" if line else word
        if line and len(longer) > width:
            yield line
            longer = word
        line = longer
    yield line
