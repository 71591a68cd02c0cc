"""Reads out of a bundle what the picture of each track shows.

A track owns the namespaces that its marks name; one called `namespace` says nothing else. Conditions
and labels are what the learner's operator wrote, so no shape of them is taken for granted.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from graders.definition import lab_package
from graders.evidence.bundle import Bundle
from graders.evidence.manifest import TrackResult
from graders.evidence.records import AuditEvent, Mark, WatchEvent
from graders.reports.panels import LANES, PODS, Panel, Row, Span, Tick
from graders.reports.text import fact_text, one_line

ELEMENTS = 2_000
"""Spans and ticks one panel shows."""

ROWS = 120
"""Rows of objects one panel shows."""

_PROCESSES = 200
_NAMESPACE_MARK = "namespace"
_BACKGROUND = "Created"


def panels_of(bundle: Bundle) -> tuple[Panel, ...]:
    """The panels of a bundle: those that its lab makes, else one for each track."""
    package = lab_package(bundle.manifest.lab)
    if not package.definition.panels:
        return panels(bundle)
    made: tuple[Panel, ...] = package.load("panels")(bundle)
    return made


def panels(bundle: Bundle) -> tuple[Panel, ...]:
    """A panel for each track, in the order of their starts."""
    marks: dict[str, list[Mark]] = defaultdict(list)
    for mark in bundle.marks:
        marks[mark.track].append(mark)
    seen: dict[tuple[str, str], list[WatchEvent]] = defaultdict(list)
    for each in bundle.watch_events:
        seen[each.cluster, each.namespace].append(each)
    writes: dict[tuple[str, str], list[AuditEvent]] = defaultdict(list)
    learners = bundle.manifest.learners
    for event in bundle.audit:
        if event.user in learners and event.is_write:
            writes[event.cluster, event.namespace].append(event)
    made = []
    for track, result in sorted(bundle.manifest.tracks.items(), key=lambda item: item[1].started):
        spaces = _places(marks[track])
        made.append(
            _panel(
                (track, result),
                marks[track],
                [one for space in spaces for one in seen[space]],
                sorted((one for space in spaces for one in writes[space]), key=lambda one: one.t),
                _processes(bundle, track, result),
            )
        )
    return tuple(made)


def _panel(
    named: tuple[str, TrackResult],
    marks: Sequence[Mark],
    sightings: Sequence[WatchEvent],
    writes: Sequence[AuditEvent],
    processes: tuple[Tick, ...],
) -> Panel:
    track, result = named
    end = max(result.ended, result.started + 0.1)
    ticks = [_mark(mark) for mark in marks if mark.name != _NAMESPACE_MARK and mark.t <= end]
    rows = _rows(sightings, _parts(marks), end)
    written = [_write(event) for event in writes if event.t <= end]
    room = ELEMENTS
    kept_ticks = tuple(ticks[:room])
    room -= len(kept_ticks)
    kept_rows = []
    for row in rows[:ROWS]:
        kept_rows.append(replace(row, spans=row.spans[:room], gone=row.gone[: max(room, 0)]))
        room = max(room - len(row.spans) - len(row.gone), 0)
    kept_writes = tuple(written[:room])
    offered = len(ticks) + len(written) + sum(len(row.spans) for row in rows)
    shown = len(kept_ticks) + len(kept_writes) + sum(len(row.spans) for row in kept_rows)
    return Panel(
        track=one_line(track, 80),
        status=one_line(result.status, 20),
        problem=one_line(result.problem, 300),
        start=result.started,
        end=end,
        marks=kept_ticks,
        rows=tuple(kept_rows),
        writes=kept_writes,
        processes=processes,
        hidden=offered - shown,
    )


def _places(marks: Sequence[Mark]) -> list[tuple[str, str]]:
    """The clusters and namespaces that marks name; one that names no cluster means its track's."""
    named = [mark.data for mark in marks if isinstance(mark.data.get("namespace"), str)]
    homes = {str(data["namespace"]): str(data["cluster"]) for data in named if data.get("cluster")}
    usual = next(iter(homes.values()), "")
    spaces = [(str(data.get("cluster") or ""), str(data["namespace"])) for data in named]
    return list(dict.fromkeys((cluster or homes.get(space, usual), space) for cluster, space in spaces))


def _mark(mark: Mark) -> Tick:
    about = mark.data.get("pod") or mark.data.get("job") or mark.data.get("name") or ""
    label = one_line(f"{mark.name} {about}" if isinstance(about, str) else mark.name, 40).strip()
    data = ", ".join(f"{one_line(str(k), 40)}={one_line(fact_text(v), 80)}" for k, v in mark.data.items())
    return Tick(mark.t, label, one_line(f"{label} at {mark.t:.2f} s" + (f": {data}" if data else ""), 300))


def _write(event: AuditEvent) -> Tick:
    where = f"{event.resource}/{event.subresource}" if event.subresource else event.resource
    lane = event.did if event.did in LANES else "delete"
    if event.subresource == "status":
        lane = "status"
    elif event.resource == "events":
        lane = "event"
    failed = not event.ok
    title = one_line(f"{event.verb} {where} {event.name}: {event.code} at {event.t:.2f} s")
    return Tick(event.t, event.verb, title, lane, failed)


def _processes(bundle: Bundle, track: str, result: TrackResult) -> tuple[Tick, ...]:
    """Of the operator that the track acted on: one of its own is named after it."""

    def owner(instance: str) -> str:
        return next((name for name in bundle.manifest.tracks if instance.startswith(f"{name}-")), "")

    owners = {event.instance: owner(event.instance) for event in bundle.processes}
    mine = track if track in owners.values() else ""
    shown = ("started", "killed", "exited")
    events = [
        event
        for event in bundle.processes
        if event.event in shown
        and owners[event.instance] == mine
        and result.started <= event.t <= result.ended
    ]
    return tuple(
        Tick(event.t, event.event, one_line(f"process {event.instance} {event.event} at {event.t:.2f} s"))
        for event in events[:_PROCESSES]
    )


def _parts(marks: Iterable[Mark]) -> dict[str, str]:
    """What a track calls its namespaces; its first has no name."""
    named = (
        (mark.data.get("namespace"), mark.data.get("part")) for mark in marks if mark.name == _NAMESPACE_MARK
    )
    return {space: part for space, part in named if isinstance(space, str) and isinstance(part, str)}


def _rows(sightings: Sequence[WatchEvent], parts: Mapping[str, str], end: float) -> list[Row]:
    """Each job's row, then its pods'; pods of no job come last."""
    lives: dict[tuple[str, str, str], list[WatchEvent]] = defaultdict(list)
    shared = len({one.namespace for one in sightings}) > 1
    for one in sightings:
        if one.resource == PODS or _is_custom(one.object) or _conditions(one.object):
            lives[(one.resource, one.namespace, one.name)].append(one)
    ordered = sorted(lives.items(), key=lambda item: _order(item[0], item[1][0], parts))
    return [
        _row(
            resource, _label(space, name, parts) if shared else name, sorted(seen, key=lambda one: one.t), end
        )
        for (resource, space, name), seen in ordered
    ]


def _label(space: str, name: str, parts: Mapping[str, str]) -> str:
    part = parts.get(space, space)
    return f"{part}/{name}" if part else name


def _order(
    key: tuple[str, str, str], first: WatchEvent, parts: Mapping[str, str]
) -> tuple[str, str, bool, str, bool, tuple[int, str]]:
    resource, namespace, name = key
    part = re.sub(r"\d{1,6}", lambda digits: digits[0].zfill(6), parts.get(namespace, namespace))
    is_pod = resource == PODS
    owner = _owner(first.object) if is_pod else name
    index = name.rpartition("-")[2]
    place = (int(index) if index.isascii() and index.isdigit() and len(index) < 9 else -1, name)
    return (part, namespace, not owner, owner, is_pod, place)


def _owner(pod: Mapping[str, Any]) -> str:
    for reference in _list(_dict(pod.get("metadata")).get("ownerReferences")):
        if _dict(reference).get("controller") is True:
            return str(_dict(reference).get("name", ""))
    return ""


def _row(resource: str, label: str, seen: Sequence[WatchEvent], end: float) -> Row:
    """Successive sightings in one state are one span; a state lasts until the next sighting."""
    spans: list[Span] = []
    gone: list[float] = []
    following = [one.t for one in seen[1:]] + [end]
    for one, until in zip(seen, following, strict=True):
        if one.t > end:
            break
        if one.type == "DELETED":
            gone.append(one.t)
            continue
        states = _phase(one.object) if resource == PODS else _true_conditions(one.object)
        terminating = "deletionTimestamp" in _dict(one.object.get("metadata"))
        stop = min(until, end)
        last = spans[-1] if spans else None
        if last and (last.states, last.terminating, last.end) == (states, terminating, one.t):
            spans[-1] = Span(last.start, stop, states, last.title, terminating)
        else:
            spans.append(Span(one.t, stop, states, "", terminating))
    titled = tuple(_titled(span, label) for span in spans)
    return Row(one_line(label, 80), one_line(resource, 60), titled, tuple(gone))


def _titled(span: Span, label: str) -> Span:
    what = " + ".join(span.states) + (", terminating" if span.terminating else "")
    title = one_line(f"{label}: {what}, {span.start:.2f}–{span.end:.2f} s", 300)
    return Span(span.start, span.end, span.states, title, span.terminating)


def _phase(pod: Mapping[str, Any]) -> tuple[str, ...]:
    return (one_line(str(_dict(pod.get("status")).get("phase") or "Pending"), 30),)


def _true_conditions(job: Mapping[str, Any]) -> tuple[str, ...]:
    """The conditions that hold, at most five; Created says nothing once another one holds."""
    holds = [
        one_line(str(_dict(condition).get("type", "")), 30)
        for condition in _conditions(job)
        if _dict(condition).get("status") == "True"
    ]
    telling = [name for name in dict.fromkeys(holds) if name != _BACKGROUND]
    return tuple(telling[:5]) or ((_BACKGROUND,) if holds else ("no condition",))


def _conditions(thing: Mapping[str, Any]) -> list[Any]:
    return _list(_dict(thing.get("status")).get("conditions"))


def _is_custom(thing: Mapping[str, Any]) -> bool:
    """Kubernetes' own groups have no dot or end in k8s.io."""
    group = str(thing.get("apiVersion", "")).rpartition("/")[0]
    return "." in group and not group.endswith(".k8s.io")


def _dict(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
