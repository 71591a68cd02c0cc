"""Nothing written without need, and children that depend on the spec alone."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from graders.evidence.bundle import Bundle
from graders.evidence.records import AuditEvent, Mark, Object
from graders.evidence.timeline import of_the_house
from graders.faults import InfraFault
from graders.judging import Facts, Findings, check
from graders.lab1.api import PLURAL, is_terminating
from graders.lab1.trackrecord import JobsRecord, member, track_record
from graders.lab1.walk import TEMPLATE_ENV
from graders.model import Capability

MOST_AT_REST = 1
MOST_AFTER_POKE = 2
NOT_COUNTED = ("events", "leases")

COMPARED_ENV = ("PET_NODE_RANK", "PET_MASTER_ADDR", "PET_MASTER_PORT", *TEMPLATE_ENV)
"""Variables of a pod that survived a change of size; its others may tell of the old size."""
GIVEN_BY_SERVER = ("nodeName", "clusterIP", "clusterIPs", "healthCheckNodePort", "nodePort")
GIVEN_BY_NODE = "topology.kubernetes.io/"
"""Labels that the API server copies to a pod from the node it is bound to."""
TOKEN_VOLUME = "kube-api-access-"  # noqa: S105  (a prefix of names)
MOST_SHOWN = 120


@check("quiet", tracks=("quiet",), hint="Compare with what is there, and write only what differs.")
def check_quiet(bundle: Bundle, facts: Facts) -> None:
    """Over settled jobs the operator writes nothing, and next to nothing after a mere annotation."""
    story = track_record(bundle, "quiet")
    watching, poke, end = (story.mark(name).t for name in ("watching", "poke", "end"))
    at_rest, after = _mutating(story, watching, poke), _mutating(story, poke, end)
    facts["writes_at_rest"] = len(at_rest)
    facts["writes_after_poke"] = len(after)
    facts["watched_s"] = round(poke - watching, 1)
    if len(at_rest) > MOST_AT_REST and (stir := _stirred(story, watching, at_rest[0].t)):
        raise InfraFault(f"the jobs were not left alone: {stir}")
    with Findings() as found:
        found.expect(
            len(at_rest) <= MOST_AT_REST,
            f"at most {MOST_AT_REST} write in {poke - watching:.0f} s over settled jobs",
            f"{len(at_rest)} writes: {_summary(at_rest)}",
        )
        found.expect(
            len(after) <= MOST_AFTER_POKE,
            f"at most {MOST_AFTER_POKE} writes after an annotation on a settled job",
            f"{len(after)} writes: {_summary(after)}",
            "An annotation changes nothing that your operator is responsible for.",
        )


def _mutating(story: JobsRecord, since: float, until: float) -> list[AuditEvent]:
    """Requests of the operator that could have changed something, refused ones too."""
    return sorted(
        (
            event
            for event in story.audit_in(story.namespace)
            if event.is_write
            and event.resource not in NOT_COUNTED
            and since <= event.t < until
            and not of_the_house(story.bundle, event.user)
        ),
        key=lambda event: event.t,
    )


def _stirred(story: JobsRecord, since: float, first: float) -> str:
    """What somebody else changed at the jobs or pods before the operator's first write; empty if nothing.

    Only where the operator had come to rest: otherwise it may have set that off itself.
    """
    if story.all("restless"):
        return ""
    if Capability.AUDIT_LOG not in story.bundle.manifest.capabilities:
        # Who it was is not on record there, but the operator it was not.
        for sighting in story.records.watch_events:
            mine = sighting.namespace == story.namespace and sighting.resource in ("pods", PLURAL)
            if mine and since <= sighting.t < first:
                return f"somebody: {sighting.type} {sighting.resource} {sighting.name} at {sighting.t:.1f} s"
    for event in story.audit_in(story.namespace):
        if (
            event.resource in ("pods", PLURAL)
            and since <= event.t < first
            and event.ok
            and event.is_write
            and of_the_house(story.bundle, event.user)
        ):
            return f"{event.user}: {event.verb} {event.resource} {event.name} at {event.t:.1f} s"
    return ""


def _summary(writes: list[AuditEvent]) -> str:
    kinds = Counter(
        f"{event.verb} {'/'.join(filter(None, (event.resource, event.name, event.subresource)))}"
        for event in writes
    )
    return ", ".join(f"{count} × {kind}" for kind, count in kinds.most_common(4))


@check(
    "random-walk",
    tracks=("random-walk",),
    hint="Compute the children from the spec as it is now; let nothing of an earlier spec decide.",
)
def check_random_walk(bundle: Bundle, facts: Facts) -> None:
    """However its spec came about, a job has the children of a fresh job with that spec."""
    story = track_record(bundle, "random-walk")
    end = story.mark("end").t
    walks = story.all("walk")
    facts["steps"] = len(story.all("step"))
    with Findings() as found:
        for walk in walks:
            name = str(walk.data["job"])
            facts[f"seed_{name}"] = walk.data["seed"]
            resized = _last_resize(story, name) + bundle.manifest.calibration.scale
            children = [
                _children(story, name, space, end, resized)
                for space in (story.namespace, story.spaces["fresh"], story.spaces["again"])
            ]
            facts[f"children_{name}"] = len(children[0])
            _expect_same(found, name, *children)
    if not walks:
        raise InfraFault("the record of track random-walk has no mark 'walk'")


def _last_resize(story: JobsRecord, name: str) -> float:
    """When the number of nodes changed last; a pod is made by what its job was a moment before."""
    steps: list[Mark] = [mark for mark in story.all("step") if mark.data["job"] == name]
    resized = [mark.t for mark in steps if "trainer" in mark.data["spec"]]
    return max(resized, default=0.0)


@dataclass(frozen=True)
class _Child:
    """A pod or a Service, field by field; a `survivor` is older than the job's last change of size."""

    fields: Mapping[str, Any]
    survivor: bool


Children = Mapping[str, _Child]


def _expect_same(found: Findings, name: str, walked: Children, fresh: Children, again: Children) -> None:
    if not found.equal(f"children of {name}:", ", ".join(sorted(fresh)), ", ".join(sorted(walked))):
        return
    for label, child in walked.items():
        wanted, other = fresh[label].fields, again[label].fields if label in again else {}
        for path in sorted({*child.fields, *wanted}):
            have, expected = child.fields.get(path), wanted.get(path)
            # What differs between two fresh jobs has nothing to do with the way there.
            if have == expected or expected != other.get(path):
                continue
            if child.survivor and _variable(path) not in ("", *COMPARED_ENV):
                continue
            found.miss(
                f"{label} of {name} has {path} {_shown(have)}",
                f"{label}: {path} {_shown(expected)}, as in a fresh job",
            )


def _variable(path: str) -> str:
    """The environment variable a path leads into, or an empty string."""
    return path.rpartition("env[")[2].partition("]")[0] if ".env[" in path else ""


def _children(story: JobsRecord, job: str, space: str, end: float, resized: float) -> Children:
    """What the job's pods and Services say at the end, field by field, names of its own replaced."""
    uid = story.job(job, space).uid
    found: dict[str, _Child] = {}
    for kind, lives in (("Pod", story.pods(job, space)), ("Service", story.histories("services", space))):
        for life in lives:
            state = life.at(end)
            if state is None or is_terminating(state):
                continue
            own = _owned_or_named(state, uid, job)
            if kind == "Pod" or own:
                fields = {path: _anonymous(leaf, space, uid) for path, leaf in _flat("", _shape(state))}
                survivor = space == story.namespace and life.seen[0].t < resized
                name = f"{kind} {member(state, life.name) if kind == 'Pod' else life.name}"
                while name in found:
                    name += ", one more"
                found[name] = _Child(fields, survivor)
    return found


def _owned_or_named(state: Object, uid: str, job: str) -> bool:
    owners = state["metadata"].get("ownerReferences") or ()
    return state["metadata"]["name"] == job or any(owner.get("uid") == uid for owner in owners)


def _shape(state: Object) -> dict[str, Any]:
    """Labels, owners and spec, without what the API server and the scheduler put in."""
    metadata = state["metadata"]
    owners = [
        {"kind": o.get("kind"), "name": o.get("name"), "controller": o.get("controller")}
        for o in metadata.get("ownerReferences") or ()
    ]
    labels = {
        key: value
        for key, value in (metadata.get("labels") or {}).items()
        if not key.startswith(GIVEN_BY_NODE)
    }
    return {"labels": labels, "owners": owners, "spec": state.get("spec") or {}}


def _flat(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Every leaf of a value with its path; items that have names go by them, for their order is no matter."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key not in GIVEN_BY_SERVER:
                yield from _flat(f"{path}.{key}" if path else str(key), item)
    elif isinstance(value, list):
        names = [item.get("name") if isinstance(item, Mapping) else None for item in value]
        named = all(isinstance(name, str) for name in names) and len(set(names)) == len(names)
        for number, item in enumerate(value):
            label = names[number] if named else number
            if not str(names[number]).startswith(TOKEN_VOLUME):
                yield from _flat(f"{path}[{label}]", item)
    else:
        yield path, value


def _anonymous(value: Any, space: str, uid: str) -> Any:
    if not isinstance(value, str):
        return value
    return value.replace(uid, "(uid)").replace(space, "(namespace)")


def _shown(value: Any) -> str:
    return "missing" if value is None else repr(value)[:MOST_SHOWN]
