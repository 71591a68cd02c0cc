"""Somebody changes on the spokes what Git declares, a few things at a time, in all environments at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graders.kube.client import JSON_PATCH, Kube
from graders.kube.pointers import at_pointer, holds, json_pointer
from graders.lab2.context import FleetContext
from graders.lab2.driftcases import DriftCase, cases_of, declared_or_there
from graders.lab2.names import DRIFTER, ENVIRONMENTS, NAMESPACE
from graders.polling import NotYet
from graders.scenario.fleet import LiveCluster

ORDER = ("replicas", "service", "network", "enforce-label", "cpu-request", "policy")
"""One after the other: a sync puts back all that its Application declares, even what no comparison would see.

The two of one object are far apart, or a word on the hub about the first would do for the second.
"""
_TRACKED = ("argocd.argoproj.io/tracking-id", "kustomize.toolkit.fluxcd.io/name")
"""Where an engine says to which of its own objects another belongs: an annotation's beginning, or a label."""


def drift(context: FleetContext) -> None:
    """Change, wait until all is as before, and change the next."""
    context.settle()
    drifters = {name: Kube(live.cluster.identities[DRIFTER]) for name, live in context.fleet.spokes.items()}
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
        """Put it back ourselves, so that the next track is about its own subject."""
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
    live = context.fleet.spokes[environment]
    before = _object(live, case)
    good = _value(before, case) if before is not None else None
    if case.patch is None:
        answer = kube.request("DELETE", case.path)
    else:
        body = case.patch(good)
        answer = kube.request("PATCH", case.path, body=body, content_type=case.content_type)
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
    for environment, live in context.fleet.spokes.items():
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
    for nth, environment in enumerate(ENVIRONMENTS):
        for case in cases_of(_declared(context, environment), context.fleet.kinds, nth):
            found.setdefault(case.name, {})[environment] = case
    return found


def _declared(context: FleetContext, environment: str) -> list[Mapping[str, Any]]:
    """What Git declares for an environment, wherever it does."""
    fleet, watches = context.fleet, context.fleet.spokes[environment].watches
    there = {
        kind: list(watches.objects(resource, namespace).values()) for kind, resource, namespace in _CHANGED
    }
    kept = [
        {"apiVersion": kind.api_version, **item, "kind": kind.kind}
        for kind in fleet.kinds
        for item in watches.objects(kind.resource, NAMESPACE if kind.namespaced else "").values()
    ]
    names = {(str(item["kind"]), str(item["metadata"]["name"])) for item in kept}
    policies = [p for p in fleet.declared["policies"] if (p.get("kind"), p["metadata"]["name"]) in names]
    return [*declared_or_there(fleet.declared[environment], there), *(policies or kept)]


_CHANGED = (
    ("Namespace", "namespaces", ""), ("Deployment", "deployments", NAMESPACE),
    ("Service", "services", NAMESPACE), ("NetworkPolicy", "networkpolicies", NAMESPACE),
)  # fmt: skip
