"""Reading a record: what happened on one track, object by object and request by request; pure."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from graders.evidence.bundle import Bundle, Records
from graders.evidence.records import NAMESPACE, AuditEvent, Mark, Object, Request, WatchEvent
from graders.faults import InfraFault
from graders.model import Role

_HOUSE = frozenset({Role.GRADER, Role.CONTROL_PLANE, Role.NODE})


@dataclass(frozen=True)
class ObjectHistory:
    """One object from its first sighting to its last; `gone` is None while it lived at the end."""

    name: str
    uid: str
    seen: tuple[WatchEvent, ...]
    gone: float | None

    @property
    def first(self) -> Object:
        """The object as it was first seen."""
        return self.seen[0].object

    @property
    def last(self) -> Object:
        """The object as it was last seen."""
        return self.seen[-1].object

    def at(self, t: float) -> Object | None:
        """The object as it was at time `t`; None before its creation and after its end."""
        if self.gone is not None and t >= self.gone:
            return None
        states = [s.object for s in self.seen if s.t <= t and s.type != "DELETED"]
        return states[-1] if states else None


class TrackRecord:
    """What is on record of one track. `records` are those of the cluster that the track is on."""

    def __init__(self, bundle: Bundle, track: str) -> None:
        self.bundle = bundle
        self.track = track
        self.marks = bundle.marks_by_track.get(track, ())
        named = [mark.data for mark in self.marks if mark.name == NAMESPACE]
        self.spaces: Mapping[str, str] = {str(data.get("part", "")): str(data["namespace"]) for data in named}
        cluster = next((str(data["cluster"]) for data in named if data.get("cluster")), "")
        self.records: Records = bundle.on(cluster) if cluster else bundle
        self._histories: dict[tuple[str, str], list[ObjectHistory]] = {}

    @property
    def namespace(self) -> str:
        """The track's own namespace.

        Raises:
            InfraFault: the record does not say which.
        """
        if "" not in self.spaces:
            raise InfraFault(f"the record of track {self.track} has no mark 'namespace'")
        return self.spaces[""]

    def mark(self, name: str, nth: int = 0) -> Mark:
        """The n-th mark of that name.

        Raises:
            InfraFault: it is not there, though the track did not miss anything.
        """
        found = self.all(name)
        if len(found) <= nth:
            raise InfraFault(f"the record of track {self.track} has no mark {name!r}")
        return found[nth]

    def all(self, name: str) -> list[Mark]:
        """All marks of that name."""
        return [mark for mark in self.marks if mark.name == name]

    def histories(self, resource: str, namespace: str | None = None) -> list[ObjectHistory]:
        """Every object of a resource that ever was in the namespace, in order of appearance."""
        place = (resource, namespace or self.namespace)
        if place not in self._histories:
            end = self.end_of(place[1])
            objects = self.records.sightings_by_place.get(place, {})
            cut = {uid: tuple(event for event in seen if event.t < end) for uid, seen in objects.items()}
            self._histories[place] = [
                ObjectHistory(
                    name=seen[0].name,
                    uid=uid,
                    seen=seen,
                    gone=seen[-1].t if seen[-1].type == "DELETED" else None,
                )
                for uid, seen in cut.items()
                if seen
            ]
        return list(self._histories[place])

    def audit_in(self, namespace: str) -> list[AuditEvent]:
        """All requests in one namespace, until that was cleared."""
        end = self.end_of(namespace)
        return [event for event in self.records.audit_by_namespace.get(namespace, ()) if event.t < end]

    def audit_of(self, resource: str, namespace: str) -> list[AuditEvent]:
        """All requests for one resource in one namespace, until that was cleared."""
        end = self.end_of(namespace)
        return [
            event for event in self.records.audit_by_place.get((resource, namespace), ()) if event.t < end
        ]

    def writes(self, resource: str, verb: str, namespace: str | None = None) -> list[AuditEvent]:
        """Accepted writes by anybody but the grader, kubelets and the control plane.

        `verb` is the effective one: an apply that makes its object is a `create`.
        """
        return [
            event
            for event in self.audit_of(resource, namespace or self.namespace)
            if event.is_write
            and event.did == verb
            and event.ok
            and not event.subresource
            and not of_the_house(self.bundle, event.user)
        ]

    def request(self, name: str) -> Request:
        """The grader's own request of that name.

        Raises:
            InfraFault: it was never sent.
        """
        for found in self.bundle.requests:
            if (found.track, found.name) == (self.track, name):
                return found
        raise InfraFault(f"the record of track {self.track} has no request {name!r}")

    def end_of(self, namespace: str) -> float:
        """When what was in a namespace was taken away, its track being over: what is later tells nothing."""
        return self.bundle.cleared.get(namespace, math.inf)


def of_the_house(bundle: Bundle, user: str) -> bool:
    """Whether a user is the grader, a kubelet, simulated or not, or part of the control plane."""
    return bundle.manifest.role(user) in _HOUSE
