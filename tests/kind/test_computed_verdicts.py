"""What lab 2 computes of network policies is what a network does that enforces them."""

import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest

from graders.kube.networkpolicies import Outside, Pod, Port, allowed
from graders.lab2.checks.security import _connections
from graders.lab2.names import NAMESPACE
from graders.polling import NotYet, wait_for
from tests.kind.machinery import Machinery, Node, wait_until_ready
from tests.unit.lab2_recording import reference

AGREES_WITHIN_S = 60.0
NAMESPACES = (NAMESPACE, "gateway", "dev-tools")
PORTS = {"web": {"http": 8080, "metrics": 9090}, "cache": {"redis": 6379}}
SERVES = " & ".join(f"python -m http.server {port}" for port in (8080, 9090, 6379))
CONNECT = {
    "TCP": "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=2)",
    # A question for the root's name servers: whoever gets any answer got through.
    "UDP": "import socket, sys; s = socket.socket(type=socket.SOCK_DGRAM); s.settimeout(2); "
    "s.sendto(bytes.fromhex('12340100000100000000000000000200' '01'), (sys.argv[1], int(sys.argv[2]))); "
    "s.recv(512)",
}

Policies = Sequence[Mapping[str, Any]]


@cache
def declared() -> Policies:
    """The policies of the reference, as prod had them."""
    last: dict[str, Mapping[str, Any]] = {}
    for each in reference()["objects"]:
        if (each["cluster"], each["resource"], each["namespace"]) == ("prod", "networkpolicies", NAMESPACE):
            last[each["name"]] = each["object"]
    return [bare(each) for each in last.values()]


def bare(policy: Mapping[str, Any]) -> dict[str, Any]:
    meta = {"name": policy["metadata"]["name"], "namespace": policy["metadata"]["namespace"]}
    kept = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": meta}
    return copy.deepcopy({**kept, "spec": policy["spec"]})


def either(policies: Policies) -> Policies:
    """A list item for each selector: a namespace or a label, where both were meant."""
    changed = copy.deepcopy(list(policies))
    for policy in changed:
        for rule in policy["spec"].get("ingress") or ():
            rule["from"] = [{key: value} for peer in rule.get("from") or () for key, value in peer.items()]
    return changed


def any_port(policies: Policies) -> Policies:
    """Who may come in may do so on every port."""
    changed = copy.deepcopy(list(policies))
    for policy in changed:
        for rule in policy["spec"].get("ingress") or ():
            rule.pop("ports", None)
    return changed


def towards_all(policies: Policies) -> Policies:
    """Nobody's way out is bound."""
    changed = copy.deepcopy(list(policies))
    for policy in changed:
        policy["spec"].pop("egress", None)
        policy["spec"]["policyTypes"] = ["Ingress"]
    return changed


@dataclass(frozen=True)
class Network:
    """The pods of every connection that is asked for, by what tells them apart."""

    node: Node
    names: Mapping[tuple[str, str], str]
    addresses: Mapping[str, str]

    def through(self, source: Pod, target: Pod, port: Port) -> bool:
        """Whether the connection is made."""
        address = self.addresses[self.names[key(target)]]
        command = ("python", "-c", CONNECT[port.protocol], address, str(port.number))
        where = ("exec", f"--namespace={source.namespace}", self.names[key(source)], "--", *command)
        return self.node.run("kubectl", "--kubeconfig=/etc/kubernetes/admin.conf", *where).returncode == 0


def key(pod: Pod) -> tuple[str, str]:
    return pod.namespace, json.dumps(pod.labels, sort_keys=True)


def asked() -> list[tuple[str, Pod, Pod, Port]]:
    """Each connection between pods; what is outside is in no closed network."""
    return [
        (said, source, target, port)
        for said, source, target, port, _ in _connections(PORTS)
        if not isinstance(target, Outside)
    ]


def manifests(image: str, names: Mapping[tuple[str, str], str]) -> str:
    found: list[dict[str, Any]] = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in NAMESPACES
    ]
    for (namespace, labels), name in names.items():
        if namespace not in NAMESPACES:
            continue
        told = json.loads(labels)
        named = PORTS.get(told.get("app.kubernetes.io/name", ""), {})
        container = {
            "name": "main", "image": image, "imagePullPolicy": "Never", "workingDir": "/etc/apt",
            "command": ["sh", "-c", f"{SERVES}"],
            "ports": [{"name": port, "containerPort": number} for port, number in named.items()],
            "readinessProbe": {"tcpSocket": {"port": 6379}, "periodSeconds": 1},
        }  # fmt: skip
        spec = {"terminationGracePeriodSeconds": 0, "containers": [container]}
        meta = {"name": name, "namespace": namespace, "labels": told}
        found.append({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec})
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": found})


@pytest.fixture(scope="module")
def network(
    machinery: Machinery, python_image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Network]:
    pods = {key(pod): pod for _, source, target, _ in asked() for pod in (source, target)}
    names = {each: f"pod-{number}" for number, each in enumerate(pods)}
    with machinery.cluster(tmp_path_factory.mktemp("verdicts")) as node:
        machinery.load(node, python_image)
        text = manifests(python_image, names)

        def applied() -> None:
            done = node.run(
                "kubectl", "--kubeconfig=/etc/kubernetes/admin.conf", "apply", "--filename=-", stdin=text
            )
            if done.returncode != 0:
                raise NotYet(done.stderr)

        # The service account of a namespace comes a moment after it.
        wait_for(applied, timeout_s=60, interval_s=0.5)
        for namespace in (*NAMESPACES, "kube-system"):
            wait_until_ready(node, f"--namespace={namespace}")
        listed = json.loads(node.kubectl("get", "pods", "--all-namespaces", "--output=json"))["items"]
        addresses = {each["metadata"]["name"]: each["status"]["podIP"] for each in listed}
        (dns,) = [each for each in pods if each[0] == "kube-system"]
        server = next(
            each for each in listed if (each["metadata"].get("labels") or {}).get("k8s-app") == "kube-dns"
        )
        yield Network(node, names, {**addresses, names[dns]: server["status"]["podIP"]})


@pytest.mark.parametrize(
    "policies",
    [[], declared(), either(declared()), any_port(declared()), towards_all(declared())],
    ids=["none", "reference", "either-selector", "any-port", "ways-out-open"],
)
def test_pods_reach_whom_the_computed_verdict_says(network: Network, policies: Policies) -> None:
    computed = {said: allowed(policies, source, target, port) for said, source, target, port in asked()}
    assert len(computed) > 10
    network.node.kubectl("delete", "networkpolicies", "--all", f"--namespace={NAMESPACE}")
    if policies:
        network.node.kubectl("apply", "--filename=-", stdin=json.dumps(
            {"apiVersion": "v1", "kind": "List", "items": list(policies)}
        ))  # fmt: skip

    def agree() -> None:
        seen = {said: network.through(source, target, port) for said, source, target, port in asked()}
        if seen != computed:
            raise NotYet(str({said: (through, computed[said]) for said, through in seen.items()
                              if through is not computed[said]}))  # fmt: skip

    wait_for(agree, timeout_s=AGREES_WITHIN_S, interval_s=0.2)
