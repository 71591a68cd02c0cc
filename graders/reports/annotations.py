"""`annotations.json`: what to write beside a learner's lines, or, where no line is named, beside the commit.

Levels and fields are those of GitHub's check runs; `path` is inside the submission and null where none is
named. Only a learner's loss is a `failure`.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

from graders.evidence.bundle import Bundle
from graders.evidence.records import ToolRun
from graders.model import GradeReport, Verdict
from graders.reports.places import places_in
from graders.reports.text import LIMIT, clean, one_line
from graders.reports.view import LossView, view_of

SCHEMA = "kubeproof/annotations/v1"
MOST = 50
"""Annotations of one report: what GitHub shows of one job."""

_TITLE = 120
_MESSAGE = 1_000
_PER_FINDING = 8


@dataclass(frozen=True)
class Annotation:
    """One remark; `line` counts from 1 and is None where no line is named."""

    level: str
    title: str
    message: str
    path: str | None = None
    line: int | None = None


class AnnotationsExporter:
    """Writes `annotations.json`."""

    name = "annotations"
    file_name = "annotations.json"

    def render(self, report: GradeReport, bundle: Bundle | None) -> str:
        """Those with a line first, for a reader may show only the first ones."""
        document: dict[str, Any] = {
            "schema": SCHEMA,
            "annotations": [asdict(each) for each in annotations_of(report, bundle)],
        }
        return json.dumps(document, indent=1) + "\n"


def annotations_of(report: GradeReport, bundle: Bundle | None = None) -> list[Annotation]:
    """At most `MOST`, those that name a line first.

    Where a loss speaks of a program that ran over the submission, what that printed names the lines.
    """
    found = list(_all(report, bundle.tools if bundle is not None else ()))
    return sorted(found, key=lambda each: each.line is None)[:MOST]


def _all(report: GradeReport, tools: Sequence[ToolRun]) -> Iterator[Annotation]:
    view = view_of(report)
    if report.verdict is Verdict.REJECTED:
        yield from _placed("failure", "The submission is rejected", view.problem, "")
    elif report.verdict is Verdict.UNGRADED:
        problem = view.problem or "some checks could not be graded"
        yield Annotation("warning", "Not graded: no fault of yours", one_line(problem, _MESSAGE))
    for finding in view.losses:
        observed = f"expected {finding.expected}; seen: {finding.observed}"
        yield from _placed("failure", finding.title, finding.observed, finding.hint, observed)
        for run in tools:
            if run.code and re.search(rf"\b{re.escape(run.tool)}\b", finding.observed):
                yield from _printed(finding, run)


def _printed(finding: LossView, run: ToolRun) -> Iterator[Annotation]:
    """What a program said of lines, of which the loss itself tells only the end."""
    for place in islice(places_in(clean(run.output, 2 * LIMIT)), _PER_FINDING):
        title = one_line(f"{finding.title}: {run.tool}", _TITLE)
        yield Annotation("failure", title, one_line(place.said or run.tool, _MESSAGE), place.path, place.line)


def _placed(level: str, title: str, text: str, hint: str, unplaced: str = "") -> Iterator[Annotation]:
    """One annotation for each place that `text` names, or one without a place."""
    title = one_line(title, _TITLE)
    advice = f" Next step: {hint}" if hint else ""
    places = list(places_in(text))[:_PER_FINDING]
    for place in places:
        message = one_line((place.said or text) + advice, _MESSAGE)
        yield Annotation(level, title, message, place.path, place.line)
    if not places:
        yield Annotation(level, title, one_line((unplaced or text) + advice, _MESSAGE))
