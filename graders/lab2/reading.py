"""Reading a fleet's record: who stored which digest where and when, and when it was ready; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from graders.evidence.bundle import Bundle
from graders.evidence.records import AuditEvent, Mark, WatchEvent
from graders.evidence.timeline import TrackRecord
from graders.faults import InfraFault, Unmet
from graders.lab2.commandruns import told_of_runs
from graders.lab2.deployments import digest_in, is_ready
from graders.lab2.names import ENGINE, NAMESPACE, SERVING, WEB
from graders.lab2.policykinds import kinds_of

QUIET_RESOURCES = frozenset({"events", "leases"})


@dataclass(frozen=True)
class ScaledPromises:
    """The learner's promises in seconds, stretched by how slow the machine was."""

    scale: float
    sync_s: float
    drift_s: float
    promote_s: float
    timeout_s: float


def limits(bundle: Bundle) -> ScaledPromises:
    """What was promised, as it is to be judged.

    Raises:
        InfraFault: the record does not say.
    """
    block, scale = bundle.manifest.block, bundle.manifest.calibration.scale
    try:
        return ScaledPromises(
            scale,
            *(float(block[name]) * scale for name in ("sync_s", "drift_s", "promote_s", "timeout_s")),
        )
    except KeyError as missing:
        raise InfraFault(f"the record has no promise {missing}") from missing


def policy_kinds(bundle: Bundle) -> dict[str, str]:
    """The kinds that policies of this run may be of, by the resource that the grader's watches followed."""
    recorded = bundle.manifest.block.get("policyKinds")
    if not isinstance(recorded, Mapping):
        # Records from before there were others than the API server's own.
        return {each.resource: each.kind for each in kinds_of(())}
    return {str(resource): str(kind) for resource, kind in recorded.items()}


class FleetRecord(TrackRecord):
    """What is on record of one story about the whole fleet."""

    def __init__(self, bundle: Bundle, track: str) -> None:
        super().__init__(bundle, track)
        self.limits = limits(bundle)

    def need(self, name: str, nth: int = 0, hint: str = "") -> Mark:
        """The mark, or the failure that it never came to it: what the story waited for in vain.

        Raises:
            Unmet: the story missed something before. InfraFault: it did not, and the mark is not there.
        """
        found = self.all(name)
        if len(found) > nth:
            return found[nth]
        for missed in self.all("missed"):
            data = missed.data
            within = f" within {data['within_s']} s" if "within_s" in data else ""
            said = told_of_runs(self.bundle, self.marks[0].t, missed.t)
            blocked_by = "installs" if data["waiting_for"] == SERVING and name != "installed" else ""
            expected = f"{data['waiting_for']}{within}"
            raise Unmet(expected, str(data["seen"]), hint=said or hint, blocked_by=blocked_by)
        raise InfraFault(f"the record of track {self.track} has no mark {name!r}")

    def hint(self, since: float, otherwise: str = "") -> str:
        """What to look at: a promotion command that fails, before anything else."""
        return told_of_runs(self.bundle, since, max(mark.t for mark in self.marks)) or otherwise

    def released(self, version: str) -> Mark:
        """The mark of a release; raises as `need`."""
        for mark in self.all("released"):
            if mark.data["version"] == version:
                return mark
        return self.need(f"released {version}")

    def applies(self, environment: str, since: float, until: float = float("inf")) -> list[Stored]:
        """Each time the engine stored Deployment web of an environment, by when it was answered."""
        return [
            Stored(event.t, event.t_end, digest_in(event.response))
            for event in engine_writes(self.bundle, environment, since, until)
            if (event.resource, event.namespace, event.name, event.subresource)
            == ("deployments", NAMESPACE, WEB, "")
            and event.verb not in ("delete", "deletecollection")
        ]

    def applied(self, environment: str, digest: str, since: float) -> float | None:
        """When the engine first stored a digest."""
        found = (each.t_end for each in self.applies(environment, since) if each.digest == digest)
        return next(found, None)

    def ready(self, environment: str, digest: str, since: float) -> float | None:
        """When web was first ready at a digest, by the status that its controller wrote."""
        places = self.bundle.on(environment).audit_by_place.get(("deployments", NAMESPACE), ())
        for event in places:
            if (
                event.t >= since
                and event.subresource == "status"
                and event.ok
                and event.name == WEB
                and isinstance(event.response, Mapping)
                and digest_in(event.response) == digest
                and is_ready(event.response)
            ):
                return event.t
        return None

    def replica_sets(self, environment: str, digest: str, since: float, until: float) -> set[str]:
        """UIDs of the ReplicaSets of web for a digest that came within a time."""
        return {
            event.uid
            for event in self.seen(environment, "replicasets", NAMESPACE)
            if since <= event.t <= until
            and event.type == "ADDED"
            and digest_in(event.object) == digest
            and any(
                owner.get("name") == WEB for owner in event.object["metadata"].get("ownerReferences") or ()
            )
        }

    def seen(self, environment: str, resource: str, namespace: str) -> tuple[WatchEvent, ...]:
        """What the grader's watches saw of a resource there."""
        return tuple(self.bundle.on(environment).watch_events_by_place.get((resource, namespace), ()))

    def at(self, environment: str, resource: str, namespace: str, t: float) -> dict[str, Mapping[str, Any]]:
        """The objects of a namespace as they were at a time, by name."""
        there: dict[str, Mapping[str, Any]] = {}
        for event in self.seen(environment, resource, namespace):
            if event.t > t:
                break
            if event.type == "DELETED":
                there.pop(event.name, None)
            else:
                there[event.name] = event.object
        return there


@dataclass(frozen=True)
class Stored:
    """One accepted write of Deployment web: when it was asked and answered, and for which digest."""

    t: float
    t_end: float
    digest: str


def engine_writes(
    bundle: Bundle, environment: str, since: float, until: float = float("inf")
) -> Iterator[AuditEvent]:
    """Accepted writes of the engine to a spoke, in the order of time; no events, no leases, no statuses."""
    for event in bundle.on(environment).audit:
        if (
            event.user == ENGINE
            and event.is_write
            and event.ok
            and since <= event.t <= until
            and event.resource not in QUIET_RESOURCES
            and event.subresource != "status"
        ):
            yield event


def changes(bundle: Bundle, environment: str, since: float, until: float) -> list[AuditEvent]:
    """Those of the engine's writes that changed something: the object has another resourceVersion then."""
    versions = _versions(bundle, environment)
    found = []
    for event in engine_writes(bundle, environment, since, until):
        after = version_of(event.response)
        known = versions.get((event.resource, event.namespace, event.name), [])
        before = next((version for t, version in reversed(known) if t < event.t), "")
        if event.verb in ("delete", "deletecollection") or not after or after != before:
            found.append(event)
    return found


def version_of(item: Any) -> str:
    """The resourceVersion of an object; empty where there is none."""
    metadata = item.get("metadata") if isinstance(item, Mapping) else None
    return str((metadata or {}).get("resourceVersion", ""))


def _versions(bundle: Bundle, environment: str) -> dict[tuple[str, str, str], list[tuple[float, str]]]:
    view = bundle.on(environment)
    found: dict[tuple[str, str, str], list[tuple[float, str]]] = {}
    for seen in view.watch_events:
        place = (seen.resource, seen.namespace, seen.name)
        found.setdefault(place, []).append((seen.t, version_of(seen.object)))
    for event in view.audit:
        if event.user == ENGINE and event.ok and version_of(event.response):
            place = (event.resource, event.namespace, event.name)
            found.setdefault(place, []).append((event.t_end, version_of(event.response)))
    for known in found.values():
        known.sort()
    return found


def told(event: AuditEvent) -> str:
    """A write in words."""
    where = f"{event.namespace}/" if event.namespace else ""
    return f"{event.verb} {event.resource} {where}{event.name} by {event.user} on {event.cluster}"
