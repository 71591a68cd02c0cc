"""The grader's own watches, put on record: every change of some resources, and every break of a watch."""

import threading
from collections.abc import Callable, Mapping
from typing import Any, Self

from graders.evidence.recording import Recording
from graders.evidence.records import Object, WatchBreak, WatchEvent
from graders.faults import InfraFault
from graders.kube.client import ApiRefused, Kube
from graders.kube.nesting import shallow
from graders.polling import NotYet, TimedOut, wait_for

SERVED_WITHIN_S = 15.0
RESUME_EVERY_S = 0.2

_GONE = 410


class _Expired(Exception):
    """The API server ended a watch: it has forgotten what came after a version."""


class WatchRecorder:
    """The grader's own watches: every change of some resources, and their present state."""

    def __init__(
        self,
        recording: Recording,
        kube: Kube,
        paths: Mapping[str, str],
        *,
        cluster: str = "",
        only: Callable[[str], bool] = lambda _: True,
    ) -> None:
        """`paths` maps a plural such as `pods` to the API path of its collection in all namespaces.

        `only` says of a namespace whether what is in it is seen at all; the rest of a cluster may be nobody's
        business.
        """
        self.cluster = cluster
        self._only = only
        self._recording = recording
        self._kube = kube
        self._paths = dict(paths)
        self._objects: dict[str, dict[str, dict[str, Object]]] = {name: {} for name in paths}
        """By resource, namespace and name: many waits ask for those of one namespace, again and again."""
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._broken: dict[str, str] = {}
        self._versions: dict[str, str] = {}

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

    def __exit__(self, *_: object) -> None:
        self._stop.set()

    def objects(self, resource: str, namespace: str) -> dict[str, Object]:
        """The present objects of a namespace, by name."""
        with self._lock:
            return dict(self._objects.get(resource, {}).get(namespace, {}))

    def everything(self, resource: str) -> list[Object]:
        """The present objects of all namespaces."""
        with self._lock:
            return [item for each in self._objects.get(resource, {}).values() for item in each.values()]

    def _follow_new(self, resource: str, path: str) -> None:
        self._versions[resource] = self._list(resource, path)
        thread = threading.Thread(
            target=self._follow, args=(resource, path), name=f"watch-{resource}", daemon=True
        )
        thread.start()

    def _follow(self, resource: str, path: str) -> None:
        try:
            while not self._stop.is_set():
                ending: Exception | None = None
                try:
                    self._watch(resource, path)
                except (InfraFault, ApiRefused, _Expired) as error:
                    ending = error
                self._resume(resource, path, ending)
        except Exception as error:  # (a watch that ended unseen would be held against the learner)
            self._broken[resource] = f"the watch of {resource} ended: {error!r}"

    def _resume(self, resource: str, path: str, ending: Exception | None) -> None:
        """Find where a watch that ended goes on; until that is known none is opened.

        An API server that knows less than before would take a watch from a version it has not reached, and
        be silent.
        """
        # At the end of a run the API server goes first; before that, a broken watch is news.
        if isinstance(ending, InfraFault | ApiRefused) and self._stop.wait(RESUME_EVERY_S):
            return
        while not self._stop.is_set():
            if ending is not None:
                self._broken[resource] = str(ending)
            try:
                self._versions[resource] = self._again(resource, path, ending)
            except (InfraFault, ApiRefused) as error:
                ending = ending or error
                self._stop.wait(RESUME_EVERY_S)
            else:
                self._broken.pop(resource, None)
                return

    def _watch(self, resource: str, path: str) -> None:
        """One watch to its end, which an API server sets to each.

        Raises:
            _Expired: the API server ended it for a reason. InfraFault, ApiRefused: it broke, or was refused.
        """
        for event in self._kube.watch(path, self._versions[resource]):
            if self._stop.is_set():
                return
            if event["type"] == "ERROR":
                raise _Expired(str(event["object"].get("message", ""))[:300])
            seen = str(event["object"]["metadata"]["resourceVersion"])
            if _earlier(seen, self._versions[resource]):
                self._break(resource, "went-back", self._versions[resource], seen)
            self._versions[resource] = seen
            if event["type"] != "BOOKMARK" and self._only(_key(event["object"])[0]):
                self._take(resource, event["type"], event["object"])

    def _again(self, resource: str, path: str, ending: Exception | None) -> str:
        """Where a watch that ended goes on: where it was, or behind a new list where that is gone."""
        version = self._versions[resource]
        now = str(self._kube.get(path, limit=1)["metadata"]["resourceVersion"])
        back = _earlier(now, version)
        refused = isinstance(ending, ApiRefused) and ending.answer.code == _GONE
        gone = refused or isinstance(ending, _Expired)
        error = str(ending or "")
        if back or gone:
            now = self._list(resource, path)
            self._break(resource, "went-back" if back else "relisted", version, now, error)
            return now
        self._break(resource, "reconnected", version, version, error)
        return version

    def _break(self, resource: str, how: str, before: str, after: str, error: str = "") -> None:
        now = self._recording.clock.now()
        self._recording.writer.add(WatchBreak(now, resource, how, before, after, error, self.cluster))

    @property
    def problem(self) -> str:
        """Which watch is broken at present, and how; empty when all see what happens."""
        return "; ".join(list(self._broken.values()))

    def _list(self, resource: str, path: str) -> str:
        """Take the present state as events, DELETED for what vanished meanwhile."""
        listing = self._kube.get(path)
        with self._lock:
            known = {
                (space, name): item
                for space, each in self._objects[resource].items()
                for name, item in each.items()
            }
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
            there = self._objects[resource].setdefault(namespace, {})
            if kind == "DELETED":
                there.pop(name, None)
            else:
                there[name] = item
        now = self._recording.clock.now()
        self._recording.writer.add(WatchEvent(now, kind, resource, namespace, name, item, self.cluster))
        self._recording.changes.notify(namespace)


def _key(item: Mapping[str, Any]) -> tuple[str, str]:
    metadata = item["metadata"]
    return str(metadata.get("namespace", "")), str(metadata["name"])


def _earlier(version: str, than: str) -> bool:
    """Whether a revision is lower than another; versions that are no numbers cannot be compared."""
    return version.isdecimal() and than.isdecimal() and int(version) < int(than)
