"""`report.html`: one page that needs nothing else, with a picture of what happened in each track.

The page forbids itself every script and every resource: its policy allows the one style sheet in it, by
hash. All text goes through autoescaping, after `text.clean`.
"""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from importlib.resources import files

import jinja2
from markupsafe import Markup

from graders.evidence.bundle import Bundle
from graders.model import GradeReport, Status
from graders.reports.critical import Step, critical_path
from graders.reports.disturbances import Told, explanations
from graders.reports.overview import draw_overview
from graders.reports.panels import Panel
from graders.reports.text import one_line, points_text
from graders.reports.timeline import draw, legend
from graders.reports.trackpanels import panels_of
from graders.reports.view import view_of


class HtmlExporter:
    """Writes `report.html`."""

    name = "html"
    file_name = "report.html"

    def render(self, report: GradeReport, bundle: Bundle | None) -> str:
        """The page; without a bundle it has no timeline."""
        style = _resource("report.css")
        pictures: tuple[_TrackPicture, ...] = ()
        path = critical_path(report, bundle)
        if bundle is not None:
            pictures = _pictures(bundle, report, path)
        return _template().render(
            view=view_of(report),
            schema=report.schema,
            style=Markup(style),  # noqa: S704 - our own file
            style_hash=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
            pictures=pictures,
            legend=legend(picture.panel for picture in pictures),
            has_bundle=bundle is not None,
            path=path,
            overview=draw_overview(bundle, path) if bundle is not None else Markup(""),
        )


@dataclass(frozen=True)
class _TrackPicture:
    panel: Panel
    svg: Markup
    open: bool
    told: Told
    check: str
    """The check that judges this track alone, for replaying it; empty where none does."""


def _pictures(bundle: Bundle, report: GradeReport, path: Sequence[Step]) -> tuple[_TrackPicture, ...]:
    """Tracks with losses stand open; where none is known to, the first with something in it does."""
    shown, lost, explained = panels_of(bundle), _lost_tracks(report), explanations(bundle)
    to_open = {panel.track for panel in shown if panel.track in lost or panel.status != "done"}
    to_open = to_open or {panel.track for panel in [p for p in shown if p.rows][:1]}
    checks = {outcome.tracks[0]: outcome.check_id for outcome in report.outcomes if len(outcome.tracks) == 1}
    return tuple(
        _TrackPicture(
            panel,
            draw(panel, f"track-{i}", path),
            panel.track in to_open,
            explained.get(panel.track, Told(())),
            one_line(checks.get(panel.track, ""), 80),
        )
        for i, panel in enumerate(shown)
    )


def _lost_tracks(report: GradeReport) -> frozenset[str]:
    lost = (Status.FAILED, Status.ERROR)
    return frozenset(
        track for outcome in report.outcomes if outcome.status in lost for track in outcome.tracks
    )


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        loader=jinja2.FunctionLoader(_resource),
    )
    environment.filters["points"] = points_text
    environment.filters["share"] = _share
    environment.filters["line"] = one_line
    return environment.get_template("report.html.jinja")


@cache
def _resource(name: str) -> str:
    return files("graders.reports").joinpath(name).read_text(encoding="utf-8")


def _share(part: Decimal | float | None, whole: Decimal | float | None) -> str:
    """Part over whole in per cent, for the width of a bar."""
    return f"{100 * float(part or 0) / float(whole):.2f}" if whole else "0"
