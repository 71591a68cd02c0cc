"""Recorders witness from outside the learner's reach and write what they see into the bundle.

Each is a context manager; each also keeps the little state that a scenario waits on, and sets
`news` whenever something arrived, so that waiting needs no slow polling.
"""

from __future__ import annotations

import bisect
import contextlib
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from graders.evidence.bundle import BundleWriter
from graders.evidence.records import AuditEvent, ControlSample, Mark, Object, Sighting
from graders.faults import InfraFault
from graders.kube.client import ApiRefused, Kube
from graders.kube.nesting import read_json, shallow
from graders.kube.paths import resource_path
from graders.polling import NotYet, TimedOut, wait_for


class Clock:
    """Seconds since the start of the run, on the monotonic clock."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self.wall_start = time.time()

    def now(self) -> float:
        """Seconds since the start, to the microsecond."""
        return round(time.monotonic() - self._start, 6)

    def from_wall(self, stamp: str) -> float:
        """An RFC 3339 stamp of the same machine, as seconds since the start."""
        return round(datetime.fromisoformat(stamp).timestamp() - self.wall_start, 6)


class News:
    """A bell that recorders ring and scenario waits listen to; each listener has an event of its own."""

    def __init__(self) -> None:
        self._listeners: set[threading.Event] = set()
        self._lock = threading.Lock()

    def ring(self) -> None:
        """Wake every listener."""
        with self._lock:
            for listener in self._listeners:
                listener.set()

    @contextlib.contextmanager
    def listener(self) -> Iterator[threading.Event]:
        """An event that is set at every ring while the block runs."""
        event = threading.Event()
        with self._lock:
            self._listeners.add(event)
        try:
            yield event
        finally:
            with self._lock:
                self._listeners.discard(event)


class Recording:
    """What all recorders share: the clock, the bundle and the bell."""

    def __init__(self, writer: BundleWriter) -> None:
        self.writer = writer
        self.clock = Clock()
        self.news = News()

    def mark(self, track: str, name: str, **data: Any) -> Mark:
        """Set a mark now."""
        mark = Mark(self.clock.now(), track, name, data)
        self.writer.add(mark)
        return mark


GUARDS = frozenset({"networkpolicies", "resourcequotas", "limitranges"})
"""Resources that bound what a namespace may do: whoever writes them writes to the cluster itself."""

SERVED_WITHIN_S = 15.0

MOST_CLUSTER_WRITES = 200
"""How many writes to the cluster itself are remembered for each user."""


class AuditRecorder:
    """Puts audit events on record and remembers when whom wrote last, per namespace.

    They come as raw lines of an API server's log, or ready-made from whoever stands in for it.
    """

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._lock = threading.Lock()
        self._last_write: dict[tuple[str, str], float] = {}
        self._seen: dict[tuple[str, str], int] = {}
        self._writes: dict[tuple[str, str], int] = {}
        self._cluster_writes: dict[str, list[AuditEvent]] = {}
        self.damaged = 0

    def __call__(self, line: bytes) -> None:
        """Take one line of the API server's log."""
        try:
            event = parse_audit(read_json(line), self._recording.clock)
        except (ValueError, KeyError, TypeError, AttributeError):
            self.damaged += 1
            return
        self.take(event)

    def take(self, event: AuditEvent) -> None:
        """Take one event."""
        self._recording.writer.add(event)
        with self._lock:
            key = (event.user, event.resource)
            self._seen[key] = self._seen.get(key, 0) + event.ok
            if event.is_write and event.resource not in ("leases", "events"):
                place = (event.user, event.namespace)
                self._last_write[place] = event.t_end
                self._writes[place] = self._writes.get(place, 0) + event.ok
            of_the_cluster = not event.namespace or event.resource in GUARDS | {"namespaces"}
            if event.is_write and event.ok and of_the_cluster:
                kept = self._cluster_writes.setdefault(event.user, [])
                if len(kept) < MOST_CLUSTER_WRITES:
                    kept.append(replace(event, request=None, response=None))
        self._recording.news.ring()

    def last_write(self, user: str, namespace: str) -> float | None:
        """When `user` last wrote in `namespace` (accepted or not, leases and events aside)."""
        with self._lock:
            return self._last_write.get((user, namespace))

    def writes(self, user: str, namespace: str) -> int:
        """How many writes of `user` in `namespace` were accepted so far (leases and events aside)."""
        with self._lock:
            return self._writes.get((user, namespace), 0)

    def cluster_writes(self, user: str) -> tuple[AuditEvent, ...]:
        """The first accepted writes of `user` to namespaces, their guards and what is in none; no bodies."""
        with self._lock:
            return tuple(self._cluster_writes.get(user, ()))

    def accepted(self, user: str, resource: str) -> int:
        """How many requests of `user` on `resource` succeeded so far."""
        with self._lock:
            return self._seen.get((user, resource), 0)


def parse_audit(event: Mapping[str, Any], clock: Clock) -> AuditEvent:
    """One event of `audit.k8s.io/v1` as a record.

    Raises:
        KeyError, ValueError, TypeError: it is not such an event.
    """
    target = event.get("objectRef") or {}
    uri = urlsplit(event["requestURI"])
    response = event.get("responseObject")
    name = target.get("name", "")
    if not name and isinstance(response, Mapping):
        name = (response.get("metadata") or {}).get("name", "") or ""
    if not name and isinstance(event.get("requestObject"), Mapping):
        name = (event["requestObject"].get("metadata") or {}).get("name", "") or ""
    return AuditEvent(
        t=clock.from_wall(event["requestReceivedTimestamp"]),
        t_end=clock.from_wall(event["stageTimestamp"]),
        id=event["auditID"],
        user=event["user"]["username"],
        verb=event["verb"],
        group=target.get("apiGroup", ""),
        resource=target.get("resource", "") or uri.path,
        subresource=target.get("subresource", ""),
        namespace=target.get("namespace", ""),
        name=name,
        code=int((event.get("responseStatus") or {}).get("code", 0)),
        dry_run="dryRun" in parse_qs(uri.query),
        user_agent=str(event.get("userAgent", ""))[:200],
        request=event.get("requestObject"),
        response=response,
        annotations=event.get("annotations") or {},
    )


class WatchRecorder:
    """The grader's own watches: every change of some resources, and their present state."""

    def __init__(
        self,
        recording: Recording,
        kube: Kube,
        paths: Mapping[str, str],
        *,
        only: Callable[[str], bool] = lambda _: True,
    ) -> None:
        """`paths` maps a plural such as `pods` to the API path of its collection in all namespaces.

        `only` says of a namespace whether what is in it is seen at all; the rest of a cluster may be nobody's
        business.
        """
        self._only = only
        self._recording = recording
        self._kube = kube
        self._paths = dict(paths)
        self._objects: dict[str, dict[tuple[str, str], Object]] = {name: {} for name in paths}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._broken: dict[str, str] = {}

    def __enter__(self) -> Self:
        for resource, path in self._paths.items():
            self._follow_new(resource, path)
        return self

    def follow(self, resource: str, path: str) -> None:
        """Watch one more resource, such as a kind whose CRD was just installed.

        Raises:
            InfraFault: it is not served; of several API servers each learns of a kind by itself.
        """
        with self._lock:
            self._objects[resource] = {}

        def begin() -> None:
            try:
                self._follow_new(resource, path)
            except ApiRefused as refused:
                raise NotYet(str(refused)) from refused

        try:
            wait_for(begin, timeout_s=SERVED_WITHIN_S, interval_s=0.1)
        except TimedOut as error:
            raise InfraFault(str(error)) from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()

    def objects(self, resource: str, namespace: str) -> dict[str, Object]:
        """The present objects of a namespace, by name."""
        with self._lock:
            return {n: o for (ns, n), o in self._objects.get(resource, {}).items() if ns == namespace}

    def everything(self, resource: str) -> list[Object]:
        """The present objects of all namespaces."""
        with self._lock:
            return list(self._objects.get(resource, {}).values())

    def _follow_new(self, resource: str, path: str) -> None:
        version = self._list(resource, path)
        thread = threading.Thread(
            target=self._follow, args=(resource, path, version), name=f"watch-{resource}", daemon=True
        )
        thread.start()

    def _follow(self, resource: str, path: str, version: str) -> None:
        while not self._stop.is_set():
            try:
                for event in self._kube.watch(path, version):
                    if self._stop.is_set():
                        return
                    if event["type"] == "ERROR":
                        version = self._list(resource, path)
                        break
                    version = event["object"]["metadata"]["resourceVersion"]
                    if event["type"] != "BOOKMARK" and self._only(_key(event["object"])[0]):
                        self._take(resource, event["type"], event["object"])
            except (InfraFault, ApiRefused) as error:
                # At the end of a run the API server goes first; before that, a broken watch is news.
                if self._stop.wait(0.2):
                    return
                self._broken[resource] = str(error)
                with contextlib.suppress(InfraFault, ApiRefused):
                    self._kube.get(path, limit=1)
                    del self._broken[resource]
            except Exception as error:  # (a watch that ended unseen would be held against the learner)
                self._broken[resource] = f"the watch of {resource} ended: {error!r}"
                return

    @property
    def problem(self) -> str:
        """Which watch is broken at present, and how; empty when all see what happens."""
        return "; ".join(list(self._broken.values()))

    def _list(self, resource: str, path: str) -> str:
        """Take the present state as sightings, DELETED for what vanished meanwhile."""
        listing = self._kube.get(path)
        with self._lock:
            known = dict(self._objects[resource])
        seen = set()
        for item in listing["items"]:
            key = _key(item)
            if not self._only(key[0]):
                continue
            seen.add(key)
            before = known.get(key)
            if before is None or before["metadata"]["resourceVersion"] != item["metadata"]["resourceVersion"]:
                self._take(resource, "ADDED" if before is None else "MODIFIED", item)
        for key in known.keys() - seen:
            self._take(resource, "DELETED", known[key])
        return str(listing["metadata"]["resourceVersion"])

    def _take(self, resource: str, kind: str, item: Object) -> None:
        item = shallow(item)
        item["metadata"].pop("managedFields", None)
        namespace, name = _key(item)
        with self._lock:
            if kind == "DELETED":
                self._objects[resource].pop((namespace, name), None)
            else:
                self._objects[resource][namespace, name] = item
        now = self._recording.clock.now()
        self._recording.writer.add(Sighting(now, kind, resource, namespace, name, item))
        self._recording.news.ring()


class ControlRecorder:
    """Watches the harness itself: is this process scheduled in time, does the API server answer?

    When a learner misses a deadline, `healthy` decides whose fault it was.
    """

    PERIOD_S = 0.5
    SICK_LAG_S = 2.0
    SICK_API_S = 3.0
    PROMPT_API_S = 0.01
    """A trivial read takes a third of that on a machine that keeps up."""

    def __init__(self, recording: Recording, kube: Kube, namespace: str = "default") -> None:
        """`namespace` is the object that is read as a trial."""
        self._path = resource_path("v1", "namespaces", name=namespace)
        self._recording = recording
        self._kube = kube
        self._stop = threading.Event()
        self._samples: list[ControlSample] = []
        self._thread = threading.Thread(target=self._run, name="control", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(10.0)

    def sickness(self, since: float) -> str:
        """What was wrong with the harness since time `since`; empty when it was healthy."""
        now = self._recording.clock.now()
        samples = [s for s in list(self._samples) if s.t >= since]
        silent_s = now - max((sample.t for sample in samples), default=since)
        for sample in samples:
            if sample.lag_s > self.SICK_LAG_S:
                return f"the harness was not scheduled for {sample.lag_s:.1f} s"
            if sample.api_s is None:
                return f"the API server did not answer the harness: {sample.error}"
            if sample.api_s > self.SICK_API_S:
                return f"the API server took {sample.api_s:.1f} s for a trivial read"
        # A sample under way for so long will be a sick one.
        if silent_s > self.PERIOD_S + self.SICK_LAG_S + self.SICK_API_S:
            return f"the harness took no health sample for {silent_s:.1f} s"
        return ""

    def slow_s(self, since: float) -> float:
        """Seconds since `since` that the API server took from whoever asks it one thing after another.

        None while it answers promptly; nine tenths of the time while an answer takes ten times as long.
        """
        samples = list(self._samples)
        first = bisect.bisect_right(samples, since, key=lambda sample: sample.t)
        taken = 0.0
        for number in range(first, len(samples)):
            sample = samples[number]
            before = samples[number - 1].t if number else since
            prompt = 0.0 if sample.api_s is None else min(1.0, self.PROMPT_API_S / max(sample.api_s, 1e-6))
            taken += (sample.t - max(since, before)) * (1.0 - prompt)
        return taken

    def read_s(self) -> float:
        """Seconds one trivial read of the API server takes just now; without end if it does not answer."""
        took_s = self._sample(0.0).api_s
        return math.inf if took_s is None else took_s

    def _run(self) -> None:
        due = time.monotonic() + self.PERIOD_S
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            lag = max(0.0, time.monotonic() - due)
            sample = self._sample(lag)
            self._samples.append(sample)
            self._recording.writer.add(sample)
            due = max(due + self.PERIOD_S, time.monotonic())

    def _sample(self, lag_s: float) -> ControlSample:
        started = time.monotonic()
        try:
            answer = self._kube.request("GET", self._path, timeout_s=10.0)
            error = "" if answer.ok else f"{answer.code} {answer.message}"
        except InfraFault as fault:
            error = fault.problem
        took = round(time.monotonic() - started, 6)
        return ControlSample(self._recording.clock.now(), round(lag_s, 6), None if error else took, error)


def measure(action: Callable[[], object]) -> float:
    """Seconds one call of `action` takes."""
    started = time.monotonic()
    action()
    return time.monotonic() - started


def _key(item: Mapping[str, Any]) -> tuple[str, str]:
    metadata = item["metadata"]
    return str(metadata.get("namespace", "")), str(metadata["name"])
