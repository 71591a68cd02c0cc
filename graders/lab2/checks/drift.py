"""What the engine puts back, tells of, takes away, and catches up with."""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from graders.admission.denials import refused
from graders.evidence.bundle import Bundle
from graders.evidence.records import Mark
from graders.faults import InfraFault
from graders.judging import Facts, Findings, check
from graders.kube.pointers import at_pointer, holds
from graders.kube.workloads import digest_in
from graders.lab2.names import DRIFT as TRACK
from graders.lab2.names import ENGINE, ENVIRONMENTS, HUB, NAMESPACE, OUTAGE, PRUNE, WEB
from graders.lab2.reading import FleetRecord, engine_writes, policy_kinds, told
from graders.model import Capability

_LEEWAY_S = 30.0


@check("drift", tracks=(TRACK,), hint="Switch self-heal on, and ignore no field.")
def check_drift(bundle: Bundle, facts: Facts) -> None:
    """What somebody changes of what Git declares is back within drift, by the engine's hand."""
    record = FleetRecord(bundle, TRACK)
    slowest = 0.0
    with Findings() as found:
        drifted, kept = _drifted(record)
        for mark in kept:
            found.miss(
                f"answer {mark.data['code']} {str(mark.data['message'])[:200]}",
                f"{_what(mark)} changed by an administrator, to come back",
                hint="No policy may stand in the way of lab-drift, who is an administrator of the cluster.",
            )
        facts["changes"] = len(drifted)
        for mark in drifted:
            what, environment = _what(mark), str(mark.data["environment"])
            back = _back_at(record, mark)
            limit_s = record.limits.drift_s
            if back is None or back - mark.t > limit_s:
                # What is as before only since we put it back ourselves never was.
                given_up = min(
                    (each.t for each in record.all("undone") if each.t >= mark.t), default=math.inf
                )
                if back is None or back >= given_up:
                    seen = "it never was"
                else:
                    seen = f"it took {back - mark.t:.1f} s"
                found.miss(seen, f"{what} as Git says within {limit_s:.0f} s")
                continue
            slowest = max(slowest, back - mark.t)
            wrote = [
                event
                for event in engine_writes(bundle, environment, mark.t, back + 1.0)
                if (event.resource, event.name) == (mark.data["resource"], mark.data["object"])
            ]
            found.expect(wrote, f"{what} put back by {ENGINE}", f"{ENGINE} did not write it")
        for environment in ENVIRONMENTS:
            seen_there = record.seen(environment, "deployments", NAMESPACE)
            digests = {
                digest_in(each.object, WEB)
                for each in seen_there
                if each.name == WEB and record.marks[0].t <= each.t <= record.marks[-1].t
            }
            found.expect(len(digests) <= 1, f"{environment}: no other digest", f"there were {len(digests)}")
    facts["slowest_s"] = round(slowest, 1)


@check("drift-detected", tracks=(TRACK,))
def check_drift_detected(bundle: Bundle, facts: Facts) -> None:
    """Within drift something on the hub names the kind and the name of what was changed."""
    record = FleetRecord(bundle, TRACK)
    targets = _targets(bundle)
    with Findings(
        hint="Watch the spokes' objects: a comparison that ignores a field tells nothing."
    ) as found:
        drifted, _ = _drifted(record)
        found.expect(drifted, "something of what Git declares changed", "no change was let in")
        for mark in drifted:
            until = mark.t + record.limits.drift_s
            told_of = any(tells_of(each, mark.data, targets) for each in _hub_objects(bundle, mark.t, until))
            found.expect(told_of, f"a word on the hub about {_what(mark)}", "there was none")
    facts["changes"] = len(drifted)


@check("prune", tracks=(PRUNE,), hint="Switch pruning on; label nothing by hand.")
def check_prune(bundle: Bundle, facts: Facts) -> None:
    """What is committed comes and what is removed goes, each within promote; all else keeps its UID."""
    record = FleetRecord(bundle, PRUNE)
    added, there = record.need("added"), record.need("there")
    removed, gone = record.need("removed"), record.need("gone")
    facts["came_after_s"], facts["went_after_s"] = round(there.t - added.t, 1), round(gone.t - removed.t, 1)
    limit_s = record.limits.promote_s
    with Findings() as found:
        for first, last, word in ((added, there, "there"), (removed, gone, "gone")):
            took_s = last.t - first.t
            found.expect(
                took_s <= limit_s, f"the extras {word} within {limit_s:.0f} s", f"it took {took_s:.1f} s"
            )
        end = record.all("end")[-1].t if record.all("end") else gone.t
        before_removal = record.mark("before-removal").t
        for environment in ENVIRONMENTS:
            for resource, namespace in (*_KEPT, *((each, "") for each in policy_kinds(bundle))):
                before = record.at(environment, resource, namespace, before_removal)
                after = record.at(environment, resource, namespace, end)
                for name, item in before.items():
                    if name == removed.data["object"] or not _of_the_engine(
                        bundle, environment, resource, name
                    ):
                        continue
                    same = name in after and after[name]["metadata"]["uid"] == item["metadata"]["uid"]
                    found.expect(
                        same, f"{resource} {name} in {environment} untouched", "it is another, or gone"
                    )
            for event in engine_writes(bundle, environment, before_removal, end):
                watched = (event.resource, event.namespace) in _KEPT
                if event.verb == "delete" and event.name != removed.data["object"] and not watched:
                    found.miss(told(event), f"{event.resource} {event.name} in {environment} untouched")


_KEPT = (
    ("deployments", NAMESPACE), ("services", NAMESPACE), ("configmaps", NAMESPACE),
    ("serviceaccounts", NAMESPACE), ("networkpolicies", NAMESPACE), ("poddisruptionbudgets", NAMESPACE),
    ("priorityclasses", ""),
)  # fmt: skip


@check("engine-loss", tracks=(OUTAGE,), needs=(Capability.ETCD_ACCESS,))
def check_engine_loss(bundle: Bundle, facts: Facts) -> None:
    """A spoke that was away and an engine that lost all it kept are caught up with; nothing is skipped."""
    record = FleetRecord(bundle, OUTAGE)
    release = record.released("v7")
    digest, since = str(release.data["digest"]), release.t
    record.need("dev-ready")
    # Whoever is quick has written before it is on record that the API server answers again.
    back = record.need("back").t
    returning = record.all("returning")[0].t if record.all("returning") else back
    with Findings(hint="Retry without end; keep what you know in Git and in the clusters alone.") as found:
        for event in engine_writes(bundle, ENVIRONMENTS[-1], since, returning):
            # A policy that names what is released may reach all environments at once, as other changes may.
            if event.namespace == NAMESPACE:
                found.miss(told(event), f"nothing written in {NAMESPACE} of prod while staging is away")
        applied = record.applied("staging", digest, since)
        limit_s = record.limits.sync_s + _LEEWAY_S * record.limits.scale
        seen = f"it took {applied - back:.1f} s" if applied is not None else "it never was"
        in_time = applied is not None and applied - back <= limit_s
        found.expect(in_time, f"v7 in staging within {limit_s:.0f} s of its return", seen)
        if applied is not None:
            facts["staging_after_s"] = round(max(0.0, applied - back), 1)
            started = record.need("engine-started").t
            ready = record.ready(ENVIRONMENTS[-1], digest, since)
            limit_s = record.limits.promote_s + _LEEWAY_S * record.limits.scale
            seen = f"it took {ready - started:.1f} s" if ready else "it never was"
            in_time = ready is not None and ready - started <= limit_s
            found.expect(in_time, f"v7 ready in prod within {limit_s:.0f} s of the engine's start", seen)
        for environment in ENVIRONMENTS:
            made = record.replica_sets(environment, digest, since, float("inf"))
            found.expect(len(made) <= 1, f"one ReplicaSet for v7 in {environment}", f"there are {len(made)}")


def _drifted(record: FleetRecord) -> tuple[list[Mark], list[Mark]]:
    """What was changed, and what was not because the fleet's own policies refuse it, or it is not there."""
    record.need("drifted")
    changed, kept = list[Mark](), list[Mark]()
    for mark in record.all("drifted"):
        code, message = int(mark.data["code"]), str(mark.data["message"])
        if 200 <= code < 300:
            changed.append(mark)
        elif refused(code, message):
            kept.append(mark)
        else:
            raise InfraFault(f"{_what(mark)} could not be changed: {message}")
    return changed, kept


def _what(mark: Mark) -> str:
    data = mark.data
    place = ".".join(map(str, data["pointer"][-2:])) or "itself"
    return f"{data['kind']} {data['object']} ({place}) in {data['environment']}"


def _back_at(record: FleetRecord, mark: Mark) -> float | None:
    """When the object was as before, after it was not."""
    data, changed = mark.data, False
    pointer = tuple(data["pointer"])
    for event in record.seen(str(data["environment"]), str(data["resource"]), str(data["namespace"])):
        # The watch may have told of the change before the answer to it was there.
        if event.t < mark.t - _BEFORE_S or event.name != data["object"]:
            continue
        gone = event.type == "DELETED"
        good = not gone and (not pointer or holds(at_pointer(event.object, pointer), data["good"]))
        if good and changed:
            return event.t
        changed = changed or not good
    return None


_BEFORE_S = 2.0


def _hub_objects(bundle: Bundle, since: float, until: float) -> Iterator[Mapping[str, Any]]:
    for event in bundle.on(HUB).watch_events:
        if since <= event.t <= until and event.type != "DELETED":
            yield event.object


def _targets(bundle: Bundle) -> dict[str, str]:
    """The environment that each Kustomization of the hub is for, by its name."""
    found = {}
    for event in bundle.on(HUB).watch_events:
        if event.resource == "kustomizations":
            reference = at_pointer(event.object, ("spec", "kubeConfig", "secretRef", "name"))
            found[event.name] = str(reference or "").removesuffix("-kubeconfig")
    return found


_OF_HEALTH = "Updated health status"
"""So Argo CD's Events begin that say how an Application fares, and because of which object."""


def tells_of(item: Mapping[str, Any], drifted: Mapping[str, Any], targets: Mapping[str, str]) -> bool:
    """Whether an Event names kind and name of what drifted, or an Application says it is out of sync.

    An Event about a Kustomization tells of the environment that this one is for, and of no other. That
    something is unwell is no word about what was changed: a comparison that ignores a field says so, too.
    """
    kind, name, environment = (str(drifted[key]) for key in ("kind", "object", "environment"))
    if item.get("kind") == "Event" or "involvedObject" in item:
        about = item.get("involvedObject") or {}
        if about.get("kind") == "Kustomization" and targets.get(str(about.get("name"))) != environment:
            return False
        lines = str(item.get("message", "")).splitlines()
        lines = [each for each in lines if not each.startswith(_OF_HEALTH)]
        return any({kind, name} <= set(re.split(r"[^A-Za-z0-9.-]+", line)) for line in lines)
    destination = ((item.get("spec") or {}).get("destination") or {}).get("name", "")
    resources = (item.get("status") or {}).get("resources") or ()
    return destination == environment and any(
        (each.get("kind"), each.get("name"), each.get("status")) == (kind, name, "OutOfSync")
        for each in resources
    )


def _of_the_engine(bundle: Bundle, environment: str, resource: str, name: str) -> bool:
    places = bundle.on(environment).audit
    return any(e.user == ENGINE and e.ok and (e.resource, e.name) == (resource, name) for e in places)
