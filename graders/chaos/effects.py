"""What runs of experiments changed, by the audit log and watches. Pure."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Protocol

from graders.chaos.records import BaselineLook, ExperimentRun
from graders.evidence.bundle import Bundle
from graders.evidence.records import AuditEvent

_SEEN_S = 1.0
"""How much later than a request its effect may be on record."""


class BlastScope(Protocol):
    """What an experiment may touch: objects of a namespace by their labels, or nodes and what is on them."""

    @property
    def namespace(self) -> str:
        """Where its objects are."""

    @property
    def labels(self) -> Mapping[str, str]:
        """Which labels they have."""

    @property
    def nodes(self) -> tuple[str, ...]:
        """The nodes; empty where it is of objects."""


class ExperimentEffects:
    """What experiments that act as `user` changed on a cluster."""

    def __init__(self, bundle: Bundle, cluster: str, user: str) -> None:
        self.bundle = bundle
        self.cluster = cluster
        self.user = user

    def writes(self, run: ExperimentRun) -> list[AuditEvent]:
        """What the experiment changed in a run, accepted or not; reviews of its own rights are no change."""
        return [
            each
            for each in self._requests
            if run.t <= each.t <= run.t_end and each.is_write and each.group != "authorization.k8s.io"
        ]

    def denied(self, run: ExperimentRun) -> list[AuditEvent]:
        """What RBAC did not let it do in a run."""
        return [each for each in self._requests if run.t <= each.t <= run.t_end and each.code == 403]

    @cached_property
    def _requests(self) -> list[AuditEvent]:
        return [each for each in self.bundle.on(self.cluster).audit if each.user == self.user]

    def in_scope(self, event: AuditEvent, scope: BlastScope) -> bool:
        """Whether a request is about an object that the experiment may touch.

        What it may touch stays so where the experiment takes the label away: somebody has to put it back.
        """
        if scope.nodes and event.resource == "nodes":
            return event.name in scope.nodes
        return any(_within(scope, event, each) for each in self._versions(event))

    def changed(self, event: AuditEvent, run: ExperimentRun) -> bool:
        """Whether a watch saw, before the run was over, that the object of a request was another, or gone.

        What changes later does so for another reason: sooner or later every pod is gone.
        """
        before = self._seen(event)
        for each in self.bundle.on(self.cluster).watch_events:
            if (each.resource, each.namespace, each.name) != self._place(event):
                continue
            if not event.t <= each.t <= run.t_end + _SEEN_S:
                continue
            if each.type == "DELETED" or before is None or _held(each.object) != _held(before):
                return True
        return False

    def _seen(self, event: AuditEvent) -> Mapping[str, Any] | None:
        """The object of a request as it was seen last before it; else as it was seen first after it."""
        return next(reversed(self._versions(event)), None)

    def _versions(self, event: AuditEvent) -> list[Mapping[str, Any]]:
        """The object of a request as it was seen before it, the oldest first; else once, after it."""
        found: list[Mapping[str, Any]] = []
        for each in self.bundle.on(self.cluster).watch_events:
            if (each.resource, each.namespace, each.name) == self._place(event):
                if each.t > event.t and found:
                    break
                found.append(each.object)
        return found

    @staticmethod
    def _place(event: AuditEvent) -> tuple[str, str, str]:
        return event.resource, event.namespace, event.name

    def left_behind(self, experiment: str, when: str) -> list[str] | None:
        """The objects that are not as they were before the experiment; None where nobody looked."""
        looks = {
            each.when: each.digests
            for each in self.bundle.records(BaselineLook)
            if (each.experiment, each.cluster) == (experiment, self.cluster)
        }
        before, after = looks.get("before", {}), looks.get(when)
        if after is None:
            return None
        return sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))


def _within(scope: BlastScope, event: AuditEvent, seen: Mapping[str, Any]) -> bool:
    """Whether an object as it was seen is in a scope."""
    if scope.nodes:
        return event.resource == "pods" and (seen.get("spec") or {}).get("nodeName") in scope.nodes
    labels = (seen.get("metadata") or {}).get("labels") or {}
    return event.namespace == scope.namespace and scope.labels.items() <= labels.items()


def _held(item: Mapping[str, Any]) -> tuple[Any, ...]:
    """What of an object an experiment changes: nodes report their status all the time."""
    metadata = item.get("metadata") or {}
    written = {key: value for key, value in item.items() if key not in ("metadata", "status")}
    return written, *(metadata.get(key) for key in ("labels", "uid", "deletionTimestamp"))
