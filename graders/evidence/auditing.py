"""The API server's audit log, put on record: who did what, from the server itself."""

import threading
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

from graders.evidence.recording import Clock, Recording
from graders.evidence.records import AuditEvent
from graders.kube.nesting import read_json
from graders.model import Role

GUARDS = frozenset({"networkpolicies", "resourcequotas", "limitranges"})
"""Resources that bound what a namespace may do: whoever writes them writes to the cluster itself."""

MOST_CLUSTER_WRITES = 200
"""How many writes to the cluster itself are remembered for each user."""


_GROUPS: Mapping[str, Role] = {
    "kubeproof:grader": Role.GRADER,
    "kubeproof:control-plane": Role.CONTROL_PLANE,
    "system:serviceaccounts:kube-system": Role.CONTROL_PLANE,
    "system:nodes": Role.NODE,
}
"""Whose a user is, by a group that the API server found in its credentials."""

_USERS: Mapping[str, Role] = {
    "system:apiserver": Role.CONTROL_PLANE,
    "system:kube-controller-manager": Role.CONTROL_PLANE,
    "system:kube-scheduler": Role.CONTROL_PLANE,
}


class AuditRecorder:
    """Puts audit events on record and remembers when whom wrote last, per namespace.

    They come as raw lines of an API server's log, or ready-made from whoever stands in for it.
    """

    def __init__(self, recording: Recording, cluster: str = "") -> None:
        self._recording = recording
        self.cluster = cluster
        self._lock = threading.Lock()
        self._last_write: dict[tuple[str, str], float] = {}
        self._seen: dict[tuple[str, str], int] = {}
        self._writes: dict[tuple[str, str], int] = {}
        self._cluster_writes: dict[str, list[AuditEvent]] = {}
        self._open: set[str] = set()
        """Requests that were answered and go on: watches, by their identifiers."""
        self.damaged = 0

    def __call__(self, line: bytes) -> None:
        """Take one line of the API server's log."""
        try:
            raw = read_json(line)
            event = parse_audit(raw, self._recording.clock)
            role = role_of(event.user, raw["user"].get("groups") or ())
        except (ValueError, KeyError, TypeError, AttributeError):
            self.damaged += 1
            return
        if role is not Role.OTHER:
            self._recording.note_actor(event.user, role)
        if raw.get("stage") == "ResponseStarted":
            self.begun(event)
        else:
            self.take(event)

    def begun(self, event: AuditEvent) -> None:
        """Take note of a request that is answered and goes on; it is put on record when it is over."""
        if not event.ok:
            return
        with self._lock:
            self._open.add(event.id)
            key = (event.user, event.resource)
            self._seen[key] = self._seen.get(key, 0) + 1
        self._recording.changes.notify(event.namespace)

    def take(self, event: AuditEvent) -> None:
        """Take one event."""
        event = replace(event, cluster=self.cluster)
        self._recording.writer.add(event)
        with self._lock:
            key = (event.user, event.resource)
            known = event.id in self._open
            self._open.discard(event.id)
            self._seen[key] = self._seen.get(key, 0) + (event.ok and not known)
            if event.is_write and event.resource not in ("leases", "events"):
                place = (event.user, event.namespace)
                self._last_write[place] = event.t_end
                self._writes[place] = self._writes.get(place, 0) + event.ok
            of_the_cluster = not event.namespace or event.resource in GUARDS | {"namespaces"}
            if event.is_write and event.ok and of_the_cluster:
                kept = self._cluster_writes.setdefault(event.user, [])
                if len(kept) < MOST_CLUSTER_WRITES:
                    kept.append(replace(event, request=None, response=None))
        self._recording.changes.notify(event.namespace)

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
        """How many requests of `user` on `resource` succeeded so far; a watch does when it begins."""
        with self._lock:
            return self._seen.get((user, resource), 0)


def role_of(user: str, groups: Collection[str]) -> Role:
    """Whose a user is, by what the API server authenticated; `OTHER` where that does not say."""
    if user in _USERS:
        return _USERS[user]
    return next((role for group, role in _GROUPS.items() if group in groups), Role.OTHER)


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
