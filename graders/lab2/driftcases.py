"""What somebody can change of what Git declares: one thing of each kind, and by which patch."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graders.admission.kinds import POLICY_KINDS, PolicyKind, loosenings, namespace_of
from graders.admission.trying import STRATEGIC
from graders.kube.client import JSON_PATCH, MERGE_PATCH
from graders.kube.paths import resource_path
from graders.kube.pointers import at_pointer, json_pointer
from graders.lab2.names import CACHE, ENFORCE, NAMESPACE, WEB


@dataclass(frozen=True)
class DriftCase:
    """One change of an object at a place, by a patch made of what stands there; without one it is deleted."""

    name: str
    kind: str
    resource: str
    api: str
    object: str
    namespace: str
    pointer: tuple[str | int, ...] = ()
    patch: Callable[[Any], Any] | None = None
    content_type: str = MERGE_PATCH

    @property
    def path(self) -> str:
        """Where it is on an API server."""
        return resource_path(self.api, self.resource, namespace=self.namespace, name=self.object)


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
    declared: Sequence[Mapping[str, Any]], kinds: Sequence[PolicyKind] = POLICY_KINDS, nth: int = 0
) -> list[DriftCase]:
    """What can be changed of what Git declares, policies of `kinds` among it.

    Of several that would do, the `nth` is taken, around the end: another one in each environment.
    """
    objects = {(str(o.get("kind")), str(o["metadata"]["name"])): o for o in declared}
    cases = []
    web = objects.get(("Deployment", WEB))
    if web is not None:
        if isinstance(at_pointer(web, ("spec", "replicas")), int):
            cases.append(_deployment("replicas", ("spec", "replicas"), _one_more))
        containers = at_pointer(web, ("spec", "template", "spec", "containers")) or []
        for at, each in enumerate(containers):
            if at_pointer(each, ("resources", "requests", "cpu")) is not None:
                place = ("spec", "template", "spec", "containers", at, "resources", "requests", "cpu")
                one = {"name": each["name"], "resources": {"requests": {"cpu": "77m"}}}
                body = {"spec": {"template": {"spec": {"containers": [one]}}}}
                cases.append(_deployment("cpu-request", place, _always(body), STRATEGIC))
                break
    if ("Service", CACHE) in objects:
        cases.append(DriftCase("service", "Service", "services", "v1", CACHE, NAMESPACE))
    cases += _one_of(list(_network_cases(declared)), nth)
    label = ("metadata", "labels", ENFORCE)
    if at_pointer(objects.get(("Namespace", NAMESPACE)), label) is not None:
        labelled = {"metadata": {"labels": {ENFORCE: "privileged"}}}
        cases.append(
            DriftCase(
                "enforce-label", "Namespace", "namespaces", "v1", NAMESPACE, "", label, _always(labelled)
            )
        )
    cases += _one_of(list(_policy_cases(declared, kinds)), nth)
    return cases


def _one_more(replicas: Any) -> Any:
    return {"spec": {"replicas": int(replicas or 0) + 1}}


def _always(body: Any) -> Callable[[Any], Any]:
    return lambda _: body


def _deployment(
    name: str, pointer: tuple[str | int, ...], patch: Callable[[Any], Any], content_type: str = MERGE_PATCH
) -> DriftCase:
    return DriftCase(
        name, "Deployment", "deployments", "apps/v1", WEB, NAMESPACE, pointer, patch, content_type
    )  # fmt: skip


def _one_of(cases: Sequence[DriftCase], nth: int) -> Sequence[DriftCase]:
    return [cases[nth % len(cases)]] if cases else []


def _network_cases(declared: Sequence[Mapping[str, Any]]) -> Iterator[DriftCase]:
    for each in declared:
        if each.get("kind") == "NetworkPolicy" and at_pointer(each, ("spec", "ingress")):
            yield DriftCase(
                "network", "NetworkPolicy", "networkpolicies", "networking.k8s.io/v1",
                each["metadata"]["name"], NAMESPACE, ("spec", "ingress"),
                _always({"spec": {"ingress": [{}]}}),
            )  # fmt: skip


def _policy_cases(declared: Sequence[Mapping[str, Any]], kinds: Sequence[PolicyKind]) -> Iterator[DriftCase]:
    for kind, item, pointer in loosenings(declared, kinds):
        patch = [{"op": "replace", "path": json_pointer(pointer), "value": kind.loose}]
        yield DriftCase(
            "policy", kind.kind, kind.resource, kind.api_version, item["metadata"]["name"],
            namespace_of(item, kind, NAMESPACE), pointer, _always(patch), JSON_PATCH,
        )  # fmt: skip
