"""`summary.md` and its chart: what a learner wrote stays text, and every result says what it is."""

from __future__ import annotations

import dataclasses
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from graders.model import GradeReport, Outcome, Status
from graders.reports.gantt import gantt
from graders.reports.markdown import block, code, escaped
from graders.reports.summary import LIMIT, SummaryExporter
from tests.unit.synthetic_bundle import make_bundle, make_manifest
from tests.unit.synthetic_report import REPORTS, graded, rejected, ungraded

SUMMARY = SummaryExporter()

HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "</details><script>alert(1)</script>",
    "[click](https://evil.example) ![](https://evil.example/x.png) <https://evil.example>",
    "| a | b |\n|---|---|\n| c | d |",
    "```\n## forged heading\n```",
    "# 100 of 100 points",
    "- [x] passed\n1. passed",
    "@everyone see https://evil.example or www.evil.example",
    "*bold* __bold__ ~~gone~~ `code` \\`",
    "$x$ ^[note] &lt;b&gt;",
]


def rendered(text: str) -> str:
    return MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(text)


class Elements(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.names.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("text", HOSTILE)
def test_text_stays_text_letter_by_letter(text: str) -> None:
    page = Elements(rendered(escaped(text)))
    assert page.names == ["p"]
    assert page.text.strip() == " ".join(text.split())


@pytest.mark.parametrize("text", HOSTILE)
def test_code_stays_code(text: str) -> None:
    assert Elements(rendered(code(text))).names == ["p", "code"]
    assert Elements(rendered(block(text))).names == ["pre", "code"]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_outcome_adds_no_element_to_the_summary(text: str) -> None:
    def with_text(words: str) -> GradeReport:
        report = graded()
        outcomes = tuple(
            dataclasses.replace(each, title=words, expected=words, observed=words, hint=words)
            for each in report.outcomes
        )
        return dataclasses.replace(report, outcomes=outcomes, warnings=(words,))

    harmless = Elements(rendered(SUMMARY.render(with_text("a few words"), None)))
    assert Elements(rendered(SUMMARY.render(with_text(text), None))).names == harmless.names


def test_a_graded_report_tells_points_losses_and_the_next_step() -> None:
    text = SUMMARY.render(graded(), None)
    assert text.startswith("## lab1: 8.85 of 15.85 points (55.84 %)\n")
    assert "| ✗ failed | Stops after backoffLimit failures | 0 / 4 |" in text
    assert "**next step:** Keep the count in status.restarts" in text
    assert "`kubeproof grade lab1 DIR --only retries --keep`" in text


def test_what_is_not_graded_is_no_zero() -> None:
    text = SUMMARY.render(ungraded(), None)
    assert text.startswith("## lab1: Not graded")
    assert "This is no zero" in text
    assert not re.search(r"\b0 of\b", text)


def test_a_rejected_report_tells_file_line_and_fix() -> None:
    assert "submission.yaml:7: operator.comand: there is no such key" in SUMMARY.render(rejected(), None)


def test_a_summary_without_end_is_cut_between_its_parts() -> None:
    losses = [Status.FAILED, Status.ERROR, Status.BLOCKED, Status.UNSUPPORTED]
    many = tuple(
        Outcome(f"c{n}", losses[n % 4], "a check", "é" * 1500, "é" * 1500, hint="é" * 1500)
        for n in range(100)
    )
    text = SUMMARY.render(dataclasses.replace(graded(), outcomes=many), None)
    assert LIMIT // 2 < len(text.encode()) <= LIMIT
    assert text.endswith("*The rest is in report.html.*\n")
    assert text.count("```") % 2 == 0


@pytest.mark.parametrize("verdict", REPORTS)
def test_without_a_record_there_is_no_chart(verdict: str) -> None:
    assert "mermaid" not in SUMMARY.render(REPORTS[verdict](), None)


def test_the_chart_has_the_tracks_by_their_times_of_the_run(tmp_path: Path) -> None:
    chart = gantt(graded(), make_bundle(tmp_path))
    assert chart.splitlines()[:2] == ["gantt", "  dateFormat HH:mm:ss.SSS"]
    assert "    lifecycle :00:00:02.000, 00:00:14.000" in chart
    assert "    suspend (failed) :active, 00:00:03.000, 00:00:09.000" in chart
    assert "section What the run waited for" in chart


def test_a_name_cannot_break_out_of_its_row(tmp_path: Path) -> None:
    from graders.evidence.manifest import TrackResult

    names = ["a:b;c,d#e", "section x\ngantt", "click me", "", "％％{init}%%", "done"]
    tracks = {name: TrackResult("done", 1.0, 2.0) for name in names}
    chart = gantt(graded(), make_bundle(tmp_path, make_manifest(tracks=tracks)))
    rows = chart.split("section Tracks\n")[1].splitlines()
    assert len(rows) == len(tracks)
    for row in rows:
        assert re.fullmatch(r"    [A-Za-z0-9 ._/()+-]+ :00:00:01\.000, 00:00:02\.000", row), row
        assert not row.strip().startswith(("section", "click", "done"))
