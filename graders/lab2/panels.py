"""What the report draws of each track: which version web ran in each environment, and who wrote what.

A row is a version in an environment, pending until it is ready; ticks are the engine's writes, red where the
API server refused them, and what the track did.
"""

from collections.abc import Iterator

from graders.evidence.bundle import Bundle
from graders.evidence.manifest import TrackResult
from graders.evidence.records import Mark
from graders.gitops.records import CommandRun, Push
from graders.kube.workloads import digest_in, is_ready
from graders.lab2.images import images
from graders.lab2.names import DRIFTER, ENGINE, ENVIRONMENTS, INTRUDER, NAMESPACE, WEB
from graders.reports.panels import LANES, Panel, Row, Span, Tick
from graders.reports.text import one_line
from graders.reports.trackpanels import panels

_MOST_WRITES, _MOST_MARKS = 400, 60
_WRITERS = (ENGINE, DRIFTER, INTRUDER)
_COLOURS = {"ready": "running", "not ready": "pending"}
_QUIET = frozenset({"events", "leases", "subjectaccessreviews"})


def panels_of_tracks(bundle: Bundle) -> tuple[Panel, ...]:
    """A panel for each track about the fleet, in their order; the rest as every lab has them."""
    if not set(ENVIRONMENTS) <= set(bundle.manifest.clusters):
        return panels(bundle)
    told = sorted(bundle.manifest.tracks.items(), key=lambda item: item[1].started)
    return tuple(_panel(bundle, track, result) for track, result in told)


def _panel(bundle: Bundle, track: str, result: TrackResult) -> Panel:
    start, end = result.started, max(result.ended, result.started + 0.1)
    marks = [mark for mark in bundle.marks if mark.track == track and start <= mark.t <= end]
    ticks = sorted((*map(_tick, marks), *_pushes(bundle, start, end)), key=lambda tick: tick.t)
    rows = [row for environment in ENVIRONMENTS for row in _versions(bundle, environment, start, end)]
    writes = [tick for environment in ENVIRONMENTS for tick in _writes(bundle, environment, start, end)]
    return Panel(
        track=one_line(track, 80),
        status=one_line(result.status, 20),
        problem=one_line(result.problem, 300),
        start=start,
        end=end,
        marks=tuple(ticks[:_MOST_MARKS]),
        rows=tuple(rows),
        writes=tuple(sorted(writes, key=lambda tick: tick.t)[:_MOST_WRITES]),
        processes=(),
        hidden=max(0, len(ticks) - _MOST_MARKS) + max(0, len(writes) - _MOST_WRITES),
    )


def _versions(bundle: Bundle, environment: str, start: float, end: float) -> Iterator[Row]:
    """One row for each version that web was at within the time."""
    named = {image.digest: version for version, image in images().items()}
    spans: dict[str, list[Span]] = {}
    seen = [
        event
        for event in bundle.on(environment).watch_events_by_place.get(("deployments", NAMESPACE), ())
        if event.name == WEB and event.t <= end
    ]
    following = [*(each.t for each in seen[1:]), end]
    for event, until in zip(seen, following, strict=False):
        since, stop = max(event.t, start), min(until, end)
        if stop <= since or event.type == "DELETED":
            continue
        digest = digest_in(event.object, WEB)
        version = named.get(digest, digest[:19] or "no digest")
        state = "ready" if is_ready(event.object) else "not ready"
        own = spans.setdefault(version, [])
        if own and (own[-1].states, own[-1].end) == ((state,), since):
            since = own.pop().start
        title = one_line(f"{environment}: {version} {state}, {since:.2f}–{stop:.2f} s", 300)
        own.append(Span(since, stop, (state,), title, colour=_COLOURS[state]))
    for version, own in spans.items():
        yield Row(one_line(f"{environment} {version}", 80), WEB, tuple(own))


def _writes(bundle: Bundle, environment: str, start: float, end: float) -> Iterator[Tick]:
    for event in bundle.on(environment).audit:
        if event.user in _WRITERS and event.is_write and start <= event.t <= end:
            if event.resource in _QUIET or (event.user == INTRUDER and event.ok):
                continue
            lane = event.did if event.did in LANES else "delete"
            what = f"{environment}: {event.user} {event.verb} {event.resource} {event.name}: {event.code}"
            yield Tick(event.t, event.verb, one_line(f"{what} at {event.t:.2f} s", 300), lane, not event.ok)


def _pushes(bundle: Bundle, start: float, end: float) -> Iterator[Tick]:
    """What the promotion command pushed, and the runs of it that failed."""
    for push in bundle.records(Push):
        if start <= push.t <= end:
            label = "forced push" if push.forced else "push"
            yield Tick(push.t, label, f"{label} to {push.after[:12]} at {push.t:.2f} s")
    for run in bundle.records(CommandRun):
        if start <= run.t <= end and run.code != 0:
            title = one_line(f"run {run.nth} of the promotion command {run.reason} at {run.t_end:.2f} s", 300)
            yield Tick(run.t_end, "run failed", title)


def _tick(mark: Mark) -> Tick:
    about = " ".join(str(mark.data[key]) for key in ("version", "case", "environment") if key in mark.data)
    label = one_line(f"{mark.name} {about}".strip(), 40)
    seen = f": {mark.data['seen']}" if "seen" in mark.data else ""
    return Tick(mark.t, label, one_line(f"{label} at {mark.t:.2f} s{seen}", 300))
