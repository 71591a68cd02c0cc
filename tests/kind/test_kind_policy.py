"""Two nodes: pods reach each other across them, and network policies are enforced, not just stored."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from graders.polling import NotYet, wait_for
from tests.kind.machinery import Machinery, Node, wait_until_ready

WITHIN_S = 60.0

TWO_NODES = """
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
nodes: [{role: control-plane}, {role: worker}]
"""

PODS = """
apiVersion: v1
kind: Namespace
metadata: {name: near, labels: {side: near}}
---
apiVersion: v1
kind: Namespace
metadata: {name: far, labels: {side: far}}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: near}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: http}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: near, labels: {app: web}}
spec:
  nodeName: CLUSTER-worker
  terminationGracePeriodSeconds: 0
  containers:
    - name: main
      image: IMAGE
      imagePullPolicy: Never
      command: [sh, -c, "python -m http.server 8081 & exec python -m http.server 8080"]
      workingDir: /etc/apt
      ports: [{name: http, containerPort: 8080}]
      readinessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: Pod
metadata: {name: friend, namespace: near, labels: {role: friend}}
spec: &idle
  nodeName: CLUSTER-control-plane
  terminationGracePeriodSeconds: 0
  containers: [{name: main, image: "IMAGE", imagePullPolicy: Never, command: [sleep, "100000"]}]
---
apiVersion: v1
kind: Pod
metadata: {name: stranger, namespace: far}
spec:
  nodeName: CLUSTER-control-plane
  terminationGracePeriodSeconds: 0
  containers: [{name: main, image: "IMAGE", imagePullPolicy: Never, command: [sleep, "100000"]}]
"""

CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=1)"


@dataclass(frozen=True)
class Scene:
    """The pods, and who of them reaches whom."""

    node: Node
    addresses: dict[str, str]

    def reaches(self, pod: str, host: str, port: int) -> bool:
        namespace = "far" if pod == "stranger" else "near"
        command = ("exec", f"--namespace={namespace}", pod, "--", "python", "-c", CONNECT, host, str(port))
        done = self.node.run("kubectl", "--kubeconfig=/etc/kubernetes/admin.conf", *command)
        return done.returncode == 0

    def seen(self) -> dict[str, bool]:
        web = self.addresses["web"]
        return {
            "friend to 8080": self.reaches("friend", web, 8080),
            "friend to 8081": self.reaches("friend", web, 8081),
            "stranger to 8080": self.reaches("stranger", web, 8080),
            "stranger to 8081": self.reaches("stranger", web, 8081),
            "stranger to the service": self.reaches("stranger", "web.near", 80),
            "web to its own service": self.reaches("web", "web.near", 80),
            "stranger to the API": self.reaches("stranger", "kubernetes.default", 443),
        }

    def expect(self, *yes: str) -> None:
        """Wait until exactly what is named can be reached."""

        def fits() -> None:
            seen = {name for name, reached in self.seen().items() if reached}
            if seen != set(yes):
                raise NotYet(f"reached: {sorted(seen)}; expected: {sorted(yes)}")

        wait_for(fits, timeout_s=WITHIN_S, interval_s=0.2)

    def apply(self, namespace: str, name: str, spec: str) -> None:
        text = "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, "
        text += f"metadata: {{name: {name}, namespace: {namespace}}}, spec: {spec}}}"
        self.node.kubectl("apply", "--filename=-", stdin=text)


@pytest.fixture(scope="module")
def scene(
    machinery: Machinery, python_image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scene]:
    with machinery.cluster(tmp_path_factory.mktemp("policy"), TWO_NODES) as node:
        machinery.load(node, python_image)
        cluster = node.container.removesuffix("-control-plane")
        text = PODS.replace("IMAGE", python_image).replace("CLUSTER", cluster)
        # The service account of a namespace comes a moment after it.
        wait_for(lambda: _applied(node, text), timeout_s=60, interval_s=0.5)
        for namespace in ("near", "far", "kube-system"):
            wait_until_ready(node, f"--namespace={namespace}")
        listed = node.kubectl(
            "get", "pods", "--all-namespaces", "--output=jsonpath={range .items[*]}"
            "{.metadata.name}={.status.podIP}{'\\n'}{end}",
        )  # fmt: skip
        yield Scene(node, dict(line.split("=") for line in listed.split()))


def _applied(node: Node, text: str) -> None:
    done = node.run("kubectl", "--kubeconfig=/etc/kubernetes/admin.conf", "apply", "--filename=-", stdin=text)
    if done.returncode != 0:
        raise NotYet(done.stderr)


@pytest.fixture(autouse=True)
def without_policies(scene: Scene) -> None:
    for namespace in ("near", "far"):
        scene.node.kubectl("delete", "networkpolicies", "--all", f"--namespace={namespace}")


EVERYTHING = (
    "friend to 8080",
    "friend to 8081",
    "stranger to 8080",
    "stranger to 8081",
    "stranger to the service",
    "web to its own service",
    "stranger to the API",
)


def test_without_policies_everybody_reaches_everything(scene: Scene) -> None:
    scene.expect(*EVERYTHING)


def test_an_empty_ingress_policy_shuts_a_namespace_and_spares_probes(scene: Scene) -> None:
    scene.apply("near", "deny", "{podSelector: {}, policyTypes: [Ingress]}")
    scene.expect("web to its own service", "stranger to the API")
    wait_until_ready(scene.node, "--namespace=near")


def test_pods_namespaces_and_named_ports_are_let_in(scene: Scene) -> None:
    web = "podSelector: {matchLabels: {app: web}}"
    friends = "{podSelector: {matchLabels: {role: friend}}}"
    scene.apply("near", "friends", f"{{{web}, ingress: [{{from: [{friends}], ports: [{{port: http}}]}}]}}")
    scene.expect("friend to 8080", "web to its own service", "stranger to the API")
    far = "{namespaceSelector: {matchLabels: {side: far}}}"
    scene.apply(
        "near", "far", f"{{{web}, ingress: [{{from: [{far}], ports: [{{port: 8081, endPort: 8090}}]}}]}}"
    )
    scene.expect("friend to 8080", "stranger to 8081", "web to its own service", "stranger to the API")


def test_a_range_of_addresses_has_exceptions(scene: Scene) -> None:
    block = f"{{ipBlock: {{cidr: 10.244.0.0/16, except: [{scene.addresses['stranger']}/32]}}}}"
    scene.apply("near", "block", f"{{podSelector: {{}}, ingress: [{{from: [{block}]}}]}}")
    scene.expect("friend to 8080", "friend to 8081", "web to its own service", "stranger to the API")


def test_what_a_pod_may_begin_is_held_too_also_towards_the_node(scene: Scene) -> None:
    dns = "{to: [{namespaceSelector: {}, podSelector: {matchLabels: {k8s-app: kube-dns}}}]}"
    scene.apply("far", "names", f"{{podSelector: {{}}, policyTypes: [Egress], egress: [{dns}]}}")
    scene.expect("friend to 8080", "friend to 8081", "web to its own service")
    web = "{to: [{namespaceSelector: {matchLabels: {side: near}}}], ports: [{port: http}]}"
    scene.apply("far", "web", f"{{podSelector: {{}}, policyTypes: [Egress], egress: [{web}]}}")
    scene.expect(
        "friend to 8080",
        "friend to 8081",
        "stranger to 8080",
        "stranger to the service",
        "web to its own service",
    )
