"""What happened around each disturbance: what the operator asked, what it got, and what it did next."""

import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from graders.evidence.bundle import Bundle
from graders.evidence.records import Disturbance, Exchange, ProcessEvent
from graders.reports.text import one_line

BEFORE_S = 1.5
AFTER_S = 5.0
FOLLOWING = 6
"""So many requests that followed are shown, however late they came,"""
LATEST_S = 60.0
"""but not later than this."""
DEATH_S = 15.0
"""A process that is killed so soon after a disturbance was disturbed to that end."""

LINES = 64
"""Of one disturbance."""

DISTURBANCES = 60
"""Of one track."""

_LAST = 20
_CLOCKS_S = 0.01
"""The audit log's clock and the proxy's agree that well."""
_REPEATS_S = 1.0
_EFFECTS = 3
_NUMBERED = re.compile(r": \w+-(\d{1,6})\Z")
_FATES = ("started", "killed", "exited", "paused", "resumed")
_Key = tuple[str, str, str, str, str, str]


@dataclass(frozen=True)
class Moment:
    """One moment: a request with its answer, an application of the rule, or what befell a process.

    `kind` is `request`, `refused`, `rule`, `process`, or `gap` for lines that are left out. `times`
    counts what was the same again and again until `until`.
    """

    t: float
    instance: str
    asked: str
    got: str
    kind: str
    times: int = 1
    until: float = 0.0


@dataclass(frozen=True)
class Explained:
    """One disturbance and the moments around it.

    `hidden` counts the lines left out; `at` is its number in a series that can be acted out one by one.
    """

    rule: str
    summary: str
    lines: tuple[Moment, ...]
    hidden: int = 0
    at: int | None = None


@dataclass(frozen=True)
class Told:
    """The disturbances of one track; `left_out` counts those that are not shown."""

    disturbances: tuple[Explained, ...]
    left_out: int = 0


def explanations(bundle: Bundle) -> Mapping[str, Told]:
    """By track; a series in the order of its numbers, everything else in the order of time."""
    rules: dict[str, list[Disturbance]] = defaultdict(list)
    for each in bundle.disturbances:
        rules[each.rule].append(each)
    tracks = _tracks(bundle)
    named: dict[str, list[str]] = defaultdict(list)
    for rule, applied in rules.items():
        track = rule.partition(":")[0]
        if track not in bundle.manifest.tracks:
            track = next((tracks[each.namespace] for each in applied if each.namespace in tracks), track)
        named[track].append(rule)
    asked = _Asked(bundle)
    return {
        track: Told(
            tuple(
                asked.explain(rule, rules[rule], _spaces(bundle, track, rules[rule]))
                for rule in sorted(found, key=lambda rule: _number(rule) or 0)[:DISTURBANCES]
            ),
            max(0, len(found) - DISTURBANCES),
        )
        for track, found in named.items()
    }


def _tracks(bundle: Bundle) -> dict[str, str]:
    """Whose namespace it is."""
    named = ((mark.data.get("namespace"), mark.track) for mark in bundle.marks if mark.name == "namespace")
    return {space: track for space, track in named if isinstance(space, str) and space}


def _spaces(bundle: Bundle, track: str, applied: Iterable[Disturbance]) -> frozenset[str]:
    """Where it happened; a rule on a watch of everything says so only by its track."""
    named = frozenset(each.namespace for each in applied if each.namespace)
    of_track = (mark.data.get("namespace") for mark in bundle.marks if mark.track == track)
    mine = frozenset(space for space in of_track if isinstance(space, str))
    return named & mine or mine or named


def _number(rule: str) -> int | None:
    found = _NUMBERED.search(rule)
    return int(found[1]) if found else None


class _Asked:
    """What was asked in a run, ready to be looked up."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.created = _created(bundle)

    def explain(self, rule: str, applied: Sequence[Disturbance], spaces: frozenset[str]) -> Explained:
        """Everything from shortly before the first application until shortly after the last."""
        since, until = applied[0].t - BEFORE_S, self._until(applied, spaces)
        streams = {each.resource for each in applied if each.verb == "watch"}
        near = [
            each
            for each in self.bundle.exchanges
            if since <= each.t <= until
            and (
                rule in each.rules
                or (each.namespace in spaces and each.verb != "watch")
                or (not each.namespace and each.resource in streams)
            )
        ]
        lines = [*self._requests(rule, applied, near), *self._fates(applied, near, since, until)]
        lines.sort(key=lambda line: line.t)
        if len(lines) > LINES:
            lines = _folded(lines)
        hidden = max(0, len(lines) - LINES)
        if hidden:
            gap = Moment(lines[LINES - _LAST].t, "", "", "", "gap", hidden)
            lines = [*lines[: LINES - _LAST], gap, *lines[-_LAST:]]
        return Explained(one_line(rule, 80), _summary(applied), tuple(lines), hidden, _number(rule))

    def _until(self, applied: Sequence[Disturbance], spaces: frozenset[str]) -> float:
        """Some seconds after the last application or the death it led to; later if nothing came yet."""
        last = applied[-1]
        killed = (
            each.t
            for each in self.bundle.processes
            if each.event == "killed" and each.instance == last.instance and 0 <= each.t - last.t <= DEATH_S
        )
        over = min(killed, default=last.t)
        came = (each.t for each in self.bundle.exchanges if each.t > over and each.namespace in spaces)
        following = [t for t in itertools.islice(came, FOLLOWING) if t <= over + LATEST_S]
        return max([over + AFTER_S, *following])

    def _requests(
        self, rule: str, applied: Sequence[Disturbance], near: Iterable[Exchange]
    ) -> Iterator[Moment]:
        """A request and what was done to it are one line; of a watch, each frame is one more."""
        left: dict[_Key, list[Disturbance]] = defaultdict(list)
        for one in applied:
            left[_key(one)].append(one)
        for each in near:
            mine = left[_key(each)]
            done = (
                next((d for d in mine if each.t <= d.t <= each.t_end), None) if rule in each.rules else None
            )
            if done is None or (each.verb == "watch" and each.code == 200):
                yield self._line(each)
                continue
            mine.remove(done)
            code, effect = str(each.code or "no answer"), one_line(done.effect, 120)
            got = effect if code in effect else f"{code}: {effect}"
            yield replace(self._line(each), got=got, kind="rule")
        for one in itertools.chain.from_iterable(left.values()):
            effect = one_line(one.effect, 120)
            yield Moment(one.t, one_line(one.instance, 40), _what(one, one.name), effect, "rule")

    def _line(self, each: Exchange) -> Moment:
        got = str(each.code) if each.code else "no answer"
        if each.verb == "watch" and each.code == 200:
            got = f"200, for {each.t_end - each.t:.1f} s"
        name = each.name or self.created.get(id(each), "")
        kind = "request" if each.code < 400 else "refused"
        return Moment(each.t, one_line(each.instance, 40), _what(each, name), got, kind)

    def _fates(
        self, applied: Iterable[Disturbance], near: Iterable[Exchange], since: float, until: float
    ) -> Iterator[Moment]:
        replicas = {_replica(one.instance) for one in applied} | {_replica(one.instance) for one in near}
        for each in self.bundle.processes:
            if since <= each.t <= until and each.event in _FATES and _replica(each.instance) in replicas:
                yield _fate(each)


def _created(bundle: Bundle) -> Mapping[int, str]:
    """Names by `id` of the exchange: a request to create says its name only in its body.

    The audit log has it, answered just before; of several at once each answer is taken once.
    """
    answered: dict[tuple[str, str], list[tuple[float, str]]] = defaultdict(list)
    learners = bundle.manifest.learners
    for event in bundle.audit:
        if event.verb == "create" and event.name and event.user in learners:
            answered[event.resource, event.namespace].append((event.t_end, event.name))
    found = {}
    for each in sorted(bundle.exchanges, key=lambda each: each.t_end):
        if each.verb != "create" or each.name:
            continue
        known = answered[each.resource, each.namespace]
        near = [one for one in known if each.t <= one[0] <= each.t_end + _CLOCKS_S]
        if near:
            nearest = min(near, key=lambda one: abs(each.t_end - one[0]))
            known.remove(nearest)
            found[id(each)] = nearest[1]
    return found


def _fate(each: ProcessEvent) -> Moment:
    return Moment(each.t, one_line(each.instance, 40), f"the process was {each.event}", "", "process")


def _replica(instance: str) -> str:
    return instance.rpartition("-")[0]


def _key(each: Disturbance | Exchange) -> _Key:
    return (each.instance, each.verb, each.resource, each.subresource, each.namespace, each.name)


def _what(each: Disturbance | Exchange, name: str) -> str:
    what = f"{each.resource}/{each.subresource}" if each.subresource else each.resource
    return one_line(f"{each.verb} {what} {name}".rstrip(), 100)


def _summary(applied: Sequence[Disturbance]) -> str:
    effects = Counter(each.effect for each in applied)
    told = [
        one_line(effect, 60) + (f" ({count} times)" if count > 1 else "")
        for effect, count in effects.most_common(_EFFECTS)
    ]
    more = len(effects) - len(told)
    return "; ".join(told) + (f"; and {more} more" if more else "")


def _folded(lines: Sequence[Moment]) -> list[Moment]:
    """What comes again within a second is told once: of a flood, more can then be shown."""
    folded: list[Moment] = []
    places: dict[tuple[str, str, str, str], int] = {}
    for line in lines:
        key = (line.instance, line.asked, line.got, line.kind)
        place = places.get(key)
        if place is not None and line.t - max(folded[place].t, folded[place].until) <= _REPEATS_S:
            same = folded[place]
            folded[place] = replace(same, times=same.times + 1, until=line.t)
            continue
        places[key] = len(folded)
        folded.append(line)
    return folded
