"""Which submissions of a class are alike beyond what the course gave and what many write.

A likeness is a reason to look, never a verdict: the site shows both sources side by side.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations

from graders.site.fingerprints import Gram, fingerprints, gram_hashes
from graders.site.model import LabSources

FEWEST_SHARED = 12
"""Shared fingerprints below which a pair is not told."""

LEAST_SHARE = 0.2
"""Unrelated programs of one author share up to 0.07, by chance and by habit."""
SHOWN_PAIRS = 60
_MANY = 8
_PART = 0.1
_PLACES = 20


@dataclass(frozen=True)
class Region:
    """Lines `first` to `last` of a file that the other side has too, at its region of the same `number`."""

    number: int
    path: str
    first: int
    last: int


@dataclass(frozen=True)
class Likeness:
    """A pair: `share` is what of the smaller one's own fingerprints is in the other, from 0 to 1."""

    one: str
    other: str
    share: float
    shared: int
    regions: tuple[tuple[Region, Region], ...]


@dataclass(frozen=True)
class Likenesses:
    """Pairs of a lab, most alike first; `compared` submissions had anything of their own to compare."""

    pairs: tuple[Likeness, ...]
    compared: int
    more: int
    common: int
    """Fingerprints left out because so many learners have them."""


def likenesses(sources: LabSources) -> Likenesses:
    """Compare every submission of a lab with every other."""
    given = {value for path, text in sources.given.items() for value in gram_hashes(path, text)}
    own = {name: fingerprints(files, given) for name, files in sorted(sources.handed_in.items())}
    holders: dict[int, list[str]] = defaultdict(list)
    for name, chosen in own.items():
        for value in {gram.hash for gram in chosen}:
            holders[value].append(name)
    most = max(_MANY, int(_PART * len(own)))
    common = {value for value, names in holders.items() if len(names) > most}
    shared: Counter[tuple[str, str]] = Counter()
    for value, names in holders.items():
        if value not in common:
            shared.update(combinations(names, 2))
    sizes = {name: len({gram.hash for gram in chosen} - common) for name, chosen in own.items()}
    found = sorted(
        (-times / min(sizes[one], sizes[other]), -times, one, other)
        for (one, other), times in shared.items()
        if times >= FEWEST_SHARED and times / min(sizes[one], sizes[other]) >= LEAST_SHARE
    )
    pairs = tuple(
        Likeness(one, other, -share, -times, _regions(own[one], own[other], common))
        for share, times, one, other in found[:SHOWN_PAIRS]
    )
    return Likenesses(
        pairs, sum(size > 0 for size in sizes.values()), max(len(found) - SHOWN_PAIRS, 0), len(common)
    )


def _regions(
    ours: Iterable[Gram], theirs: Iterable[Gram], common: set[int]
) -> tuple[tuple[Region, Region], ...]:
    """What is shared, joined where it follows on in both; numbered from 1 in the order of the first."""
    places: dict[int, list[Gram]] = defaultdict(list)
    for gram in theirs:
        if gram.hash not in common and len(places[gram.hash]) < _PLACES:
            places[gram.hash].append(gram)
    joined: list[tuple[Region, Region]] = []
    for gram in ours:
        if not (there := places.get(gram.hash)):
            continue
        last = joined[-1] if joined else None
        follows = next((each for each in there if last and _follows(last[1], each)), None)
        if last and follows and _follows(last[0], gram):
            joined[-1] = (_longer(last[0], gram), _longer(last[1], follows))
        else:
            number = len(joined) + 1
            joined.append((_region(number, gram), _region(number, there[0])))
    return tuple(joined)


def _follows(region: Region, gram: Gram) -> bool:
    return region.path == gram.path and region.first <= gram.first <= region.last + 3


def _longer(region: Region, gram: Gram) -> Region:
    return Region(region.number, region.path, region.first, max(region.last, gram.last))


def _region(number: int, gram: Gram) -> Region:
    return Region(number, gram.path, gram.first, gram.last)


def lines_marked(regions: Iterable[Region]) -> Mapping[str, Collection[int]]:
    """The lines of each file that are in some region."""
    marked: dict[str, set[int]] = defaultdict(set)
    for region in regions:
        marked[region.path].update(range(region.first, region.last + 1))
    return marked
