"""Draws numbers as inline SVG: a histogram of scores, bars in tables. Colours come from the style sheet."""

import statistics
from collections.abc import Sequence

from markupsafe import Markup

BINS = 20
_WIDTH, _HEIGHT = 760, 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 24, 26, 34


def histogram(percents: Sequence[float], key: str) -> Markup:
    """How many have which part of the points, in bins of five per cent; `key` makes its ids unique.

    The last bin holds 100 too, and whatever an override put beyond either end is in the bin at that end.
    """
    counts = [0] * BINS
    for percent in percents:
        counts[min(max(int(percent * BINS / 100), 0), BINS - 1)] += 1
    step = _step(max(counts, default=0))
    top = max(-(-max(counts, default=0) // step) * step, step)
    parts = [_line(value, top) for value in range(0, top + 1, step)]
    parts += [_bar(i, count, top) for i, count in enumerate(counts) if count]
    parts += [_text("axis", _x(value), _HEIGHT - 14, f"{value} %") for value in range(0, 101, 10)]
    told = f"Scores of {len(percents)} learners"
    if percents:
        median = statistics.median(percents)
        told += f", median {median:.1f} %"
        x = _x(min(max(median, 0), 100))
        parts.append(
            Markup('<path class="median" d="M{:.1f} {}V{}"/>').format(x, _TOP - 6, _HEIGHT - _BOTTOM)
        )
        label = min(max(x, _LEFT + 50), _WIDTH - 70)
        parts.append(_text("median-label", label, _TOP - 11, f"median {median:.1f} %"))
    return Markup(
        '<svg class="histogram" viewBox="0 0 {0} {1}" role="img" aria-labelledby="{2}-t">'
        '<title id="{2}-t">{3}</title>{4}</svg>'
    ).format(_WIDTH, _HEIGHT, key, told, Markup("").join(parts))


def bar(share: float, kind: str = "") -> Markup:
    """A share from 0 to 1 as a bar in a table."""
    width = f"{100 * min(max(share, 0), 1):.1f}"
    return Markup(
        '<svg class="meter" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="bar-frame" width="100" height="8" rx="2"/>'
        '<rect class="bar-fill {}" width="{}" height="8" rx="2"/></svg>'
    ).format(kind, width)


def lever(value: float) -> Markup:
    """A correlation from −1 to 1 as a bar to either side of the middle."""
    size = 50 * min(abs(value), 1)
    x = 50 if value >= 0 else 50 - size
    return Markup(
        '<svg class="meter" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="bar-frame" width="100" height="8" rx="2"/>'
        '<rect class="bar-fill {}" x="{:.1f}" width="{:.1f}" height="8"/>'
        '<path class="middle" d="M50 0V8"/></svg>'
    ).format("" if value >= 0 else "bad", x, size)


def _step(most: int) -> int:
    return next((step for step in (1, 2, 5, 10, 20, 50, 100, 200) if most <= 5 * step), 500)


def _x(percent: float) -> float:
    return _LEFT + (_WIDTH - _LEFT - _RIGHT) * percent / 100


def _y(count: int, top: int) -> float:
    return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * count / top


def _line(value: int, top: int) -> Markup:
    y = _y(value, top)
    return Markup('<path class="grid" d="M{} {:.1f}H{}"/>').format(_LEFT, y, _WIDTH - _RIGHT) + _text(
        "count", _LEFT - 8, y + 4, str(value)
    )


def _bar(i: int, count: int, top: int) -> Markup:
    x, y, width = _x(i * 100 / BINS), _y(count, top), (_WIDTH - _LEFT - _RIGHT) / BINS
    first, last = i * 100 // BINS, (i + 1) * 100 // BINS
    title = f"{count} from {first} to {'100' if last == 100 else f'under {last}'} %"
    return Markup(
        '<g><rect class="column" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" rx="2"/>'
        "<title>{}</title></g>"
    ).format(x + 1.5, y, width - 3, _HEIGHT - _BOTTOM - y, title)


def _text(kind: str, x: float, y: float, text: str) -> Markup:
    return Markup('<text class="{}" x="{:.1f}" y="{:.1f}">{}</text>').format(kind, x, y, text)
