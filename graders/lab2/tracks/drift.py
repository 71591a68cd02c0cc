"""Somebody changes on the spokes what Git declares, one thing after another, in all environments at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graders.kube.client import Kube
from graders.kube.paths import resource_path
from graders.lab2.names import CACHE, DRIFTER, ENVIRONMENTS, NAMESPACE, WEB
from graders.lab2.pointers import at_pointer
from graders.lab2.stage import FleetContext
from graders.polling import NotYet
from graders.scenario.fleet import LiveCluster

STRATEGIC = "application/strategic-merge-patch+json"
MERGE = "application/merge-patch+json"
ENFORCE = "pod-security.kubernetes.io/enforce"
_GONE = "(deleted)"


@dataclass(frozen=True)
class Case:
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
    drifters = {name: Kube(live.cluster.users[DRIFTER]) for name, live in context.stage.spokes.items()}
    for name, cases in _by_name(context).items():
        backs = []
        for environment, case in cases.items():
            live = context.stage.spokes[environment]
            good = _value(live, case)
            answer = (
                drifters[environment].request("DELETE", case.path)
                if case.patch is None
                else drifters[environment].request(
                    "PATCH", case.path, body=case.patch, content_type=case.content_type
                )
            )
            context.mark(
                "drifted", case=name, environment=environment, kind=case.kind, resource=case.resource,
                namespace=case.namespace, object=case.object, pointer=list(case.pointer), good=good,
                code=answer.code, message=answer.message if not answer.ok else "",
            )  # fmt: skip
            backs.append(_back(live, case, good))
        context.reached(f"{name} to be as Git says", _all_of(backs), context.promises.drift_s)
    context.settle("the fleet to settle after drift")
    context.mark("end")


def _by_name(context: FleetContext) -> dict[str, dict[str, Case]]:
    found: dict[str, dict[str, Case]] = {}
    for environment in ENVIRONMENTS:
        declared = (*context.stage.declared[environment], *context.stage.declared["policies"])
        for case in cases_of(declared):
            found.setdefault(case.name, {})[environment] = case
    return found


def cases_of(declared: Sequence[Mapping[str, Any]]) -> list[Case]:
    """What can be changed of what Git declares."""
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
        cases.append(Case("service", "Service", "services", "v1", CACHE, NAMESPACE))
    cases += _network_case(declared)
    label = ("metadata", "labels", ENFORCE)
    if at_pointer(objects.get(("Namespace", NAMESPACE)), label) is not None:
        labelled = {"metadata": {"labels": {ENFORCE: "privileged"}}}
        cases.append(Case("enforce-label", "Namespace", "namespaces", "v1", NAMESPACE, "", label, labelled))
    cases += _policy_case(declared)
    return cases


def _deployment(name: str, pointer: tuple[str | int, ...], body: Any, content_type: str = MERGE) -> Case:
    return Case(
        name, "Deployment", "deployments", "apps/v1", WEB, NAMESPACE, pointer, body, content_type
    )  # fmt: skip


def _network_case(declared: Sequence[Mapping[str, Any]]) -> list[Case]:
    for each in declared:
        if each.get("kind") == "NetworkPolicy" and at_pointer(each, ("spec", "ingress")):
            return [
                Case(
                    "network", "NetworkPolicy", "networkpolicies", "networking.k8s.io/v1",
                    each["metadata"]["name"], NAMESPACE, ("spec", "ingress"), {"spec": {"ingress": [{}]}},
                )
            ]  # fmt: skip
    return []


def _policy_case(declared: Sequence[Mapping[str, Any]]) -> list[Case]:
    for each in declared:
        actions = at_pointer(each, ("spec", "validationActions"))
        if each.get("kind") == "ValidatingAdmissionPolicyBinding" and actions:
            return [
                Case(
                    "policy", "ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings",
                    "admissionregistration.k8s.io/v1", each["metadata"]["name"], "",
                    ("spec", "validationActions"), {"spec": {"validationActions": ["Audit"]}},
                )
            ]  # fmt: skip
    return []


def _value(live: LiveCluster, case: Case) -> Any:
    item = live.watches.objects(case.resource, case.namespace).get(case.object)
    if item is None:
        return _GONE
    return at_pointer(item, case.pointer) if case.pointer else None


def _back(live: LiveCluster, case: Case, good: Any) -> Callable[[], None]:
    since = live.watches.objects(case.resource, case.namespace).get(case.object)
    before = str(since["metadata"]["resourceVersion"]) if since else ""

    def probe() -> None:
        item = live.watches.objects(case.resource, case.namespace).get(case.object)
        # Until the watch has told of the change, what it shows is what was before it.
        if item is None or item["metadata"]["resourceVersion"] == before or _value(live, case) != good:
            raise NotYet(f"{case.kind} {case.object} in {live.name} is not as before")

    return probe


def _all_of(probes: Sequence[Callable[[], None]]) -> Callable[[], None]:
    def probe() -> None:
        for each in probes:
            each()

    return probe
