"""A cluster of one node, as `kind create cluster` makes it with the images that are had here."""

from __future__ import annotations

import json

import pytest

from graders.polling import NotYet, wait_for
from tests.kind.machinery import READY_WITHIN_S, Machinery, Node, wait_until_ready

POD = """
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: notes}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: http}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  terminationGracePeriodSeconds: 0
  securityContext: {runAsNonRoot: true, runAsUser: 12345}
  containers:
    - name: web
      image: IMAGE
      imagePullPolicy: Never
      command: [python, -m, http.server, "8080"]
      workingDir: /etc
      ports: [{name: http, containerPort: 8080}]
      readinessProbe: {httpGet: {port: http, path: /}, periodSeconds: 1}
      resources: {limits: {memory: 128Mi, cpu: 500m}}
      volumeMounts: [{name: notes, mountPath: /notes}]
  volumes: [{name: notes, persistentVolumeClaim: {claimName: notes}}]
"""

ASK = """
import socket, ssl, urllib.request
print(socket.gethostbyname("kubernetes.default.svc.cluster.local"))
print(urllib.request.urlopen("http://web.default.svc/hostname", timeout=10).read().decode())
"""


@pytest.mark.smoke
def test_the_node_is_ready_and_so_is_all_of_the_control_plane(node: Node) -> None:
    names = wait_until_ready(node, "--namespace=kube-system")
    for part in (
        "coredns",
        "etcd",
        "kube-apiserver",
        "kube-controller-manager",
        "kube-proxy",
        "kube-scheduler",
    ):
        assert any(name.startswith(part) for name in names), part
    (found,) = json.loads(node.kubectl("get", "nodes", "--output=json"))["items"]
    assert not found["spec"].get("taints")


def test_a_pod_runs_with_probe_volume_and_limits_and_is_found_by_name(
    machinery: Machinery, node: Node, python_image: str
) -> None:
    machinery.load(node, python_image)
    node.kubectl("apply", "--filename=-", stdin=POD.replace("IMAGE", python_image))
    assert wait_until_ready(node) == {"web"}

    def answered() -> list[str]:
        # Whoever directs services hears of a pod a moment after it is ready.
        try:
            return node.kubectl("exec", "web", "--", "python", "-c", ASK).split()
        except AssertionError as error:
            raise NotYet(str(error)) from error

    address, hostname = wait_for(answered, timeout_s=READY_WITHIN_S, interval_s=0.5)
    assert address == "10.96.0.1"
    assert hostname == "web"
    assert "GET /hostname" in node.kubectl("logs", "web")
    assert node.kubectl("exec", "web", "--", "id", "-u").strip() == "12345"
    node.kubectl("delete", "--wait", "--filename=-", stdin=POD.replace("IMAGE", python_image))


def test_the_images_of_the_control_plane_stay(node: Node) -> None:
    """They are pinned: what nobody can pull again must not be collected."""
    printed = node.run("ctr", "--namespace=k8s.io", "images", "list", "--quiet").stdout
    assert "kube-apiserver" in printed
    labels = node.run("ctr", "--namespace=k8s.io", "images", "list").stdout
    assert "io.cri-containerd.pinned=pinned" in labels
