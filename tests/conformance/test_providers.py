"""What every cluster provider gives, whatever its clusters are made of: a new one is here once registered."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from graders.clusters.binaries.catalog import KUBERNETES
from graders.clusters.provider import ClusterProvider, ClusterSpec, ProviderOptions, default_nodes
from graders.clusters.registry import PROVIDERS, provider_named
from graders.faults import UsageError
from graders.kube.client import Kube, kube_of
from graders.model import Capability, Cluster
from graders.ownership import recorded_pids
from graders.polling import NotYet, wait_for
from graders.progress import Silent
from tests.cluster.somebody import Somebody, somebodys_cluster

pytestmark = pytest.mark.cluster

WITHIN_S = 60.0
"""Generous on purpose: these tests are about what happens, not when."""

_number = count()


@dataclass
class Running:
    """A cluster, its client, and what came in through `on_audit`."""

    provider: ClusterProvider
    cluster: Cluster
    kube: Kube
    audit: list[dict[str, Any]] = field(default_factory=list)

    def pod(
        self, *, containers: tuple[str, ...] = ("main",), init: tuple[str, ...] = (), **metadata: object
    ) -> str:
        """Create a pod; gives its path."""
        name = f"pod-{next(_number)}"
        groups = {"containers": containers, "initContainers": init}
        spec = {group: [{"name": each, "image": "any"} for each in names] for group, names in groups.items()}
        self.kube.create(
            self.pods,
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": name, **metadata},
                "spec": spec,
            },
        )
        return f"{self.pods}/{name}"

    @property
    def pods(self) -> str:
        """The collection of the grader's own pods."""
        return f"/api/v1/namespaces/{self.cluster.own_namespace}/pods"

    @property
    def widgets(self) -> str:
        """The collection of widgets beside them."""
        return f"/apis/conformance.kubeproof.dev/v1/namespaces/{self.cluster.own_namespace}/widgets"

    def simulated(self) -> dict[str, dict[str, Any]]:
        """The nodes that were asked for, by the names they were asked for with."""
        nodes = {node["metadata"]["name"]: node for node in self.kube.get("/api/v1/nodes")["items"]}
        # In a cluster of somebody's there may be others of these names.
        prefix = f"{self.cluster.own_namespace}-" if self.cluster.guest is not None else ""
        wanted = {f"{prefix}{spec.name}": spec.name for spec in default_nodes()}
        return {wanted[name]: node for name, node in nodes.items() if name in wanted}

    def until(self, path: str, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The object at `path` once `holds` is true of it."""

        def probe() -> dict[str, Any]:
            found = self.kube.get(path)
            if not holds(found):
                raise NotYet(json.dumps(found.get("status")))
            return dict(found)

        return wait_for(probe, timeout_s=WITHIN_S)

    def until_gone(self, path: str) -> None:
        def probe() -> None:
            if (found := self.kube.find(path)) is not None:
                raise NotYet(json.dumps(found["metadata"]))

        wait_for(probe, timeout_s=WITHIN_S)


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A state folder of this module alone, so that what is left in it is ours."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("state")
        patch.setenv("KUBEPROOF_STATE", str(folder))
        yield folder


def _on_docker(request: pytest.FixtureRequest) -> ProviderOptions:
    request.getfixturevalue("docker_host")
    return ProviderOptions()


def _on_somebodys(request: pytest.FixtureRequest) -> ProviderOptions:
    theirs: Somebody = request.getfixturevalue("somebody")
    return theirs.options


@pytest.fixture(scope="module")
def somebody(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Somebody]:
    """A cluster that is there already."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBEPROOF_STATE", str(tmp_path_factory.mktemp("their-state")))
        with somebodys_cluster(tmp_path_factory.mktemp("somebody")) as theirs:
            yield theirs


OPTIONS: dict[str, Callable[[pytest.FixtureRequest], ProviderOptions]] = {
    "kind": _on_docker,
    "existing": _on_somebodys,
}
"""What a provider needs beforehand; it skips where that is not to be had."""

MARKS = {"kind": [pytest.mark.kind, pytest.mark.timeout(3600)]}
"""Where there is no image for nodes yet, the first test waits for it."""


@pytest.fixture(
    scope="module", params=[pytest.param(name, marks=MARKS.get(name, [])) for name in sorted(PROVIDERS)]
)
def running(request: pytest.FixtureRequest, state: Path) -> Iterator[Running]:
    options = OPTIONS.get(request.param, lambda _: ProviderOptions())(request)
    provider = provider_named(request.param, options)
    lines: list[bytes] = []
    spec = ClusterSpec(name="conformance", on_audit=lines.append, before_controllers=_install_widgets)
    with provider.provision(spec, Silent()) as cluster:
        running = Running(provider, cluster, kube_of(cluster))
        running.audit = _Parsed(lines)
        yield running


class _Parsed(list[dict[str, Any]]):
    """Audit lines, parsed when they are looked at."""

    def __init__(self, lines: list[bytes]) -> None:
        super().__init__()
        self._lines = lines

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter([json.loads(line) for line in list(self._lines)])


def _install_widgets(kube: Kube) -> None:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    names = {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    kube.create(
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
        {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": "widgets.conformance.kubeproof.dev"},
            "spec": {
                "group": "conformance.kubeproof.dev",
                "scope": "Namespaced",
                "names": names,
                "versions": [version],
            },
        },
    )

    def served() -> None:
        answer = kube.request("GET", "/apis/conformance.kubeproof.dev/v1/widgets")
        if not answer.ok:
            raise NotYet(answer.message)

    wait_for(served, timeout_s=WITHIN_S)


def test_a_provider_answers_to_the_name_it_is_registered_under(running: Running) -> None:
    assert running.provider.name in PROVIDERS
    assert running.cluster.provider == running.provider.name
    assert running.cluster.capabilities <= running.provider.capabilities
    assert Capability.API in running.cluster.capabilities


def test_etcd_is_in_reach_exactly_where_there_is_a_handle_on_the_control_plane(running: Running) -> None:
    control, capabilities = running.cluster.control, running.cluster.capabilities

    assert (Capability.ETCD_ACCESS in capabilities) == (control is not None)
    if control is not None:
        assert set(control.etcd.data_folders) == set(control.etcd.peer_urls) <= set(control.components)
        assert all(control.alive(name) for name in control.components)


def test_a_provider_without_that_handle_refuses_what_takes_it_before_anything_starts(
    running: Running, state: Path
) -> None:
    if Capability.ETCD_ACCESS in running.provider.capabilities:
        pytest.skip("this one has the handle")
    before, spec = set(state.iterdir()), ClusterSpec(name="refused", etcd_members=3)

    told = "cannot have several etcd members"
    with pytest.raises(UsageError, match=told), running.provider.ready([spec], Silent()):
        pass
    with pytest.raises(UsageError, match=told), running.provider.provision(spec, Silent()):
        pass
    assert set(state.iterdir()) == before


def test_an_unknown_provider_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(UsageError, match="there is no cluster provider 'minikube'") as refused:
        provider_named("minikube")
    assert all(name in refused.value.fix for name in PROVIDERS)


def test_the_api_server_has_the_version_the_cluster_names(running: Running) -> None:
    assert running.kube.get("/version")["gitVersion"] == running.cluster.version
    if running.cluster.owned:
        # An image of kind's own may be a patch behind.
        assert _minor(running.cluster.version) == _minor(KUBERNETES)


def test_nodes_are_ready_in_two_zones_and_the_gpu_nodes_have_their_places(running: Running) -> None:
    _needs(running, Capability.SIMULATED_NODES)
    nodes = running.simulated()

    for spec in default_nodes():
        node = nodes[spec.name]
        assert node["metadata"]["labels"]["topology.kubernetes.io/zone"] == spec.zone
        assert {c["type"]: c["status"] for c in node["status"]["conditions"]}["Ready"] == "True"
        for resource, places in spec.resources.items():
            assert node["status"]["allocatable"][resource] == str(places)
    assert {spec.zone for spec in default_nodes()} == {"zone-a", "zone-b"}


def test_the_default_service_account_is_there(running: Running) -> None:
    assert running.kube.get(running.pods.replace("/pods", "/serviceaccounts/default"))


def test_nothing_of_the_start_is_left_among_the_grader_s_pods(running: Running) -> None:
    running.until_gone(f"{running.pods}/kubeproof-canary")


def test_a_pod_is_scheduled_and_runs_until_it_is_told_otherwise(running: Running) -> None:
    _needs(running, Capability.SIMULATED_NODES)
    path = running.pod()

    pod = running.until(path, lambda pod: pod["status"]["phase"] == "Running")

    assert pod["spec"]["nodeName"] in {node["metadata"]["name"] for node in running.simulated().values()}
    assert {c["type"]: c["status"] for c in pod["status"]["conditions"]}["Ready"] == "True"
    assert "running" in pod["status"]["containerStatuses"][0]["state"]


@pytest.mark.parametrize(("code", "phase"), [("0", "Succeeded"), ("137", "Failed")])
@pytest.mark.parametrize("moment", ["from its creation", "while it runs"])
def test_the_annotation_ends_a_pod_with_that_exit_code(
    running: Running, code: str, phase: str, moment: str
) -> None:
    _needs(running, Capability.SIMULATED_NODES)
    annotations = {"kubeproof.dev/exit-code": code}
    if moment == "from its creation":
        path = running.pod(annotations=annotations)
    else:
        path = running.pod()
        running.until(path, lambda pod: pod["status"]["phase"] == "Running")
        running.kube.patch(path, {"metadata": {"annotations": annotations}})

    pod = running.until(path, lambda pod: pod["status"]["phase"] in ("Succeeded", "Failed"))

    assert pod["status"]["phase"] == phase
    assert pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == int(code)


def test_the_annotation_none_ends_a_pod_with_no_code_known(running: Running) -> None:
    _needs(running, Capability.SIMULATED_NODES)
    path = running.pod(annotations={"kubeproof.dev/exit-code": "none"})

    pod = running.until(path, lambda pod: pod["status"]["phase"] == "Failed")

    states = [container["state"] for container in pod["status"].get("containerStatuses", ())]
    assert not any("terminated" in state for state in states)


def test_each_container_may_end_with_a_code_of_its_own(running: Running) -> None:
    _needs(running, Capability.SIMULATED_NODES)
    codes = {"kubeproof.dev/exit-code": "137", "kubeproof.dev/exit-code.first": "0"}
    path = running.pod(annotations=codes, containers=("first", "second"))

    pod = running.until(path, lambda pod: pod["status"]["phase"] == "Failed")

    states = {each["name"]: each["state"]["terminated"] for each in pod["status"]["containerStatuses"]}
    assert {name: state["exitCode"] for name, state in states.items()} == {"first": 0, "second": 137}


def test_an_init_container_may_end_with_a_code_and_no_other_starts(running: Running) -> None:
    _needs(running, Capability.SIMULATED_NODES)
    codes = {"kubeproof.dev/exit-code": "3", "kubeproof.dev/init-exit-code": "3"}
    path = running.pod(annotations=codes, init=("fetch",))

    pod = running.until(path, lambda pod: pod["status"]["phase"] == "Failed")

    (fetch,), (main,) = pod["status"]["initContainerStatuses"], pod["status"]["containerStatuses"]
    assert (fetch["name"], fetch["state"]["terminated"]["exitCode"]) == ("fetch", 3)
    assert "waiting" in main["state"]


def test_a_pod_may_be_evicted_as_a_kubelet_does_it(running: Running) -> None:
    _needs(running, Capability.SIMULATED_NODES)
    path = running.pod(annotations={"kubeproof.dev/exit-code": "evicted"})

    pod = running.until(path, lambda pod: pod["status"]["phase"] == "Failed")

    assert pod["status"]["reason"] == "Evicted"
    assert {c["type"]: c["status"] for c in pod["status"]["conditions"]}["DisruptionTarget"] == "True"
    assert pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 137


def test_a_pod_may_fail_while_it_is_being_deleted(running: Running) -> None:
    _needs(running, Capability.SIMULATED_NODES)
    path = running.pod(annotations={"kubeproof.dev/dies": "143"})
    running.until(path, lambda pod: pod["status"]["phase"] == "Running")
    running.kube.delete(path)

    pod = running.until(path, lambda pod: pod["status"]["phase"] == "Failed")

    assert pod["metadata"]["deletionTimestamp"]
    assert pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 143
    running.kube.patch(path, {"metadata": {"annotations": {"kubeproof.dev/dies": None}}})
    running.until_gone(path)


def test_a_deleted_pod_goes(running: Running) -> None:
    path = running.pod()
    running.until(path, lambda pod: bool(pod["spec"].get("nodeName")))

    running.kube.delete(path)

    running.until_gone(path)


def test_the_garbage_collector_knows_the_kind_that_was_there_before_the_controllers(
    running: Running,
) -> None:
    _needs(running, Capability.CONTROLLERS)
    widget = running.kube.create(
        running.widgets,
        {"apiVersion": "conformance.kubeproof.dev/v1", "kind": "Widget", "metadata": {"name": "owner"}},
    )
    owner = {
        "apiVersion": widget["apiVersion"],
        "kind": "Widget",
        "name": "owner",
        "uid": widget["metadata"]["uid"],
        "controller": True,
    }
    path = running.pod(ownerReferences=[owner])

    running.kube.delete(f"{running.widgets}/owner")

    running.until_gone(path)


def test_the_audit_log_tells_who_wrote_what(running: Running) -> None:
    _needs(running, Capability.AUDIT_LOG)
    path = running.pod(annotations={"kubeproof.dev/exit-code": "0"})
    running.until(path, lambda pod: pod["status"]["phase"] == "Succeeded")
    name = path.rpartition("/")[2]

    def writers() -> dict[str, str]:
        found = {
            _what(entry): entry["user"]["username"]
            for entry in running.audit
            if entry.get("objectRef", {}).get("name") == name and "requestObject" in entry
        }
        if not {"pods", "pods/binding", "pods/status"} <= set(found):
            raise NotYet(str(found))
        return found

    who = wait_for(writers, timeout_s=WITHIN_S)
    users = {entry["user"]["username"] for entry in running.audit}
    assert who["pods"] == "kubeproof-grader"
    assert who["pods/binding"] == "system:kube-scheduler"
    assert who["pods/status"] == "kwok"
    assert any(user.startswith("system:serviceaccount:kube-system:") for user in users)


def test_every_audited_write_holds_what_was_asked(running: Running) -> None:
    """Secrets and tokens aside, which do not belong into a record."""
    _needs(running, Capability.AUDIT_LOG)
    running.pod()
    writes = [
        entry
        for entry in running.audit
        if entry["verb"] in ("create", "update", "patch")
        and entry["responseStatus"]["code"] < 300
        and entry["objectRef"].get("apiGroup") != "authentication.k8s.io"
        and _what(entry) not in ("secrets", "serviceaccounts/token")
    ]

    assert writes
    assert [entry for entry in writes if "requestObject" not in entry] == []


def test_the_api_server_answers_nobody_without_a_name(running: Running, tmp_path: Path) -> None:
    """But a kubelet, which has to ask how it is without any."""
    authority = tmp_path / "ca.crt"
    authority.write_bytes(running.kube.ca_certificate())
    paths = ["/api/v1/secrets", "/api", "/apis", "/metrics"]
    if Capability.REAL_PODS not in running.cluster.capabilities:
        paths += ["/version", "/readyz"]
    answers = {path: _anonymous(running.kube.server + path, authority) for path in paths}

    assert set(answers.values()) <= {401, 403}, answers


def test_two_clusters_run_beside_each_other_and_leave_nothing(running: Running, state: Path) -> None:
    if not running.cluster.owned:
        pytest.skip("a cluster that was there before has no second one")
    before = set(state.iterdir())
    with running.provider.provision(ClusterSpec(name="second"), Silent()) as second:
        other = Kube(second.kubeconfig)
        folders = set(state.iterdir()) - before
        processes = [psutil.Process(pid) for folder in folders for pid in recorded_pids(folder)]

        assert _port(other) != _port(running.kube)
        assert _uid(other) != _uid(running.kube)
        assert processes

    assert [process for process in processes if process.is_running()] == []
    assert set(state.iterdir()) == before
    assert running.kube.get("/api/v1/namespaces/default")


def test_what_is_made_ready_is_the_engine_of_its_nodes_and_leaves_nothing(
    running: Running, state: Path
) -> None:
    before = set(state.iterdir())
    with running.provider.ready([ClusterSpec(name="second")], Silent()) as engine:
        nodes = running.cluster.real_nodes
        assert engine == (nodes.docker_host if nodes is not None else "")
    assert set(state.iterdir()) == before


def _needs(running: Running, capability: Capability) -> None:
    if capability not in running.cluster.capabilities:
        pytest.skip(f"{running.provider.name} has no {capability}")


def _minor(version: str) -> str:
    return version.rpartition(".")[0]


def _what(entry: dict[str, Any]) -> str:
    reference = entry["objectRef"]
    return "/".join(filter(None, [reference.get("resource"), reference.get("subresource")]))


def _anonymous(url: str, authority: Path) -> int:
    import ssl

    with httpx.Client(verify=ssl.create_default_context(cafile=str(authority)), trust_env=False) as client:
        return client.get(url).status_code


def _port(kube: Kube) -> int | None:
    return urlsplit(kube.server).port


def _uid(kube: Kube) -> str:
    return str(kube.get("/api/v1/namespaces/kube-system")["metadata"]["uid"])
