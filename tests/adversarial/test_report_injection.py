"""Whatever a learner writes into names, texts and objects, no report carries it out or breaks on it."""

import dataclasses
import io
import itertools
import json
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from graders.evidence.bundle import Bundle, BundleWriter
from graders.evidence.manifest import TrackResult
from graders.evidence.records import (
    AuditEvent,
    Disturbance,
    Exchange,
    Mark,
    ProcessEvent,
    Scrape,
    Wait,
    WatchEvent,
)
from graders.model import CriterionScore, Fault, GradeReport, Outcome, Score, Status, Verdict
from graders.reports.html import HtmlExporter
from graders.reports.junit import JUnitExporter
from graders.reports.registry import EXPORTERS
from graders.reports.report_json import JsonExporter, load_report
from graders.reports.terminal import print_report
from tests.unit.synthetic_bundle import GROUP, OPERATOR, make_manifest
from tests.unit.synthetic_report import graded

pytestmark = pytest.mark.adversarial

HOSTILE = {
    "script": "<script>alert(1)</script>",
    "attribute": "\"><img src=x onerror='alert(1)'>",
    "end of style": "</style></title></svg><svg onload=alert(1)>",
    "end of data": "]]><!-- --><!ENTITY x SYSTEM 'file:///etc/passwd'>&x;",
    "template": "{{ ''.__class__ }}{% for x in () %}{0}{x!r}%s${x}",
    "link": "javascript:alert(1)",
    "colour": "\x1b[2J\x1b[31mowned\x1b[0m\x9b1A",
    "hyperlink": "\x1b]8;;https://evil.example\x1b\\click\x1b]8;;\x1b\\\x1b]52;c;aGk=\x07",
    "bidi": "safe\u202egnp.exe\u2066\u2069\u200f",
    "controls": "a\x00b\x01c\x08\x0b\x0c\x7f\x85\ufffe\uffff\ud800z",
    "markup": "[bold red]PASSED[/] [link=https://evil.example]x[/link] :skull:",
    "lines": "\r\n\r\u2028\u2029</testcase>\n=== forged\n",
    "long": "A" * 10_000_000,
    "zalgo": "e" + "\u0301" * 5_000,
}
ACTING = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)


@pytest.fixture(params=HOSTILE, ids=list(HOSTILE))
def text(request: pytest.FixtureRequest) -> str:
    return HOSTILE[request.param]


def report_full_of(text: str) -> GradeReport:
    """A report with `text` in every place that can hold one."""
    outcome = Outcome(
        check_id=text,
        status=Status.FAILED,
        title=text,
        expected=text,
        observed=text,
        facts={text: text, "nested": {text: [text, {text: text}]}, "wrong": object, "nan": float("nan")},
        hint=text,
        fault=Fault.LEARNER,
        tracks=(text[:20_000].encode("utf-8", "replace").decode(),),
    )
    statuses = [dataclasses.replace(outcome, check_id=f"{status}{text}", status=status) for status in Status]
    score = graded().score
    assert score
    criteria = tuple(
        CriterionScore(
            dataclasses.replace(one.criterion, id=text, title=text, group=text, checks=(text,)),
            one.points,
            one.earned,
            one.status,
        )
        for one in score.criteria
    )
    return GradeReport(
        lab=text,
        verdict=Verdict.GRADED,
        submission={"learner_id": text, text: [text]},
        outcomes=(outcome, *statuses),
        score=Score(criteria, score.total, score.possible, (text,)),
        provenance={text: text, "nested": {text: text}},
        timing={text: 1.0},
        problem=text,
        warnings=(text,),
    )


def bundle_full_of(text: str, folder: Path) -> Bundle:
    """A bundle with `text` in names, states, marks and writes."""
    short = text[:20_000].encode("utf-8", "replace").decode()
    writer = BundleWriter(folder)
    writer.add(Mark(0.5, short, "namespace", {"namespace": "kp"}))
    writer.add(Mark(1.0, short, short, {"job": short, short: {short: short}}))
    body: dict[str, Any] = {
        "apiVersion": f"{GROUP}/v1alpha1",
        "metadata": {"name": short, "ownerReferences": [{"controller": True, "name": short}]},
        "status": {"phase": short, "conditions": [{"type": short, "status": "True"}]},
    }
    for t, resource in ((1.0, "pods"), (2.0, "mltrainingjobs"), (3.0, short)):
        writer.add(WatchEvent(t, "ADDED", resource, "kp", short, body))
        writer.add(WatchEvent(t + 5, "DELETED", resource, "kp", short, body))
    for code in (200, 403):
        writer.add(AuditEvent(4.0, 4.1, "i", OPERATOR, "create", short, short, short, "kp", short, code))
    writer.add(ProcessEvent(5.0, short, "killed", {short: short}))
    writer.add(Wait(1.0, 4.0, short, "condition", short))
    writer.add(Wait(4.0, 8.0, short, "others", short, short))
    told = (short, "create", short, short, short, "kp", short)
    for i, code in enumerate((0, 200, 409)):
        writer.add(Exchange(5.0 + i, 5.5 + i, *told, code, (short,), short))
        writer.add(Disturbance(5.1 + i, short, short, short, "create", short, short, "kp", short))
    for i in range(200):
        writer.add(Exchange(6.0 + i / 100, 6.5, short, "get", "", short, "", "kp", f"{i}{short}", 200))
        writer.add(Disturbance(6.0, f"{short}: x-{i}", short, short, "get", short, short, "kp", short))
    writer.add(Scrape(6.0, short, ok=True, text=short))
    writer.close(make_manifest(tracks={short: TrackResult(short, 0.0, 10.0, short)}))
    return Bundle(folder)


class Elements(HTMLParser):
    """Every element a browser would make of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, list[tuple[str, str | None]]]] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, attrs))


def test_the_page_gets_no_element_and_no_attribute_from_text(text: str, tmp_path: Path) -> None:
    page = HtmlExporter().render(report_full_of(text), bundle_full_of(text, tmp_path / "b"))
    harmless = HtmlExporter().render(report_full_of("word"), bundle_full_of("word", tmp_path / "c"))

    def shape(of: str) -> set[tuple[str, tuple[str, ...]]]:
        return {(tag, tuple(name for name, _ in attributes)) for tag, attributes in Elements(of).seen}

    assert shape(page) <= shape(harmless)
    links = [dict(attributes) for tag, attributes in Elements(page).seen if tag == "a"]
    assert all((link["href"] or "").startswith("#") for link in links)
    assert not ACTING.search(page)


def test_a_file_of_megabytes_stays_small(text: str, tmp_path: Path) -> None:
    report, bundle = report_full_of(text), bundle_full_of(text, tmp_path / "b")

    for exporter in EXPORTERS.values():
        assert len(exporter.render(report, bundle)) < 1_500_000


def test_the_xml_is_well_formed_and_has_no_case_from_text(text: str) -> None:
    report = report_full_of(text)

    written = JUnitExporter().render(report, None)

    assert not ACTING.search(written)
    assert len(list(ET.fromstring(written).iter("testcase"))) == len(report.outcomes)


def test_the_json_follows_its_schema_and_is_safe_to_print(text: str, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text(JsonExporter().render(report_full_of(text), None), encoding="utf-8")

    data = load_report(path)

    assert path.read_text(encoding="utf-8").isascii()
    assert not ACTING.search(json.dumps(data, ensure_ascii=False))


@pytest.mark.parametrize("coloured", [False, True])
def test_the_terminal_gets_no_code_of_the_learners(text: str, coloured: bool) -> None:
    stream = io.StringIO()
    console = Console(
        file=stream, width=80, force_terminal=coloured, color_system="standard" if coloured else None
    )

    print_report(report_full_of(text), console)

    ours = re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue())
    assert not ACTING.search(ours)


def test_markup_is_shown_and_never_obeyed() -> None:
    stream = io.StringIO()

    print_report(report_full_of(HOSTILE["markup"]), Console(file=stream, width=300))

    assert "[bold red]PASSED[/]" in stream.getvalue()
    assert ":skull:" in stream.getvalue()


@pytest.mark.parametrize(
    "status",
    [
        "a string",
        ["a", "list"],
        {"conditions": "a string"},
        {"conditions": {"type": "Created"}},
        {
            "conditions": [
                None,
                1,
                "x",
                [],
                {},
                {"type": None, "status": True},
                {"type": {"a": 1}, "status": "True"},
            ]
        },
        {"conditions": [{"type": f"C{i}", "status": "True"} for i in range(10_000)]},
        {"phase": {"nested": []}},
    ],
)
def test_objects_of_any_shape_are_drawn(status: object, tmp_path: Path) -> None:
    writer = BundleWriter(tmp_path / "b")
    writer.add(Mark(0.0, "t", "namespace", {"namespace": "kp"}))
    bodies: list[dict[str, Any]] = [
        {"apiVersion": f"{GROUP}/v1alpha1", "metadata": {"name": "x"}, "status": status},
        {"apiVersion": f"{GROUP}/v1alpha1", "metadata": "odd", "spec": 1, "status": status},
        {
            "apiVersion": None,
            "metadata": {"ownerReferences": ["odd", {"controller": True}]},
            "status": status,
        },
        {},
    ]
    for (i, body), resource in itertools.product(enumerate(bodies), ("pods", "mltrainingjobs")):
        writer.add(WatchEvent(1.0 + i, "MODIFIED", resource, "kp", f"x-{i}", body))
    writer.add(Mark(2.0, "t", "namespace", {"namespace": ["kp"]}))
    writer.add(Mark(2.0, "t", "odd", {"job": {"a": 1}}))
    writer.close(make_manifest(tracks={"t": TrackResult("done", 0.0, 9.0)}))

    page = HtmlExporter().render(graded(), Bundle(tmp_path / "b"))

    assert 'class="timeline"' in page
