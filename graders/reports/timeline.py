"""Draws a track's panel as an inline SVG: marks, jobs by condition, pods by phase, writes.

Colours come from the page's style sheet by class, so that light, dark and print each look right. Every
state that is told by colour is told by a word too, in the bar where it fits and in its hover title.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup

from graders.reports.critical import Step
from graders.reports.panels import COLOURS, LANES, Panel, Row, Span, Tick

WIDTH = 1080
_LEFT = 168
_RIGHT = 16
_PLOT = WIDTH - _LEFT - _RIGHT
_MARK_LANE = 16
_MARK_LANES = 4
_LABEL = 24
_BOLD_LABEL = 20
_CHARACTER = 6.1
_MOST_WORDS = 4
_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600)


def draw(panel: Panel, key: str, path: Sequence[Step] = ()) -> Markup:
    """The panel as `<svg>`; `key` makes its ids unique in the page.

    Where a step of `path` is this track's, the run waited for it: that is shaded, or of it what the panel
    calls decisive.
    """
    picture = _Picture(panel, [step for step in path if step.track == panel.track])
    body = Markup("").join(picture.parts())
    names = Markup('<title id="{0}-t">Timeline of {1}</title><desc id="{0}-d">{2}</desc>').format(
        key, panel.heading, f"{panel.summary}, from {panel.start:.1f} s to {panel.end:.1f} s of the run."
    )
    return Markup(
        '<svg class="timeline" viewBox="0 0 {0} {1}" role="img" aria-labelledby="{2}-t {2}-d">{3}{4}</svg>'
    ).format(WIDTH, round(picture.y + 6), key, names, body)


@dataclass(frozen=True)
class Legend:
    """What a page has to explain: the words of each colour, and which signs there are."""

    colours: tuple[tuple[str, str], ...]
    terminating: bool
    writes: bool
    refusals: bool
    processes: bool


def legend(panels: Iterable[Panel]) -> Legend:
    """The legend of pictures: of what is drawn in them, and of nothing else."""
    shown = list(panels)
    spans = [span for panel in shown for row in panel.rows for span in row.spans]
    words: dict[str, dict[str, None]] = {}
    for span in spans:
        for state in span.states:
            words.setdefault(_colour(span, state), {})[state] = None
    return Legend(
        tuple((colour, _told(tuple(words[colour]))) for colour in COLOURS if colour in words),
        any(span.terminating for span in spans),
        any(not write.failed for panel in shown for write in panel.writes),
        any(write.failed for panel in shown for write in panel.writes),
        any(panel.processes for panel in shown),
    )


def _told(words: Sequence[str]) -> str:
    more = " / …" if len(words) > _MOST_WORDS else ""
    return " / ".join(words[:_MOST_WORDS]) + more


class _Picture:
    """Lays parts out from top to bottom; `y` is where the next one goes."""

    def __init__(self, panel: Panel, steps: Sequence[Step] = ()) -> None:
        self.panel = panel
        self.steps = steps
        self.y = 4.0

    def parts(self) -> Iterator[Markup]:
        """Everything, back to front."""
        marks = list(self._marks())
        top = self.y
        front = [*self._rows(), *self._writes()]
        bottom = self.y
        for since, until in self.panel.decisive or ((self.panel.start, self.panel.end),):
            for step in self.steps:
                if step.start < until and step.end > since:
                    clipped = replace(step, start=max(step.start, since), end=min(step.end, until))
                    yield self._shade(clipped, top, bottom)
        yield from self._grid(top, bottom)
        yield from (self._mark_line(mark, top, bottom) for mark in self.panel.marks)
        yield from front
        yield from self._processes(top, bottom)
        yield from marks

    def _x(self, t: float) -> float:
        share = (t - self.panel.start) / (self.panel.end - self.panel.start)
        return _LEFT + _PLOT * min(max(share, 0.0), 1.0)

    def _marks(self) -> Iterator[Markup]:
        """Labels in the first lane where they fit; a mark without room keeps its tick and hover title."""
        ends = [0.0] * _MARK_LANES
        used = 0
        placed: list[tuple[Tick, float, int]] = []
        for mark in self.panel.marks:
            label = _cut(mark.label)
            width = len(label) * _CHARACTER + 10
            x = min(self._x(mark.t), WIDTH - width)
            lane = next((lane for lane, end in enumerate(ends) if end <= x), None)
            if lane is None:
                continue
            ends[lane] = x + width
            used = max(used, lane + 1)
            placed.append((mark, x, lane))
        for mark, x, lane in placed:
            yield _text("mark", x + 3, self.y + lane * _MARK_LANE + 11, _cut(mark.label), mark.title)
        self.y += used * _MARK_LANE + 4

    def _shade(self, step: Step, top: float, bottom: float) -> Markup:
        x = self._x(step.start)
        return Markup(
            '<g><rect class="decisive" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>{}</g>'
        ).format(
            x,
            top,
            max(self._x(step.end) - x, 1.0),
            bottom - top,
            _title(f"the whole run waited here: {step.told}, {step.seconds:.2f} s"),
        )

    def _mark_line(self, mark: Tick, top: float, bottom: float) -> Markup:
        x = self._x(mark.t)
        return Markup("<g>{}{}{}</g>").format(
            _path("mark-line", f"M{x:.1f} {top:.1f}V{bottom:.1f}"),
            _path("mark-head", f"M{x - 3.5:.1f} {top - 3:.1f}h7l-3.5 6z"),
            _title(mark.title),
        )

    def _grid(self, top: float, bottom: float) -> Iterator[Markup]:
        length = self.panel.end - self.panel.start
        step = next((step for step in _STEPS if length / step <= 12), length / 10)
        first = int(self.panel.start / step) + (self.panel.start % step > 0)
        for i in range(first, int(self.panel.end / step + 1e-6) + 1):
            x = self._x(i * step)
            yield _path("grid", f"M{x:.1f} {top:.1f}V{bottom:.1f}")
            yield _text("axis", x, bottom + 13, f"{round(i * step, 3):g} s")
        self.y = bottom + 18

    def _rows(self) -> Iterator[Markup]:
        for row in self.panel.rows:
            is_pod = row.kind == "pods"
            height = 11 if is_pod else 18
            self.y += 3 if is_pod else 9
            yield self._row_label(row, height, is_pod)
            for span in row.spans:
                yield from self._span(span, height)
            for t in row.gone:
                shape = f"M{self._x(t):.1f} {self.y - 1:.1f}v{height + 2}"
                yield _path("gone", shape, f"{row.label}: deleted at {t:.2f} s")
            self.y += height

    def _row_label(self, row: Row, height: float, is_pod: bool) -> Markup:
        y = self.y + height / 2 + 4
        cut = _cut(row.label, _LABEL if is_pod else _BOLD_LABEL)
        return _text("pod" if is_pod else "job", _LEFT - 8, y, cut, f"{row.label} ({row.kind})")

    def _span(self, span: Span, height: float) -> Iterator[Markup]:
        x = self._x(span.start)
        width = max(self._x(span.end) - x, 1.5)
        stripe = height / len(span.states)
        label = span.label or " + ".join(span.states)
        yield Markup("<g>")
        for i, state in enumerate(span.states):
            kind = f"bar {_colour(span, state)}" + (" terminating" if span.terminating else "")
            yield Markup(
                '<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" rx="2"/>'
            ).format(kind, x, self.y + i * stripe, width, stripe)
        if len(label) * 5.6 + 8 < width and not span.terminating:
            yield _text(f"state {_colour(span, span.states[0])}", x + 4, self.y + height / 2 + 3.4, label)
        yield Markup("{}</g>").format(_title(span.title))

    def _writes(self) -> Iterator[Markup]:
        lanes = [lane for lane in LANES if any(write.lane == lane for write in self.panel.writes)]
        if not lanes:
            return
        self.y += 14
        yield _text("job", _LEFT - 8, self.y + 4, "writes")
        self.y += 9
        for lane in lanes:
            yield _path("lane", f"M{_LEFT} {self.y + 6:.1f}H{WIDTH - _RIGHT}")
            yield _text("pod", _LEFT - 8, self.y + 9.5, lane)
            for write in self.panel.writes:
                if write.lane == lane:
                    yield self._write(write)
            self.y += 14
        self.y += 2

    def _write(self, write: Tick) -> Markup:
        x, y = self._x(write.t), self.y + 6
        shape = f"M{x - 3:.1f} {y - 4:.1f}l6 8m0 -8l-6 8" if write.failed else f"M{x:.1f} {y - 5:.1f}v10"
        return _path(f"write {'refused' if write.failed else write.lane}", shape, write.title)

    def _processes(self, top: float, bottom: float) -> Iterator[Markup]:
        for event in self.panel.processes:
            shape = f"M{self._x(event.t):.1f} {top:.1f}V{bottom:.1f}"
            kind = event.label if event.label in ("started", "killed", "exited") else "other"
            yield _path(f"process {kind}", shape, event.title)


def _path(kind: str, shape: str, title: str = "") -> Markup:
    return Markup('<path class="{}" d="{}">{}</path>').format(kind, shape, _title(title))


def _text(kind: str, x: float, y: float, text: str, title: str = "") -> Markup:
    return Markup('<text class="{}" x="{:.1f}" y="{:.1f}">{}{}</text>').format(
        kind, x, y, text, _title(title)
    )


def _title(text: str) -> Markup:
    return Markup("<title>{}</title>").format(text) if text else Markup("")


def _colour(span: Span, state: str) -> str:
    """A class that the style sheet knows; a state that somebody invented is drawn as `other`."""
    name = span.colour or re.sub(r"[^a-z]", "", state.lower()).replace("succeeded", "complete")
    return name if name in COLOURS else "other"


def _cut(label: str, most: int = _LABEL) -> str:
    return label if len(label) <= most else f"{label[: most // 2 - 1]}…{label[-most // 2 :]}"
