"""Two sources side by side: files that share something, their lines numbered, what is shared marked."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from graders.reports.text import clean
from graders.site.likenesses import Likeness, Region, lines_marked
from graders.site.model import LabSources

CONTEXT = 3
"""Lines shown around what is shared; more between two places are left out and counted."""

LONGEST = 400
MOST_LINES = 4_000


@dataclass(frozen=True)
class ShownLine:
    """A line, or in place of it how many are left out; `starts` are the regions that begin on it."""

    number: int = 0
    text: str = ""
    shared: bool = False
    starts: tuple[int, ...] = ()
    skipped: int = 0


@dataclass(frozen=True)
class ShownFile:
    """A file that has something shared in it."""

    path: str
    lines: tuple[ShownLine, ...]


@dataclass(frozen=True)
class Side:
    """One learner's files; `key` begins the ids of its regions, `other` those of the other side's."""

    learner: str
    key: str
    other: str
    files: tuple[ShownFile, ...]


def sides(pair: Likeness, sources: LabSources) -> tuple[Side, Side]:
    """Both sides of a likeness."""
    ours, theirs = [each for each, _ in pair.regions], [each for _, each in pair.regions]
    return (
        Side(pair.one, "a", "b", _files(sources.handed_in[pair.one], ours)),
        Side(pair.other, "b", "a", _files(sources.handed_in[pair.other], theirs)),
    )


def _files(texts: Mapping[str, str], regions: list[Region]) -> tuple[ShownFile, ...]:
    marked = lines_marked(regions)
    starts: dict[tuple[str, int], list[int]] = {}
    for region in regions:
        starts.setdefault((region.path, region.first), []).append(region.number)
    return tuple(
        ShownFile(path, tuple(_lines(path, texts[path].split("\n"), marked[path], starts)))
        for path in sorted(marked)
    )


def _lines(
    path: str, lines: list[str], marked: Collection[int], starts: Mapping[tuple[str, int], list[int]]
) -> Iterator[ShownLine]:
    near = {
        line + off for line in marked for off in range(-CONTEXT, CONTEXT + 1) if 1 <= line + off <= len(lines)
    }
    before = shown = 0
    for number in sorted(near):
        if shown >= MOST_LINES:
            break
        if number > before + 1:
            yield ShownLine(skipped=number - before - 1)
        text = clean(lines[number - 1], LONGEST)
        yield ShownLine(number, text, number in marked, tuple(starts.get((path, number), ())))
        before, shown = number, shown + 1
    if before < len(lines):
        yield ShownLine(skipped=len(lines) - before)
