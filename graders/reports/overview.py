"""Draws all tracks of a run below each other, and through them the chain of waits that decided its end."""

from collections.abc import Iterator, Sequence

from markupsafe import Markup

from graders.evidence.bundle import Bundle
from graders.reports.critical import Step
from graders.reports.text import one_line

WIDTH = 1080
ROWS = 80
"""Tracks that are drawn; a lab has fewer."""

_LEFT = 168
_RIGHT = 16
_ROW = 15
_BAR = 9
_LABEL = 26
_TICKS = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600)
_ALL = ""


def draw_overview(bundle: Bundle, path: Sequence[Step]) -> Markup:
    """The run as `<svg>`; nothing where no track ran."""
    return Markup("").join(_Overview(bundle, path).parts()) if path else Markup("")


class _Overview:
    def __init__(self, bundle: Bundle, path: Sequence[Step]) -> None:
        self.path = path
        tracks = sorted(
            ((name, result) for name, result in bundle.manifest.tracks.items() if result.started > 0),
            key=lambda item: (item[1].started, item[1].ended),
        )
        on_path = {step.track for step in path}
        # Whatever is left out, the chain is whole.
        kept = sorted(tracks, key=lambda item: item[0] not in on_path)[:ROWS]
        self.tracks = [item for item in tracks if item in kept]
        self.rows = {_ALL: 0} | {name: i + 1 for i, (name, _) in enumerate(self.tracks)}
        self.end = max([path[-1].end, 0.1, *(result.ended for _, result in self.tracks)])
        self.height = len(self.rows) * _ROW + 24

    def parts(self) -> Iterator[Markup]:
        title = f"{len(self.tracks)} tracks in {self.end:.1f} s, and the chain of waits that decided the end."
        yield Markup(
            '<svg class="timeline overview" viewBox="0 0 {} {}" role="img" aria-labelledby="overview-t">'
            '<title id="overview-t">{}</title>'
        ).format(WIDTH, self.height, title)
        yield from self._grid()
        yield self._label(_ALL, "all together")
        for name, result in self.tracks:
            shown = one_line(name, 60)
            yield self._label(name, shown)
            title = f"{shown}: {result.started:.1f}–{result.ended:.1f} s"
            yield self._bar("span", name, result.started, result.ended, title)
        yield from self._steps()
        yield Markup("</svg>")

    def _grid(self) -> Iterator[Markup]:
        step = next((step for step in _TICKS if self.end / step <= 12), self.end / 10)
        bottom = self.height - 18
        for i in range(int(self.end / step) + 1):
            x = self._x(i * step)
            yield Markup('<path class="grid" d="M{:.1f} 2V{}"/>').format(x, bottom)
            yield Markup('<text class="axis" x="{:.1f}" y="{}">{:g} s</text>').format(
                x, bottom + 13, round(i * step, 3)
            )

    def _steps(self) -> Iterator[Markup]:
        above: Step | None = None
        for step in self.path:
            if above is not None and above.track != step.track:
                x, top, end = self._x(step.start), self._middle(above.track), self._middle(step.track)
                shape = f"M{x:.1f} {top:.1f}V{end:.1f}"
                yield Markup('<path class="hand-over" d="{}"/>').format(shape)
            above = step
        for step in self.path:
            title = one_line(f"{step.track}: {step.told}" if step.track else step.told, 200)
            yield self._bar(
                f"step {step.kind}", step.track, step.start, step.end, f"{title}, {step.seconds:.2f} s"
            )

    def _bar(self, kind: str, track: str, start: float, end: float, title: str) -> Markup:
        x = self._x(start)
        width = max(self._x(end) - x, 1.0)
        return Markup(
            '<g><rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{}" rx="2"/>'
            "<title>{}</title></g>"
        ).format(kind, x, self._middle(track) - _BAR / 2, width, _BAR, title)

    def _label(self, track: str, text: str) -> Markup:
        cut = text if len(text) <= _LABEL else text[: _LABEL - 1] + "…"
        bold = "job" if any(step.track == track for step in self.path) else "pod"
        return Markup('<text class="{}" x="{}" y="{:.1f}">{}</text>').format(
            bold, _LEFT - 8, self._middle(track) + 3.5, cut
        )

    def _middle(self, track: str) -> float:
        return self.rows.get(track, 0) * _ROW + _ROW / 2 + 2

    def _x(self, t: float) -> float:
        return _LEFT + (WIDTH - _LEFT - _RIGHT) * min(max(t / self.end, 0.0), 1.0)
