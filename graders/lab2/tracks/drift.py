"""Somebody changes on the spokes what Git declares, a few things at a time, in all environments at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graders.kube.client import JSON_PATCH, Kube
from graders.kube.paths import resource_path
from graders.kube.pointers import at_pointer, holds, json_pointer
from graders.lab2.names import CACHE, DRIFTER, ENVIRONMENTS, NAMESPACE, WEB
from graders.lab2.policykinds import POLICY_KINDS, PolicyKind, loosenings, namespace_of
from graders.lab2.stage import FleetContext
from graders.polling import NotYet
from graders.scenario.fleet import LiveCluster

STRATEGIC = "application/strategic-merge-patch+json"
MERGE = "application/merge-patch+json"
ORDER = ("replicas", "service", "network", "enforce-label", "cpu-request", "policy")
"""One after the other: a sync puts back all that its Application declares, even what no comparison would see.

The two of one object are far apart, or a word on the hub about the first would do for the second.
"""
_TRACKED = ("argocd.argoproj.io/tracking-id", "kustomize.toolkit.fluxcd.io/name")
"""Where an engine says to which of its own objects another belongs: an annotation's beginning, or a label."""

ENFORCE = "pod-security.kubernetes.io/enforce"


@dataclass(frozen=True)
class DriftCase:
    """One change: to what object, at which place, by which patch; an empty patch deletes it."""

    name: str
    kind: str
    resource: str
    api: str
    object: str
    namespace: str
    pointer: tuple[str | int, ...] = ()
    patch: Any = None
    content_type: str = MERGE

    @property
    def path(self) -> str:
        """Where it is on an API server."""
        return resource_path(self.api, self.resource, namespace=self.namespace, name=self.object)


def drift(context: FleetContext) -> None:
    """Change, wait until all is as before, and change the next."""
    context.settle()
    drifters = {name: Kube(live.cluster.identities[DRIFTER]) for name, live in context.stage.spokes.items()}
    cases = _by_name(context)
    for names in _turns(context, cases):
        done = [
            each
            for name in names
            for environment, case in cases.get(name, {}).items()
            if (each := _change(context, drifters[environment], environment, case)) is not None
        ]
        if not done:
            continue

        def all_back(done: list[_Done] = done) -> None:
            for each in done:
                each.back()

        if not context.reached(f"{', '.join(names)} to be as Git says", all_back, context.promises.drift_s):
            context.mark("undone", cases=list(names))
            for each in done:
                each.undo()
    context.settle("the fleet to settle after drift")
    context.mark("end")


@dataclass(frozen=True)
class _Done:
    """A change that was made: how it was before, and the object as it was."""

    live: LiveCluster
    case: DriftCase
    kube: Kube
    good: Any
    before: Mapping[str, Any] | None

    def back(self) -> None:
        """Raise `NotYet` until it is as before; until the watch has told of the change, it shows what was."""
        item = _object(self.live, self.case)
        was = self.before["metadata"]["resourceVersion"] if self.before else ""
        same = item is not None and holds(_value(item, self.case), self.good)
        if item is None or item["metadata"]["resourceVersion"] == was or not same:
            raise NotYet(f"{self.case.kind} {self.case.object} in {self.live.name} is not as before")

    def undo(self) -> None:
        """Put it back ourselves, so that the next story is about its own subject."""
        case, item = self.case, _object(self.live, self.case)
        if item is None and self.before is not None:
            metadata = {key: self.before["metadata"].get(key) for key in ("name", "namespace", "labels")}
            spec = {k: v for k, v in self.before["spec"].items() if k not in ("clusterIP", "clusterIPs")}
            body = {"apiVersion": case.api, "kind": case.kind, "metadata": metadata, "spec": spec}
            self.kube.request("POST", case.path.rpartition("/")[0], body=body)
        elif item is not None and case.pointer and _value(item, case) != self.good:
            patch = [{"op": "replace", "path": json_pointer(case.pointer), "value": self.good}]
            self.kube.request("PATCH", case.path, body=patch, content_type=JSON_PATCH)


def _change(context: FleetContext, kube: Kube, environment: str, case: DriftCase) -> _Done | None:
    """Change it, and put on record what was answered; None where it is as it was."""
    live = context.stage.spokes[environment]
    before = _object(live, case)
    good = _value(before, case) if before is not None else None
    if case.patch is None:
        answer = kube.request("DELETE", case.path)
    else:
        one_more = case.name == "replicas" and isinstance(good, int)
        patch = {"spec": {"replicas": int(good or 0) + 1}} if one_more else case.patch
        answer = kube.request("PATCH", case.path, body=patch, content_type=case.content_type)
    context.mark(
        "drifted", case=case.name, environment=environment, kind=case.kind, resource=case.resource,
        namespace=case.namespace, object=case.object, pointer=list(case.pointer), good=good,
        code=answer.code, message=answer.message if not answer.ok else "",
    )  # fmt: skip
    return _Done(live, case, kube, good, before) if answer.ok else None


def _object(live: LiveCluster, case: DriftCase) -> Mapping[str, Any] | None:
    return live.watches.objects(case.resource, case.namespace).get(case.object)


def _value(item: Mapping[str, Any], case: DriftCase) -> Any:
    return at_pointer(item, case.pointer) if case.pointer else None


def _turns(context: FleetContext, cases: Mapping[str, Mapping[str, DriftCase]]) -> Sequence[tuple[str, ...]]:
    """One at a time; the last beside the first where other objects of the engine see to it everywhere."""
    first, *others, last = ORDER
    for environment, live in context.stage.spokes.items():
        both = [cases[name][environment] for name in (first, last) if environment in cases.get(name, {})]
        owners = {_owner(item) for case in both if (item := _object(live, case)) is not None}
        if len(owners) != 2 or "" in owners:
            return [(name,) for name in ORDER]
    return [(first, last), *((name,) for name in others)]


def _owner(item: Mapping[str, Any]) -> str:
    by_annotation, by_label = _TRACKED
    metadata = item["metadata"]
    noted = str((metadata.get("annotations") or {}).get(by_annotation, "")).partition(":")[0]
    return noted or str((metadata.get("labels") or {}).get(by_label, ""))


def _by_name(context: FleetContext) -> dict[str, dict[str, DriftCase]]:
    found: dict[str, dict[str, DriftCase]] = {}
    for environment in ENVIRONMENTS:
        for case in cases_of(_declared(context, environment), context.stage.kinds):
            found.setdefault(case.name, {})[environment] = case
    return found


def _declared(context: FleetContext, environment: str) -> list[Mapping[str, Any]]:
    """What Git declares for an environment, wherever it does."""
    stage, watches = context.stage, context.stage.spokes[environment].watches
    there = {
        kind: list(watches.objects(resource, namespace).values()) for kind, resource, namespace in _CHANGED
    }
    kept = [
        {"apiVersion": kind.api_version, **item, "kind": kind.kind}
        for kind in stage.kinds
        for item in watches.objects(kind.resource, NAMESPACE if kind.namespaced else "").values()
    ]
    names = {(str(item["kind"]), str(item["metadata"]["name"])) for item in kept}
    policies = [p for p in stage.declared["policies"] if (p.get("kind"), p["metadata"]["name"]) in names]
    return [*declared_or_there(stage.declared[environment], there), *(policies or kept)]


_CHANGED = (
    ("Namespace", "namespaces", ""), ("Deployment", "deployments", NAMESPACE),
    ("Service", "services", NAMESPACE), ("NetworkPolicy", "networkpolicies", NAMESPACE),
)  # fmt: skip


def declared_or_there(
    rendered: Sequence[Mapping[str, Any]], there: Mapping[str, Sequence[Mapping[str, Any]]]
) -> Iterator[Mapping[str, Any]]:
    """What an environment renders to; of what it leaves to the engine's own objects, what there is of a kind.

    A chart may render only with the values of its Application, its objects may be called after the release
    that the Application makes of it, and an Application may label the namespace.
    """
    names = {kind: {str(item["metadata"]["name"]) for item in items} for kind, items in there.items()}
    rendered = [
        item
        for item in rendered
        if str(item.get("kind")) not in names or item["metadata"]["name"] in names[str(item["kind"])]
    ]
    yield from rendered
    kinds = {str(item.get("kind")) for item in rendered}
    labelled = any(item.get("kind") == "Namespace" and ENFORCE in _labels(item) for item in rendered)
    for kind, items in there.items():
        for item in items:
            if kind not in kinds or (kind == "Namespace" and not labelled and ENFORCE in _labels(item)):
                yield {**item, "kind": kind}


def _labels(item: Mapping[str, Any]) -> Mapping[str, Any]:
    return item["metadata"].get("labels") or {}


def cases_of(
    declared: Sequence[Mapping[str, Any]], kinds: Sequence[PolicyKind] = POLICY_KINDS
) -> list[DriftCase]:
    """What can be changed of what Git declares, policies of `kinds` among it."""
    objects = {(str(o.get("kind")), str(o["metadata"]["name"])): o for o in declared}
    cases = []
    web = objects.get(("Deployment", WEB))
    if web is not None:
        replicas = at_pointer(web, ("spec", "replicas"))
        if isinstance(replicas, int):
            cases.append(_deployment("replicas", ("spec", "replicas"), {"spec": {"replicas": replicas + 1}}))
        containers = at_pointer(web, ("spec", "template", "spec", "containers")) or []
        for at, each in enumerate(containers):
            if at_pointer(each, ("resources", "requests", "cpu")) is not None:
                place = ("spec", "template", "spec", "containers", at, "resources", "requests", "cpu")
                one = {"name": each["name"], "resources": {"requests": {"cpu": "77m"}}}
                body = {"spec": {"template": {"spec": {"containers": [one]}}}}
                cases.append(_deployment("cpu-request", place, body, STRATEGIC))
                break
    if ("Service", CACHE) in objects:
        cases.append(DriftCase("service", "Service", "services", "v1", CACHE, NAMESPACE))
    cases += _network_case(declared)
    label = ("metadata", "labels", ENFORCE)
    if at_pointer(objects.get(("Namespace", NAMESPACE)), label) is not None:
        labelled = {"metadata": {"labels": {ENFORCE: "privileged"}}}
        cases.append(
            DriftCase("enforce-label", "Namespace", "namespaces", "v1", NAMESPACE, "", label, labelled)
        )
    cases += _policy_case(declared, kinds)
    return cases


def _deployment(name: str, pointer: tuple[str | int, ...], body: Any, content_type: str = MERGE) -> DriftCase:
    return DriftCase(
        name, "Deployment", "deployments", "apps/v1", WEB, NAMESPACE, pointer, body, content_type
    )  # fmt: skip


def _network_case(declared: Sequence[Mapping[str, Any]]) -> list[DriftCase]:
    for each in declared:
        if each.get("kind") == "NetworkPolicy" and at_pointer(each, ("spec", "ingress")):
            return [
                DriftCase(
                    "network", "NetworkPolicy", "networkpolicies", "networking.k8s.io/v1",
                    each["metadata"]["name"], NAMESPACE, ("spec", "ingress"), {"spec": {"ingress": [{}]}},
                )
            ]  # fmt: skip
    return []


def _policy_case(declared: Sequence[Mapping[str, Any]], kinds: Sequence[PolicyKind]) -> list[DriftCase]:
    for kind, item, pointer in loosenings(declared, kinds):
        patch = [{"op": "replace", "path": json_pointer(pointer), "value": kind.loose}]
        return [
            DriftCase(
                "policy", kind.kind, kind.resource, kind.api_version, item["metadata"]["name"],
                namespace_of(item, kind), pointer, patch, JSON_PATCH,
            )
        ]  # fmt: skip
    return []
