"""What keeps learners' pods in their place, where they really run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from graders.clusters.confinement import REAL, NamespaceBounds, confine
from graders.clusters.containment import NAME, forbid_escapes
from graders.clusters.provider import ClusterSpec
from graders.clusters.registry import provider_named
from graders.kube.client import Kube
from graders.lab1.incluster.environment import RESTRICTED, start_pod
from graders.lab1.incluster.training import own_pod
from graders.model import Capability, Cluster
from graders.polling import NotYet, wait_for
from graders.progress import Silent

SPACE = "confined"
PODS = f"/api/v1/namespaces/{SPACE}/pods"
LISTENS = "import socket; socket.create_server(('', 7000)).accept()"
REACHES = (
    "import socket, sys, time\n"
    "for _ in range(int(sys.argv[3])):\n"
    "    try:\n"
    "        socket.create_connection((sys.argv[1], int(sys.argv[2])), 2); sys.exit(0)\n"
    "    except OSError as error: print(error, flush=True); time.sleep(0.5)\n"
    "sys.exit(1)"
)


@pytest.fixture(scope="module")
def cluster(docker_host: str, python_image: str) -> Iterator[Cluster]:
    spec = ClusterSpec(name="containment", nodes=(), workers=0)
    with provider_named("kind").provision(spec, Silent()) as cluster:
        assert cluster.real_nodes is not None
        cluster.real_nodes.load(python_image)
        kube = Kube(cluster.kubeconfig)
        forbid_escapes(kube)
        kube.create("/api/v1/namespaces", {"metadata": {"name": SPACE, "labels": RESTRICTED}})
        confine(kube, SPACE, NamespaceBounds(REAL.hard, REAL.defaults, peers=[{"job": "a"}]))
        yield cluster


@pytest.fixture(scope="module")
def kube(cluster: Cluster) -> Kube:
    return Kube(cluster.kubeconfig)


def test_an_honest_pod_runs(kube: Kube, python_image: str) -> None:
    assert start_pod(kube, SPACE, python_image) < 60


@pytest.mark.parametrize("field", ["hostNetwork", "hostPID", "hostIPC"])
def test_one_that_reaches_for_the_machine_does_not(kube: Kube, python_image: str, field: str) -> None:
    body = own_pod("reaching", python_image)
    body["spec"][field] = True
    answer = kube.request("POST", "/api/v1/namespaces/default/pods", body=body)
    assert NAME in answer.message


def test_nor_one_that_a_deployment_of_anybodys_makes(kube: Kube, python_image: str) -> None:
    spec = own_pod("x", python_image)["spec"]
    spec |= {"volumes": [{"name": "podinfo", "hostPath": {"path": "/"}}], "restartPolicy": "Always"}
    template = {"metadata": {"labels": {"a": "b"}}, "spec": spec}
    body = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "reaching"},
        "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template},
    }
    answer = kube.request("POST", f"/apis/apps/v1/namespaces/{SPACE}/deployments", body=body)
    assert "hostPath volumes are not allowed" in answer.message


def test_one_that_asks_for_too_much_is_not_taken(kube: Kube, python_image: str) -> None:
    body = own_pod("greedy", python_image)
    body["spec"]["containers"][0]["resources"] = {
        "requests": {"memory": "64Gi"},
        "limits": {"memory": "64Gi"},
    }
    answer = kube.request("POST", PODS, body=body)
    assert (answer.code, "exceeded quota" in answer.message) == (403, True)


def test_pods_of_one_job_meet_and_nobody_else_is_reached(
    cluster: Cluster, kube: Kube, python_image: str
) -> None:
    assert Capability.NETWORK_POLICY in cluster.capabilities
    address = _run(kube, python_image, "listens", {"job": "a"}, [LISTENS], until="Running")["podIP"]
    _run(kube, python_image, "peer", {"job": "a"}, [REACHES, address, "7000", "20"], until="Succeeded")
    _run(kube, python_image, "stranger", {"job": "b"}, [REACHES, address, "7000", "4"], until="Failed")
    api = kube.get("/api/v1/namespaces/default/services/kubernetes")["spec"]["clusterIP"]
    # Its first try comes with its first breath: rules that are late would let it pass.
    _run(kube, python_image, "curious", {"job": "a"}, [REACHES, api, "443", "4"], until="Failed")


def _run(
    kube: Kube, image: str, name: str, labels: dict[str, str], command: list[str], *, until: str
) -> dict[str, Any]:
    body = own_pod(name, image)
    body["metadata"]["labels"] = labels
    body["spec"]["containers"][0]["command"] = ["python3", "-c", *command]
    kube.create(PODS, body)

    def over() -> dict[str, Any]:
        status: dict[str, Any] = kube.get(f"{PODS}/{name}").get("status") or {}
        if status.get("phase") != until or not status.get("podIP"):
            raise NotYet(f"{name} is {status.get('phase')}")
        return status

    return wait_for(over, timeout_s=90, interval_s=0.5)
