"""The policies that bring the pods of a run to its own nodes, and keep them off everybody else's.

A MutatingAdmissionPolicy gives each pod in the run's namespaces what it needs to get onto a simulated node;
a ValidatingAdmissionPolicy lets no pod go anywhere else, and no disk or load balancer be ordered
from whoever runs the cluster. Both see only namespaces with the run's label.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from graders.clusters.existing.ownedscope import RUN, SIMULATED
from graders.faults import InfraFault
from graders.kube.client import ApiRefused, Kube
from graders.polling import NotYet, TimedOut, wait_for

GROUP = "admissionregistration.k8s.io"
MUTATING, VALIDATING = "mutatingadmissionpolicies", "validatingadmissionpolicies"
_IN_FORCE_WITHIN_S = 60.0
_IN_A_ROW = 3
"""So many answers must be right in a row: of several API servers each learns of a policy by itself."""


def served_version(kube: Kube) -> str:
    """The version in which the cluster serves MutatingAdmissionPolicies; empty where it serves none."""
    for version in ("v1", "v1beta1"):
        try:
            listed = kube.get(f"/apis/{GROUP}/{version}")["resources"]
        except ApiRefused:
            continue
        if any(each["name"] == MUTATING for each in listed):
            return version
    return ""


def policies(run: str, version: str) -> list[dict[str, Any]]:
    """All four objects; `version` is that of the mutating ones."""
    name = f"kubeproof-{run}"
    chosen = {"namespaceSelector": {"matchLabels": {RUN: run}}}
    return [
        _policy("MutatingAdmissionPolicy", version, name, _placing(run, chosen)),
        _policy("MutatingAdmissionPolicyBinding", version, name, {"policyName": name}),
        _policy("ValidatingAdmissionPolicy", "v1", name, _keeping(run, chosen)),
        _policy(
            "ValidatingAdmissionPolicyBinding",
            "v1",
            name,
            {"policyName": name, "validationActions": ["Deny"]},
        ),
    ]


def wait_in_force(kube: Kube, namespace: str, wanted: Mapping[str, Any]) -> None:
    """Wait until a pod in `namespace` gets what it needs, and one that would go elsewhere is refused.

    Raises:
        InfraFault: the policies do not come into force.
    """
    path = f"/api/v1/namespaces/{namespace}/pods"
    right = 0

    def probe() -> None:
        nonlocal right
        made = kube.request("POST", path, body=_trial(), query={"dryRun": "All"})
        astray = kube.request("POST", path, body=_trial(nodeName="elsewhere"), query={"dryRun": "All"})
        if not made.ok:
            right = 0
            raise NotYet(made.message)
        spec = made.body["spec"]
        placed = all(
            (spec.get("nodeSelector") or {}).get(key) == value
            for key, value in wanted["nodeSelector"].items()
        ) and all(each in (spec.get("tolerations") or ()) for each in wanted["tolerations"])
        right = right + 1 if placed and astray.code in (403, 422) else 0
        if right < _IN_A_ROW:
            raise NotYet("pods of the run are not brought to its own nodes yet")

    try:
        wait_for(probe, timeout_s=_IN_FORCE_WITHIN_S, interval_s=0.1)
    except TimedOut as error:
        raise InfraFault(f"the policies for the run's pods do not come into force: {error}") from error


def _policy(kind: str, version: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": f"{GROUP}/{version}", "kind": kind, "metadata": {"name": name}, "spec": spec}


def _placing(run: str, chosen: Mapping[str, Any]) -> dict[str, Any]:
    toleration = (
        f'Object.spec.tolerations{{key: "{SIMULATED}", value: "{run}", '
        'operator: "Equal", effect: "NoSchedule"}'
    )
    here = f'{{"{RUN}": "{run}"}}'
    tolerated = (
        f'object.spec.?tolerations.orValue([]).exists(t, t.?key.orValue("") == "{SIMULATED}"'
        f' && t.?value.orValue("") == "{run}")'
    )
    return {
        "failurePolicy": "Fail",
        "reinvocationPolicy": "IfNeeded",
        "matchConstraints": {**chosen, "resourceRules": [_rule("pods")]},
        "mutations": [
            _patch(
                f"""has(object.spec.nodeSelector)
                ? [JSONPatch{{op: "add", path: "/spec/nodeSelector/" + jsonpatch.escapeKey("{RUN}"),
                              value: "{run}"}}]
                : [JSONPatch{{op: "add", path: "/spec/nodeSelector", value: {here}}}]"""
            ),
            _patch(
                f"""{tolerated} ? []
                : has(object.spec.tolerations)
                ? [JSONPatch{{op: "add", path: "/spec/tolerations/-", value: {toleration}}}]
                : [JSONPatch{{op: "add", path: "/spec/tolerations", value: [{toleration}]}}]"""
            ),
        ],
    }


def _keeping(run: str, chosen: Mapping[str, Any]) -> dict[str, Any]:
    selected = f'object.spec.?nodeSelector[?"{RUN}"].orValue("") == "{run}"'
    user, accounts = "request.userInfo.username", "system:serviceaccount:"
    seen = _rule("pods", "pods/binding", "bindings", "persistentvolumeclaims")
    return {
        "failurePolicy": "Fail",
        "matchConstraints": {
            **chosen,
            "resourceRules": [seen, _rule("services", operations=("CREATE", "UPDATE"))],
        },
        "validations": [
            {
                "expression": f'object.kind != "Pod" || ({selected} && !has(object.spec.nodeName))',
                "message": "pods of this namespace are brought to nodes of their own by the scheduler",
            },
            {
                "expression": f'object.kind != "Binding" || !{user}.startsWith("{accounts}")'
                f' || {user}.startsWith("{accounts}kube-system:")',
                "message": "pods of this namespace are bound by the scheduler",
            },
            {
                "expression": 'object.kind != "PersistentVolumeClaim"'
                ' && (object.kind != "Service" || object.spec.type in ["ClusterIP", "ExternalName"])',
                "message": "nothing outside of the cluster is ordered from this namespace",
                "reason": "Forbidden",
            },
        ],
    }


def _patch(expression: str) -> dict[str, Any]:
    return {"patchType": "JSONPatch", "jsonPatch": {"expression": expression}}


def _rule(*resources: str, operations: Sequence[str] = ("CREATE",)) -> dict[str, Any]:
    return {
        "apiGroups": [""],
        "apiVersions": ["v1"],
        "operations": list(operations),
        "resources": list(resources),
    }


def _trial(**spec: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "trial"},
        "spec": {"containers": [{"name": "trial", "image": "trial"}], **spec},
    }
