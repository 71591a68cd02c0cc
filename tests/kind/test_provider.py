"""The provider `kind` on a real engine: real and simulated nodes side by side, and nothing left of them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from graders.clusters.engine.engine import Engine
from graders.clusters.kind.provider import KindProvider
from graders.clusters.provider import ClusterSpec, default_nodes
from graders.faults import InfraFault
from graders.kube.client import Kube
from graders.model import Capability, Cluster, RealNodes
from graders.ownership import sweep
from graders.paths import cache_folder
from graders.polling import NotYet, wait_for
from graders.progress import Silent
from tests.kind.machinery import Machinery

WITHIN_S = 180.0
PODS = "/api/v1/namespaces/default/pods"
MAPS = "/api/v1/namespaces/default/configmaps"
SIMULATED = {node.name for node in default_nodes()}
REAL = "kubeproof.dev/real"
FIRST = "-control-plane"


@dataclass
class Mixed:
    """A cluster with a control plane, one real worker and the usual simulated nodes."""

    cluster: Cluster
    kube: Kube
    audit: list[bytes]
    nodes: RealNodes

    def entries(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in list(self.audit)]


@dataclass
class Parts:
    """What there is of our clusters in the engine."""

    engine: Engine

    def of(self, cluster: str) -> set[str]:
        """Containers, their volumes, and the network of one cluster."""
        containers = self._lines("ps", "--all", "--quiet", f"--filter=label=io.x-k8s.kind.cluster={cluster}")
        mounts = "{{range .Mounts}}{{if .Name}}{{.Name}} {{end}}{{end}}"
        volumes = []
        for each in containers:
            # It may just be going.
            with contextlib.suppress(InfraFault):
                volumes.append(self.engine.call("inspect", "--format", mounts, each).split())
        networks = self._lines("network", "ls", "--quiet", f"--filter=name=^{cluster}$")
        return {*containers, *(name for names in volumes for name in names), *networks}

    def there(self) -> set[str]:
        """Every container, volume and network of anybody."""
        listed = (("ps", "--all", "--quiet"), ("volume", "ls", "--quiet"), ("network", "ls", "--quiet"))
        return {line for words in listed for line in self._lines(*words)}

    def _lines(self, *words: str) -> list[str]:
        return self.engine.call(*words).split()


@pytest.fixture(scope="module", autouse=True)
def surroundings(docker_host: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A state folder of this module alone, and a user with a kubeconfig; gives the user's home."""
    home = tmp_path_factory.mktemp("home")
    (home / ".kube").mkdir()
    (home / ".kube" / "config").write_text("kind: Config\nclusters: []\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBEPROOF_CACHE", str(cache_folder()))
        patch.setenv("KUBEPROOF_DOCKER_HOST", docker_host)
        patch.setenv("KUBEPROOF_STATE", str(tmp_path_factory.mktemp("state")))
        # Another home must not mean that everything is built anew.
        patch.setenv("KUBEPROOF_CACHE", str(cache_folder()))
        patch.setenv("HOME", str(home))
        patch.setenv("KUBECONFIG", str(home / ".kube" / "config"))
        patch.setenv("KIND_EXPERIMENTAL_PROVIDER", "nonsense")
        yield home


@pytest.fixture(scope="module")
def provider(machinery: Machinery) -> KindProvider:
    return KindProvider(machinery.node_image)


@pytest.fixture
def parts(docker_host: str) -> Parts:
    return Parts(Engine(docker_host))


@pytest.fixture(scope="module")
def mixed(provider: KindProvider, surroundings: Path) -> Iterator[Mixed]:
    lines: list[bytes] = []
    spec = ClusterSpec(name="mixed", workers=1, on_audit=lines.append)
    with provider.provision(spec, Silent()) as cluster:
        assert cluster.real_nodes is not None
        yield Mixed(cluster, Kube(cluster.kubeconfig), lines, cluster.real_nodes)


def cluster_of(nodes: RealNodes) -> str:
    return nodes.names()[0].removesuffix(FIRST)


def pod(name: str, **spec: Any) -> dict[str, Any]:
    container = {"name": "main", "image": "any", **spec.pop("container", {})}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 0, **spec},
    }


def until(probe: Callable[[], Any]) -> Any:
    return wait_for(probe, timeout_s=WITHIN_S, interval_s=0.1)


def in_phase(kube: Kube, name: str, *phases: str) -> dict[str, Any]:
    def there() -> dict[str, Any]:
        found: dict[str, Any] = kube.get(f"{PODS}/{name}")
        if found["status"].get("phase") not in phases:
            raise NotYet(json.dumps(found["status"]))
        return found

    return dict(until(there))


def test_the_users_own_kubeconfig_and_home_are_not_touched(mixed: Mixed, surroundings: Path) -> None:
    files = [path for path in surroundings.rglob("*") if path.is_file()]

    assert files == [surroundings / ".kube" / "config"]
    assert files[0].read_text() == "kind: Config\nclusters: []\n"
    assert mixed.cluster.kubeconfig.stat().st_mode & 0o077 == 0


def test_a_cluster_says_what_it_can_and_which_nodes_are_real(mixed: Mixed) -> None:
    assert {Capability.REAL_PODS, Capability.SIMULATED_NODES, Capability.AUDIT_LOG} <= (
        mixed.cluster.capabilities
    )
    assert Capability.ETCD_ACCESS not in mixed.cluster.capabilities
    names = mixed.nodes.names()
    assert len(names) == 2
    assert names[0].endswith(FIRST)
    real = {node["metadata"]["name"] for node in mixed.kube.get("/api/v1/nodes", labelSelector=REAL)["items"]}
    assert real == set(names)


def test_pods_of_anybody_keep_to_simulated_nodes(mixed: Mixed) -> None:
    for number in range(30):
        mixed.kube.create(PODS, pod(f"anybodys-{number}"))

    found = [in_phase(mixed.kube, f"anybodys-{number}", "Running") for number in range(30)]

    assert {each["spec"]["nodeName"] for each in found} <= SIMULATED


def test_daemons_of_real_nodes_keep_to_real_ones(mixed: Mixed) -> None:
    daemons = mixed.kube.get("/api/v1/namespaces/kube-system/pods")["items"]
    owned = [
        each
        for each in daemons
        if any(owner["kind"] == "DaemonSet" for owner in each["metadata"].get("ownerReferences") or ())
    ]

    assert owned
    assert {each["spec"]["nodeName"] for each in owned} == set(mixed.nodes.names())
    # Nothing was rolled out anew for it.
    assert {state["restartCount"] for each in owned for state in each["status"]["containerStatuses"]} == {0}


def test_a_pod_that_asks_for_a_real_node_really_runs_there(mixed: Mixed, python_image: str) -> None:
    mixed.nodes.load(python_image)
    mixed.kube.create(
        PODS,
        pod(
            "real",
            nodeSelector={REAL: "true"},
            tolerations=[{"key": REAL, "operator": "Exists"}],
            restartPolicy="Never",
            container={
                "image": python_image,
                "imagePullPolicy": "Never",
                "command": ["python3", "-c", "raise SystemExit(7)"],
            },
        ),
    )

    found = in_phase(mixed.kube, "real", "Succeeded", "Failed")

    assert found["spec"]["nodeName"] in mixed.nodes.names()
    assert found["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 7


def test_an_image_that_the_engine_does_not_have_is_a_fault_of_ours(mixed: Mixed) -> None:
    with pytest.raises(InfraFault, match="nobody/has-this:1 cannot be loaded into the nodes"):
        mixed.nodes.load("nobody/has-this:1")


def test_every_write_is_in_the_audit_log_once_and_under_its_own_name(mixed: Mixed) -> None:
    names = [f"counted-{number}" for number in range(200)]
    with ThreadPoolExecutor(8) as pool:
        for made in [pool.submit(mixed.kube.create, MAPS, {"metadata": {"name": name}}) for name in names]:
            made.result()

    def arrived() -> list[dict[str, Any]]:
        written = [
            entry
            for entry in mixed.entries()
            if entry["verb"] == "create" and str(entry["objectRef"].get("name")).startswith("counted-")
        ]
        if len(written) < len(names):
            raise NotYet(f"{len(written)} of {len(names)}")
        return written

    written = until(arrived)
    assert sorted(entry["objectRef"]["name"] for entry in written) == sorted(names)
    assert {entry["user"]["username"] for entry in written} == {"kubeproof-grader"}
    assert all("requestObject" in entry for entry in written)
    users = {entry["user"]["username"] for entry in mixed.entries()}
    assert {"kwok", "system:kube-scheduler"} <= users
    assert {f"system:node:{name}" for name in mixed.nodes.names()} <= users


def test_what_kubelets_and_controllers_only_read_is_no_noise_in_the_audit_log(mixed: Mixed) -> None:
    reads = [
        entry["user"]["username"]
        for entry in mixed.entries()
        if entry["verb"] in ("get", "list", "watch") or entry["objectRef"].get("resource") == "leases"
    ]

    ours = ("system:node:", "system:kube-", "system:serviceaccount:kube-system:")
    assert [user for user in reads if user.startswith(ours) or user == "kubeproof-grader"] == []


def test_a_node_that_fails_is_noticed_and_comes_back(mixed: Mixed) -> None:
    worker = mixed.nodes.names()[-1]

    def ready() -> str:
        node = mixed.kube.get(f"/api/v1/nodes/{worker}")
        return str({c["type"]: c["status"] for c in node["status"]["conditions"]}["Ready"])

    def noticed() -> None:
        if (state := ready()) == "True":
            raise NotYet(state)

    mixed.nodes.fail(worker)
    until(noticed)
    mixed.nodes.restore(worker)

    assert ready() == "True"
    with pytest.raises(InfraFault, match="has no node 'nowhere'"):
        mixed.nodes.fail("nowhere")


def test_two_clusters_that_start_at_once_have_nothing_in_common(provider: KindProvider, parts: Parts) -> None:
    before = parts.there()
    both = contextlib.ExitStack()

    def start(name: str) -> tuple[Cluster, Kube]:
        spec = ClusterSpec(name=name, nodes=())
        cluster = both.enter_context(provider.provision(spec, Silent()))
        return cluster, Kube(cluster.kubeconfig)

    with both, ThreadPoolExecutor(2) as pool:
        (one, its), (other, others) = pool.map(start, ("left", "right"))
        assert its.server != others.server
        assert one.real_nodes is not None
        assert other.real_nodes is not None
        assert not set(one.real_nodes.names()) & set(other.real_nodes.names())
        its.create(MAPS, {"metadata": {"name": "here-only"}})
        assert others.find(f"{MAPS}/here-only") is None
        # Without simulated nodes the real ones are open.
        assert Capability.SIMULATED_NODES not in one.capabilities
        (node,) = its.get("/api/v1/nodes")["items"]
        assert node["spec"].get("taints") is None
        names = [cluster_of(nodes) for nodes in (one.real_nodes, other.real_nodes)]
        assert all(len(parts.of(name)) >= 3 for name in names)

    assert [name for name in names if parts.of(name)] == []
    assert before <= parts.there()


PROGRAM = """
import sys
from graders.clusters.kind.provider import KindProvider
from graders.clusters.provider import ClusterSpec
class Told:
    def say(self, text): print("say", text, flush=True)
    def task(self, text, total=None): return self
    def __enter__(self): return self
    def __exit__(self, *_): pass
    def update(self, *, done=None, total=None, detail=""): print("doing", detail, flush=True)
with KindProvider(sys.argv[1]).provision(ClusterSpec(name="doomed"), Told()) as cluster:
    print("ready", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("moment", ["doing starting control-plane", "ready"])
def test_nothing_is_left_after_a_kill_once_somebody_sweeps(
    moment: str, machinery: Machinery, parts: Parts, surroundings: Path
) -> None:
    state = Path(os.environ["KUBEPROOF_STATE"])
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, machinery.node_image],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as doomed:
        assert doomed.stdout is not None
        assert any(line.strip() == moment for line in doomed.stdout)
        doomed.kill()
    (record,) = state.glob("kind-doomed-*/cluster.json")
    folder, cluster = record.parent, json.loads(record.read_text())["cluster"]
    owned = parts.of(cluster)
    assert len(owned) >= 3

    assert folder.name in sweep()

    assert parts.of(cluster) == set()
    assert owned & parts.there() == set()
    assert not folder.exists()


def test_a_start_that_fails_says_what_kind_says_and_leaves_nothing(python_image: str, parts: Parts) -> None:
    before = parts.there()

    with (
        pytest.raises(InfraFault, match="kind did not make the cluster") as failed,
        KindProvider(python_image).provision(ClusterSpec(name="broken"), Silent()),
    ):
        pass

    assert "ERROR" in str(failed.value)
    assert "kubeproof doctor" in failed.value.fix
    left = {line for line in parts.there() - before if parts.of(line)}
    assert left == set()
    assert list(Path(os.environ["KUBEPROOF_STATE"]).glob("kind-broken-*")) == []


def test_a_cluster_for_people_from_up_to_down(machinery: Machinery, parts: Parts) -> None:
    def kubeproof(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "graders", "cluster", *words],
            capture_output=True,
            text=True,
            timeout=WITHIN_S * 2,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    kubeproof("up", "mine", "--provider", "kind", "--workers", "0", "--node-image", machinery.node_image)
    (row,) = json.loads(kubeproof("list", "--json"))["clusters"]
    assert (row["state"], row["provider"], len(row["nodes"])) == ("ready", "kind", 1)
    # A whole node holds more than a daemon.
    assert row["memory_bytes"] > 300e6
    (node,) = Kube(Path(row["kubeconfig"])).get("/api/v1/nodes")["items"]
    assert node["metadata"]["name"] == row["nodes"][0]

    parts.engine.call("kill", row["nodes"][0])
    (lost,) = json.loads(kubeproof("list", "--json"))["clusters"]
    assert lost["state"] == f"lost {row['nodes'][0]}"

    assert kubeproof("down", "mine") == "cluster mine is gone\n"
    assert parts.of(row["nodes"][0].removesuffix(FIRST)) == set()


def test_a_signal_in_the_middle_of_a_start_leaves_nothing(machinery: Machinery, parts: Parts) -> None:
    state = Path(os.environ["KUBEPROOF_STATE"])
    command = ["cluster", "up", "halted", "--provider", "kind", "--node-image", machinery.node_image]
    with subprocess.Popen(
        [sys.executable, "-m", "graders", *command], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
    ) as halted:

        def begun() -> str:
            assert halted.stderr is not None
            assert halted.poll() is None, halted.stderr.read()
            for path in state.glob("kind-halted-*/cluster.json"):
                cluster = str(json.loads(path.read_text())["cluster"])
                if len(parts.of(cluster)) >= 3:
                    return cluster
            raise NotYet("no container yet")

        cluster = until(begun)
        halted.send_signal(signal.SIGINT)
        halted.communicate(timeout=WITHIN_S)

    assert parts.of(cluster) == set()
    assert list(state.glob("kind-halted-*")) == []
