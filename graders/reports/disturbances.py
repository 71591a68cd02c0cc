"""What happened around each disturbance: what the operator asked, what it got, and what it did next."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from graders.evidence.bundle import Bundle
from graders.evidence.records import Disturbance, Exchange
from graders.reports.text import one_line

BEFORE_S = 1.5
AFTER_S = 5.0
LINES = 80
"""Of one disturbance."""

DISTURBANCES = 60
"""Of one track."""


@dataclass(frozen=True)
class Line:
    """One moment: a request with its answer, an application of the rule, or what befell a process."""

    t: float
    instance: str
    asked: str
    got: str
    kind: str
    """`request`, `refused`, `rule` or `process`."""


@dataclass(frozen=True)
class Explained:
    """One disturbance and the moments around it; `hidden` counts the lines left out."""

    rule: str
    lines: tuple[Line, ...]
    hidden: int = 0


def explanations(bundle: Bundle) -> Mapping[str, tuple[Explained, ...]]:
    """By track, in the order of time; a rule's name begins with its track's."""
    rules: dict[str, list[Disturbance]] = defaultdict(list)
    for each in bundle.disturbances:
        rules[each.rule].append(each)
    made: dict[str, list[Explained]] = defaultdict(list)
    for rule, applied in rules.items():
        track = rule.partition(":")[0]
        if len(made[track]) < DISTURBANCES:
            made[track].append(_explain(bundle, rule, applied, _spaces(bundle, track, applied)))
    return {track: tuple(each) for track, each in made.items()}


def _spaces(bundle: Bundle, track: str, applied: Iterable[Disturbance]) -> frozenset[str]:
    """Where it happened; a rule on a watch of everything says so only by its track."""
    named = frozenset(each.namespace for each in applied if each.namespace)
    of_track = (mark.data.get("namespace") for mark in bundle.marks if mark.track == track)
    return named or frozenset(space for space in of_track if isinstance(space, str))


def _explain(bundle: Bundle, rule: str, applied: Sequence[Disturbance], spaces: frozenset[str]) -> Explained:
    since, until = applied[0].t - BEFORE_S, applied[-1].t + AFTER_S
    lines = [
        Line(each.t, one_line(each.instance, 40), _asked(each), one_line(each.effect, 120), "rule")
        for each in applied
    ]
    lines += [
        _request(each)
        for each in bundle.exchanges
        if since <= each.t <= until and each.namespace in spaces and each.verb != "watch"
    ]
    lines += [
        Line(each.t, one_line(each.instance, 40), f"the process was {each.event}", "", "process")
        for each in bundle.processes
        if since <= each.t <= until and each.event in ("started", "killed", "exited")
    ]
    lines.sort(key=lambda line: line.t)
    return Explained(one_line(rule, 80), tuple(lines[:LINES]), max(0, len(lines) - LINES))


def _request(each: Exchange) -> Line:
    got = str(each.code) if each.code else "no answer"
    return Line(
        each.t, one_line(each.instance, 40), _asked(each), got, "request" if each.code < 400 else "refused"
    )


def _asked(each: Disturbance | Exchange) -> str:
    what = f"{each.resource}/{each.subresource}" if each.subresource else each.resource
    return one_line(f"{each.verb} {what} {each.name}".rstrip(), 120)
