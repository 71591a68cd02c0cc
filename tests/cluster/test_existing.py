"""The provider `existing`, on a cluster that is somebody's: what it refuses, what it brings, that it leaves.

The cluster is an embedded one of its own here; the provider does not know, and has nothing but a kubeconfig.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from graders.clusters.existing import ExistingProvider, preflight
from graders.clusters.existing.ownedscope import RUN, OutOfScopeWrite
from graders.clusters.provider import (
    ClusterRequirements,
    ClusterSpec,
    Permission,
    ProviderOptions,
    permissions,
)
from graders.clusters.registry import provider_named
from graders.faults import InfraFault, UsageError
from graders.kube.client import ApiRefused, Kube, kube_of
from graders.lab1.manifest import Lab1Block
from graders.lab1.preparing import manifests_of
from graders.lab1.requirements import requirements
from graders.model import Capability, Cluster
from graders.ownership import sweep
from graders.paths import REPOSITORY
from graders.polling import NotYet, wait_for
from graders.progress import Silent
from graders.submissions import load_submission
from tests.cluster.somebody import CONTEXT, SHOP, WITHIN_S, Picture, Somebody, somebodys_cluster

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

REFERENCE = REPOSITORY / "solutions" / "lab1" / "reference"
NODES, SPACES = "/api/v1/nodes", "/api/v1/namespaces"
CRD = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.example.org"},
    "spec": {
        "group": "example.org",
        "scope": "Namespaced",
        "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
                },
            }
        ],
    },
}


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Somebody]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBEPROOF_STATE", str(tmp_path_factory.mktemp("their-state")))
        with somebodys_cluster(tmp_path_factory.mktemp("somebody")) as somebody:
            yield somebody


@pytest.fixture
def before(theirs: Somebody) -> Picture:
    return theirs.still()


@pytest.fixture
def state(tmp_path: Path, theirs: Somebody, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder of the test's own; the cluster's is another, as it would be on another machine."""
    folder = tmp_path / "state"
    monkeypatch.setenv("KUBEPROOF_STATE", str(folder))
    return folder


def come_in(theirs: Somebody, **spec: Any) -> Any:
    return ExistingProvider(theirs.options).provision(ClusterSpec(name="visit", **spec), Silent())


def folders(state: Path) -> list[str]:
    return [path.name for path in sorted(state.iterdir()) if path.is_dir()] if state.is_dir() else []


# --- what is refused, before anything is made ----------------------------------------------------------


def test_without_a_context_nothing_is_even_asked(theirs: Somebody, state: Path) -> None:
    with pytest.raises(UsageError, match="a current-context is not enough") as refused:
        provider_named("existing", ProviderOptions(theirs.kubeconfig))
    assert f"{CONTEXT}, away" in refused.value.fix
    assert folders(state) == []


def test_a_cluster_that_does_not_answer_is_a_fault_and_leaves_nothing(theirs: Somebody, state: Path) -> None:
    provider = ExistingProvider(ProviderOptions(theirs.kubeconfig, "away"))
    with pytest.raises(InfraFault, match="got no answer"):
        provider.provision(ClusterSpec(), Silent()).__enter__()
    assert folders(state) == []


def test_exactly_the_permissions_that_are_missing_are_listed(
    theirs: Somebody, state: Path, tmp_path: Path, before: Picture
) -> None:
    rules = [
        {"apiGroups": [""], "resources": ["namespaces", "pods"], "verbs": ["*"]},
        {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list", "watch"]},
    ]
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "operator"},
        "rules": [{"apiGroups": [""], "resources": ["pods", "secrets"], "verbs": ["get"]}],
    }
    spec = ClusterSpec(
        name="visit", requirements=ClusterRequirements(permissions("", "services", "list"), [role])
    )
    with limited(theirs, tmp_path, rules) as kubeconfig:
        during = theirs.still()
        with pytest.raises(UsageError) as refused:
            ExistingProvider(ProviderOptions(kubeconfig, "limited")).provision(spec, Silent()).__enter__()
        assert theirs.still() == during
    first, *missing = refused.value.problem.splitlines()
    who = "system:serviceaccount:shop:limited"
    assert first == f"{who} may not do in context 'limited' what grading visit takes. Missing:"
    admission = "admissionregistration.k8s.io in the whole cluster"
    assert [line.strip() for line in missing] == [
        "get serviceaccounts in the whole cluster",
        "create nodes in the whole cluster",
        "patch nodes in the whole cluster",
        "delete nodes in the whole cluster",
        "patch nodes/status in the whole cluster",
        "patch pods/status in the whole cluster",
        *(
            f"{verb} leases.coordination.k8s.io in namespace kube-node-lease"
            for verb in ("get", "list", "watch", "create", "update", "patch", "delete")
        ),
        *(
            f"{verb} {kind}{part}.{admission}"
            for kind in ("mutatingadmissionpolic", "validatingadmissionpolic")
            for part in ("ies", "ybindings")
            for verb in ("get", "create", "delete")
        ),
        "list services in the whole cluster",
        "get secrets in the whole cluster (to grant it as the manifests do)",
    ]
    assert folders(state) == []
    theirs.is_as(before)


def test_what_is_theirs_is_named_and_never_overwritten(
    theirs: Somebody, state: Path, before: Picture
) -> None:
    claimed = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}},
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "free"}},
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": {"name": "shopkeeper"},
        },
    ]
    with pytest.raises(UsageError) as refused:
        come_in(theirs, requirements=ClusterRequirements((), claimed)).__enter__()
    assert "namespaces shop" in refused.value.problem
    assert "clusterroles.rbac.authorization.k8s.io shopkeeper" in refused.value.problem
    assert "free" not in refused.value.problem
    theirs.is_as(before)


def test_a_need_that_cannot_be_met_is_told_with_the_reason(
    theirs: Somebody, monkeypatch: pytest.MonkeyPatch, before: Picture
) -> None:
    monkeypatch.setattr("graders.clusters.existing.provider.served_version", lambda _: "")
    with pytest.raises(UsageError, match="simulated-nodes: it serves no MutatingAdmissionPolicy"):
        come_in(theirs, needs=frozenset({Capability.SIMULATED_NODES})).__enter__()
    with come_in(theirs) as cluster:
        assert Capability.SIMULATED_NODES not in cluster.capabilities
    theirs.is_as(before)


# --- what is brought -----------------------------------------------------------------------------------


def test_all_that_is_brought_is_marked_and_gone_afterwards(
    theirs: Somebody, state: Path, before: Picture
) -> None:
    with come_in(theirs) as cluster:
        run = cluster.own_namespace.removeprefix("kubeproof-")
        now = theirs.picture()
        brought = {key: now[key] for key in now.keys() - before.keys()}
        outside = {key: item for key, item in brought.items() if "namespace" not in item["metadata"]}
        assert {item["metadata"]["labels"][RUN] for item in outside.values()} == {run}
        assert {
            item["metadata"]["namespace"] for item in brought.values() if item not in outside.values()
        } == {cluster.own_namespace}
        assert {key: now[key] for key in before} == before
        assert (cluster.owned, cluster.provider, cluster.serving) == (False, "existing", None)
        assert Capability.AUDIT_LOG not in cluster.capabilities
    theirs.is_as(before)
    assert folders(state) == []


def test_pods_go_where_they_belong(theirs: Somebody, before: Picture) -> None:
    """Ours to our nodes, whatever they say; theirs to theirs, even those that tolerate everything."""
    with come_in(theirs) as cluster:
        mine, place = kube_of(cluster), f"{SPACES}/{cluster.own_namespace}"
        for number, spec in enumerate(
            (
                {},
                {"tolerations": [{"operator": "Exists"}]},
                {"nodeSelector": {"topology.kubernetes.io/zone": "zone-a"}},
            )
        ):
            mine.create(f"{place}/pods", _pod(f"ours-{number}", **spec))
        theirs.kube.create(f"{SHOP}/pods", _pod("theirs", tolerations=[{"operator": "Exists"}]))

        def running() -> None:
            for path in (*(f"{place}/pods/ours-{number}" for number in range(3)), f"{SHOP}/pods/theirs"):
                if theirs.kube.get(path)["status"].get("phase") != "Running":
                    raise NotYet(path)

        wait_for(running, timeout_s=WITHIN_S)
        for number in range(3):
            found = theirs.kube.get(f"{place}/pods/ours-{number}")
            assert found["spec"]["nodeName"].startswith(f"{cluster.own_namespace}-")
        nodes = [pod["spec"]["nodeName"] for pod in theirs.kube.get(f"{SHOP}/pods")["items"]]
        nodes += [pod["spec"]["nodeName"] for pod in theirs.kube.get(f"{SPACES}/kube-system/pods")["items"]]
        assert not [name for name in nodes if name.startswith("kubeproof-")]

        with pytest.raises(ApiRefused, match="brought to nodes of their own"):
            mine.create(f"{place}/pods", _pod("astray", nodeName="node-a1"))
        service = {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}}
        mine.create(f"{place}/services", service)
        costly = {"spec": {"type": "LoadBalancer"}}
        claim = {
            "metadata": {"name": "disk"},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
        }
        for order in (
            lambda: mine.patch(f"{place}/services/s", costly),
            lambda: mine.create(f"{place}/persistentvolumeclaims", claim),
        ):
            with pytest.raises(ApiRefused, match=r"403.*nothing outside of the cluster is ordered"):
                order()
        theirs.kube.delete(f"{SHOP}/pods/theirs", gracePeriodSeconds=0)
    theirs.is_as(before)


def test_an_account_of_a_submission_binds_no_pod(theirs: Somebody, tmp_path: Path, before: Picture) -> None:
    """Whoever may bind pods could bring one to a real node, where it would be run."""
    with come_in(theirs) as cluster:
        mine, place = kube_of(cluster), f"{SPACES}/{cluster.own_namespace}"
        mine.create(f"{place}/serviceaccounts", {"metadata": {"name": "operator"}})
        rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{cluster.own_namespace}"
        rule = {"apiGroups": [""], "resources": ["pods/binding", "bindings"], "verbs": ["create"]}
        mine.create(f"{rbac}/roles", {"metadata": {"name": "binder"}, "rules": [rule]})
        mine.create(
            f"{rbac}/rolebindings",
            {
                "metadata": {"name": "binder"},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "binder"},
                "subjects": [
                    {"kind": "ServiceAccount", "name": "operator", "namespace": cluster.own_namespace}
                ],
            },
        )
        gated = _pod("gated", schedulingGates=[{"name": "example.org/wait"}])
        mine.create(f"{place}/pods", gated)
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": "gated"},
            "target": {"kind": "Node", "name": "node-a1"},
        }
        token = mine.create(f"{place}/serviceaccounts/operator/token", {"spec": {}})["status"]["token"]
        operator = Kube(_as_token(theirs, tmp_path, token))
        for path in (f"{place}/pods/gated/binding", f"{place}/bindings"):
            with pytest.raises(ApiRefused, match="bound by the scheduler"):
                operator.create(path, binding)
    theirs.is_as(before)


def test_a_plugin_that_fetches_credentials_keeps_working(
    theirs: Somebody, tmp_path: Path, before: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on AKS and EKS; it stands beside the kubeconfig and lives by the environment. Kwok needs it, too."""
    everything = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}
    with limited(theirs, tmp_path, [everything]) as kubeconfig:
        config = yaml.safe_load(kubeconfig.read_text())
        monkeypatch.setenv("LOGGED_IN_WITH", config["users"][0]["user"]["token"])
        login = tmp_path / "login"
        login.write_text(
            "#!/bin/sh\n"
            'printf \'{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", \'\n'
            'printf \'"status": {"token": "%s"}}\' "$LOGGED_IN_WITH"\n'
        )
        login.chmod(0o700)
        plugin = {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": "./login",
            "interactiveMode": "Never",
        }
        config["users"][0]["user"] = {"exec": plugin}
        kubeconfig.write_text(yaml.safe_dump(config))
        provider = ExistingProvider(ProviderOptions(kubeconfig, "limited"))
        with provider.provision(ClusterSpec(name="visit"), Silent()) as cluster:
            assert Capability.SIMULATED_NODES in cluster.capabilities
            assert "token" not in cluster.kubeconfig.read_text()
    theirs.is_as(before)


def test_the_grader_itself_is_kept_from_what_is_theirs(theirs: Somebody, before: Picture) -> None:
    with come_in(theirs) as cluster:
        mine = kube_of(cluster)
        for act in (
            lambda: mine.delete(f"{SHOP}/pods"),
            lambda: mine.delete(f"{NODES}/node-a1"),
            lambda: mine.patch(f"{NODES}/node-a1", {"spec": {"unschedulable": True}}),
            lambda: mine.create(f"{SHOP}/configmaps", {"metadata": {"name": "mine"}}),
        ):
            with pytest.raises(OutOfScopeWrite):
                act()
        role = {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": {"name": "shopkeeper"},
            "rules": [],
        }
        with pytest.raises(InfraFault, match="clusterroles shopkeeper is in the cluster already"):
            mine.apply(role)
    theirs.is_as(before)


def test_two_visits_at_once_do_not_meet(theirs: Somebody, before: Picture) -> None:
    with come_in(theirs) as one, come_in(theirs) as two:
        for cluster in (one, two):
            kube_of(cluster).create(f"{SPACES}/{cluster.own_namespace}/pods", _pod("same"))
        for cluster in (one, two):
            path = f"{SPACES}/{cluster.own_namespace}/pods/same"
            pod = wait_for(lambda path=path: _running(theirs, path), timeout_s=WITHIN_S)  # type: ignore[misc]
            assert pod["spec"]["nodeName"].startswith(cluster.own_namespace)
    theirs.is_as(before)


# --- that it leaves ------------------------------------------------------------------------------------


def clutter(cluster: Cluster) -> None:
    """All that a submission could leave: its kind, objects that somebody holds, a pod that nobody ends."""
    mine, name = kube_of(cluster), "left"
    held = {**CRD["metadata"], "finalizers": ["example.org/hold"]}
    mine.apply({**CRD, "metadata": held})
    more = {"name": f"{cluster.own_namespace}-more", "finalizers": ["example.org/hold"]}
    mine.create(SPACES, {"metadata": more})
    for place in (cluster.own_namespace, f"{cluster.own_namespace}-more"):

        def served(place: str = place) -> None:
            answer = mine.request("GET", f"/apis/example.org/v1/namespaces/{place}/widgets")
            account = mine.request("GET", f"{SPACES}/{place}/serviceaccounts/default")
            if not answer.ok or not account.ok:
                raise NotYet(f"{answer.message} {account.message}")

        wait_for(served, timeout_s=WITHIN_S)
        metadata = {"name": name, "finalizers": ["example.org/hold"]}
        widget = {"apiVersion": "example.org/v1", "kind": "Widget", "metadata": metadata}
        mine.create(f"/apis/example.org/v1/namespaces/{place}/widgets", widget)
        mine.create(f"{SPACES}/{place}/pods", {**_pod(name), "metadata": metadata})
        mine.create(f"{SPACES}/{place}/configmaps", {"metadata": metadata})
    mine.create(
        "/apis/scheduling.k8s.io/v1/priorityclasses",
        {"metadata": {**more, "name": f"{cluster.own_namespace}-p"}, "value": 3},
    )


def test_an_error_in_the_middle_is_cleaned_up_after(theirs: Somebody, state: Path, before: Picture) -> None:
    def breaks() -> None:
        with come_in(theirs) as cluster:
            clutter(cluster)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        breaks()
    theirs.is_as(before)
    assert folders(state) == []

    def fails(kube: Kube) -> None:
        kube.apply(CRD)
        raise InfraFault("it did not come up")

    with pytest.raises(InfraFault, match="it did not come up"):
        come_in(theirs, before_controllers=fails).__enter__()
    theirs.is_as(before)

    def is_refused(kube: Kube) -> None:
        kube.create(
            "/apis/scheduling.k8s.io/v1/priorityclasses", {"metadata": {"name": "system-x"}, "value": 1}
        )

    with pytest.raises(InfraFault, match="the cluster of context theirs refuses: POST") as refused:
        come_in(theirs, before_controllers=is_refused).__enter__()
    assert "a policy of its own" in refused.value.fix
    theirs.is_as(before)
    assert folders(state) == []


VISIT = """
    import signal, sys
    from pathlib import Path
    from graders.clusters.existing import ExistingProvider
    from graders.clusters.provider import ClusterSpec, ProviderOptions
    from graders.interrupt import clean_up_on_signals
    from graders.progress import Silent
    from tests.cluster.test_existing import clutter

    if sys.argv[2] != "KILL":
        clean_up_on_signals()
    options = ProviderOptions(Path(sys.argv[1]), "theirs")
    with ExistingProvider(options).provision(ClusterSpec(name="visit"), Silent()) as cluster:
        clutter(cluster)
        print("there", flush=True)
        signal.pause()
"""


def _stopped(theirs: Somebody, number: signal.Signals) -> subprocess.CompletedProcess[str]:
    """A visit that was stopped by a signal when all its clutter was there."""
    command = [sys.executable, "-c", textwrap.dedent(VISIT), str(theirs.kubeconfig), number.name[3:]]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=REPOSITORY
    ) as scope:
        assert scope.stdout is not None
        assert scope.stdout.readline() == "there\n", scope.stderr.read() if scope.stderr else ""
        scope.send_signal(number)
        output, errors = scope.communicate(timeout=WITHIN_S)
    return subprocess.CompletedProcess(command, scope.returncode, output, errors)


def test_ctrl_c_takes_everything_away_before_the_command_ends(
    theirs: Somebody, state: Path, before: Picture
) -> None:
    stopped = _stopped(theirs, signal.SIGINT)
    assert stopped.returncode == 128 + signal.SIGINT
    assert "stopped by SIGINT" in stopped.stderr
    assert folders(state) == []
    theirs.is_as(before)


def test_after_kill_9_the_next_sweep_takes_everything_away(
    theirs: Somebody, state: Path, before: Picture
) -> None:
    assert _stopped(theirs, signal.SIGKILL).returncode == -9
    (left,) = folders(state)
    assert theirs.picture().keys() > before.keys()
    assert sweep() == [left]
    theirs.is_as(before)
    assert folders(state) == []


def test_what_a_sweep_cannot_reach_stays_noted_and_is_told(
    theirs: Somebody, state: Path, before: Picture
) -> None:
    assert _stopped(theirs, signal.SIGKILL).returncode == -9
    (left,) = folders(state)
    kubeconfig = state / left / "kubeconfig"
    config = json.loads(kubeconfig.read_text())
    config["clusters"][0]["cluster"]["server"], server = (
        "https://127.0.0.1:9",
        config["clusters"][0]["cluster"]["server"],
    )
    kubeconfig.write_text(json.dumps(config))
    swept = subprocess.run(
        [sys.executable, "-m", "graders", "cluster", "sweep"], capture_output=True, text=True, check=False
    )
    assert swept.returncode == 3
    assert f"could not remove {left}: what run" in swept.stderr
    assert folders(state) == [left]

    config["clusters"][0]["cluster"]["server"] = server
    kubeconfig.write_text(json.dumps(config))
    assert sweep() == [left]
    theirs.is_as(before)


# --- grading -------------------------------------------------------------------------------------------


Grade = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def grade(theirs: Somebody, state: Path, tmp_path: Path) -> Grade:
    def run(*words: str, kubeconfig: Path = theirs.kubeconfig) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [
                sys.executable, "-m", "graders", "grade", "lab1", str(REFERENCE), "--provider", "existing",
                "--kubeconfig", str(kubeconfig), "--out", str(tmp_path / "out"), *words,
            ],
            env={**os.environ, "COLUMNS": "200"}, capture_output=True, text=True, timeout=500, check=False,
        )  # fmt: skip

    return run


def permissions_of_the_reference(scratch: Path) -> tuple[Rules, Rules]:
    """What grading it asks for: in the whole cluster, and with the hearts of nodes."""
    submission = load_submission(REFERENCE, lab="lab1", block=Lab1Block, scratch=scratch)
    wanted = {
        *preflight.OWN,
        *preflight.SIMULATING,
        *requirements(manifests_of(submission), submission.manifest).permissions,
    }
    wanted |= {*permissions("rbac.authorization.k8s.io", "roles clusterroles", "escalate bind")}
    return _rules(each for each in wanted if not each.namespace), _rules(
        each for each in wanted if each.namespace
    )


CHECKS = ("creates-pods", "owner-gc", "gang", "placement", "policy-gates", "least-privilege", "quiet")


def test_the_reference_earns_everything_with_what_was_asked_for_and_leaves_nothing(
    theirs: Somebody, grade: Grade, before: Picture, tmp_path: Path, state: Path
) -> None:
    """The permissions that are asked for beforehand are enough: this person has no other."""
    with limited(theirs, tmp_path, *permissions_of_the_reference(tmp_path)) as kubeconfig:
        only = [word for name in CHECKS for word in ("--only", name)]
        graded = grade("--context", "limited", *only, kubeconfig=kubeconfig)
    assert graded.returncode == 0, graded.stderr + graded.stdout
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert {outcome["check"]: outcome["status"] for outcome in report["outcomes"]} == dict.fromkeys(
        CHECKS, "passed"
    )
    assert report["percent"] == 100
    assert report["provenance"]["provider"] == "existing"
    seen = (tmp_path / "out" / "bundle" / "objects.jsonl").read_text()
    assert '"shop"' not in seen
    assert "kube-system" not in seen
    theirs.is_as(before)
    assert folders(state) == []


def test_a_grading_without_a_context_is_refused(grade: Grade, theirs: Somebody, before: Picture) -> None:
    refused = grade()
    assert refused.returncode == 2
    assert "the contexts there are: theirs, away" in " ".join(refused.stderr.split())
    theirs.is_as(before)


def test_a_grading_where_the_kind_is_there_already_is_refused(
    grade: Grade, theirs: Somebody, before: Picture
) -> None:
    (crd,) = yaml.safe_load_all((REFERENCE / "deploy" / "10-crd.yaml").read_text())
    assert theirs.kube.apply(crd).ok
    with_crd = theirs.still()
    refused = grade("--context", CONTEXT)
    assert refused.returncode == 2
    assert (
        "customresourcedefinitions.apiextensions.k8s.io mltrainingjobs.training.mod201.dev" in refused.stderr
    )
    assert theirs.still() == with_crd
    theirs.kube.delete("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/" + crd["metadata"]["name"])
    theirs.is_as(before)


def test_a_grading_that_is_killed_leaves_nothing_after_the_next_sweep(
    theirs: Somebody, before: Picture, tmp_path: Path, state: Path
) -> None:
    command = [
        sys.executable, "-m", "graders", "grade", "lab1", str(REFERENCE), "--provider", "existing",
        "--kubeconfig", str(theirs.kubeconfig), "--context", CONTEXT, "--out", str(tmp_path / "out"),
        "--only", "crash-points", "--only", "gang", "--only", "conflicts",
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as grading:
        wait_for(lambda: _has_jobs(theirs), timeout_s=300)
        grading.kill()
    assert sweep() != []
    theirs.is_as(before)
    assert folders(state) == []


def _has_jobs(theirs: Somebody) -> None:
    answer = theirs.kube.request("GET", "/apis/training.mod201.dev/v1alpha1/mltrainingjobs")
    if not answer.ok or len(answer.body["items"]) < 4:
        raise NotYet("the grading has not come so far")


def _running(theirs: Somebody, path: str) -> dict[str, Any]:
    pod: dict[str, Any] = theirs.kube.get(path)
    if pod["status"].get("phase") != "Running":
        raise NotYet(f"{path} does not run")
    return pod


def _pod(name: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"containers": [{"name": "main", "image": "any"}], **spec},
    }


RBAC = "/apis/rbac.authorization.k8s.io/v1"
Rules = list[dict[str, Any]]


@contextlib.contextmanager
def limited(theirs: Somebody, folder: Path, everywhere: Rules, with_leases: Rules = ()) -> Iterator[Path]:
    """A kubeconfig of somebody who may do so much, in the whole cluster and with the hearts of nodes.

    Its context is `limited`.
    """
    kube = theirs.kube
    made = []

    def make(path: str, body: dict[str, Any]) -> None:
        kube.create(path, {"metadata": {"name": "limited"}, **body})
        made.append(f"{path}/limited")

    subjects = [{"kind": "ServiceAccount", "name": "limited", "namespace": "shop"}]
    make(f"{SHOP}/serviceaccounts", {})
    for place, kind, rules in (
        (RBAC, "ClusterRole", everywhere),
        (f"{RBAC}/namespaces/kube-node-lease", "Role", with_leases),
    ):
        make(f"{place}/{kind.lower()}s", {"rules": list(rules)})
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": "limited"}
        make(f"{place}/{kind.lower()}bindings", {"roleRef": reference, "subjects": subjects})
    token = kube.create(f"{SHOP}/serviceaccounts/limited/token", {"spec": {}})["status"]["token"]
    try:
        yield _as_token(theirs, folder, token)
    finally:
        for path in made:
            kube.delete(path)


def _rules(wanted: Iterable[Permission]) -> Rules:
    verbs: dict[tuple[str, str], list[str]] = {}
    for each in wanted:
        verbs.setdefault((each.group, each.resource), []).append(each.verb)
    return [
        {"apiGroups": [group], "resources": [resource], "verbs": sorted(set(listed))}
        for (group, resource), listed in verbs.items()
    ]


def _as_token(theirs: Somebody, folder: Path, token: str) -> Path:
    config = yaml.safe_load(theirs.kubeconfig.read_text())
    config["clusters"][0]["cluster"]["certificate-authority"] = str(theirs.kubeconfig.parent / "ca.crt")
    config["users"] = [{"name": "limited", "user": {"token": token}}]
    config["contexts"] = [{"name": "limited", "context": {"cluster": "c", "user": "limited"}}]
    config["current-context"] = "limited"
    path = folder / "limited.kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return path
