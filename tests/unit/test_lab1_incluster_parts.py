"""What the in-cluster run is made of: Deployments with the image that was built, jobs, words about pods."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from graders.evidence.bundle import Bundle, BundleWriter
from graders.evidence.recording import Recording
from graders.faults import InfraFault
from graders.lab1.incluster import program
from graders.lab1.incluster.deployment import deployments, image_of, operators, with_image
from graders.lab1.incluster.diagnosis import deployment_state, exit_codes, pod_state, reasons, users_of
from graders.lab1.incluster.image import OperatorImage, image_for
from graders.lab1.incluster.run import RealRun, real_run
from graders.lab1.incluster.training import own_pod, told_job, training_job
from graders.lab1.manifest import Lab1Manifest, Operator
from graders.lab1.policies import compliant_template
from graders.model import Capability
from graders.submissions.manifests import Manifest
from tests.unit.synthetic_bundle import make_manifest

# --- what is deployed ------------------------------------------------------------------------------

WANTED = Lab1Manifest(Operator("python", ("x",), "mltj-system", "mltj-operator"), ("deploy/",))


def manifest(
    name: str, *images: str, namespace: str = "mltj-system", account: str = "mltj-operator"
) -> Manifest:
    containers = [{"name": f"c{n}", "image": i, "imagePullPolicy": "Always"} for n, i in enumerate(images)]
    spec = {"serviceAccountName": account, "containers": containers}
    data = {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": namespace},
        "spec": {"template": {"spec": spec}},
    }  # fmt: skip
    return Manifest(data=data, file="deploy/d.yaml", line=1)


def test_deployments_of_the_operator_are_those_that_run_as_it() -> None:
    manifests = [
        manifest("op", "a:1"),
        manifest("other", "a:1", account="other"),
        manifest("elsewhere", "a:1", namespace="elsewhere"),
    ]
    assert [each["metadata"]["name"] for each in deployments(manifests)] == ["op", "other", "elsewhere"]
    assert [each["metadata"]["name"] for each in operators(manifests, WANTED)] == ["op"]


def test_the_image_that_was_built_takes_the_place_of_the_one_that_is_named_first() -> None:
    given = manifest("op", "ghcr.io/me/op:1", "envoy:1", "ghcr.io/me/op:1").data
    changed = with_image(given, image_of(given), "built:x")
    containers = changed["spec"]["template"]["spec"]["containers"]
    assert [each["image"] for each in containers] == ["built:x", "envoy:1", "built:x"]
    assert [each["imagePullPolicy"] for each in containers] == ["Never", "Always", "Never"]
    assert given["spec"]["template"]["spec"]["containers"][0]["image"] == "ghcr.io/me/op:1"


@pytest.mark.parametrize("spec", [{}, {"containers": []}, {"containers": ["x"]}, {"containers": [{}]}])
def test_a_deployment_without_an_image_names_none(spec: dict[str, Any]) -> None:
    assert image_of({"spec": {"template": {"spec": spec}}}) == ""


# --- words about pods ------------------------------------------------------------------------------


def status(**container: Any) -> dict[str, Any]:
    return {"status": {"phase": "Running", "containerStatuses": [{"name": "op", **container}]}}


def test_a_pod_that_keeps_ending_is_told_with_how_it_ended() -> None:
    waiting = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}}
    ended = {"terminated": {"exitCode": 1, "reason": "Error"}}
    assert pod_state(status(state=waiting, lastState=ended, restartCount=3)) == (
        "Running, not Ready (container op: CrashLoopBackOff: back-off 10s, ended with code 1 (Error), "
        "restarted 3 times)"
    )


def test_a_pod_without_a_place_is_told_with_why() -> None:
    condition = {"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available"}
    assert pod_state({"status": {"conditions": [condition]}}) == "Pending (0/1 nodes are available)"


def test_a_sound_pod_is_told_in_a_word() -> None:
    ready = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    assert pod_state({"status": ready}) == "Ready"
    assert pod_state({}) == "Pending"


def test_a_deployment_without_pods_is_told_with_what_refuses_them() -> None:
    condition = {"type": "ReplicaFailure", "status": "True", "message": "violates PodSecurity"}
    deployment = {"spec": {"replicas": 2}, "status": {"conditions": [condition]}}
    assert deployment_state(deployment, {}) == "0 of 2 pods available; violates PodSecurity"
    assert deployment_state(deployment, {"p": {}}) == "0 of 2 pods available; p: Pending"


def test_ends_are_read_as_the_kubelet_tells_them() -> None:
    pod = status(
        state={"terminated": {"exitCode": 137, "reason": "OOMKilled"}}, user={"linux": {"uid": 10001}}
    )
    assert (exit_codes(pod), reasons(pod), users_of(pod)) == ([137], ["OOMKilled"], [10001])
    assert (exit_codes({}), reasons({"status": "x"}), users_of(status())) == ([], [], [])


# --- jobs ------------------------------------------------------------------------------------------


def test_jobs_ask_for_nothing_that_a_restricted_namespace_refuses() -> None:
    job = training_job("n", "train", "image", 2)
    ours, compliant = job["spec"]["trainer"]["template"]["spec"], compliant_template()["spec"]
    (container,) = ours["containers"]
    assert container["securityContext"] == compliant["containers"][0]["securityContext"]
    assert ours["securityContext"]["runAsNonRoot"] is True
    assert container["imagePullPolicy"] == "Never"
    assert container["command"][:2] == ["python3", "-c"]
    assert told_job("n", "told", "image", 2)["spec"]["trainer"]["restartPolicy"] == "ExitCode"
    assert own_pod("p", "image")["spec"]["containers"][0]["command"][-1] == "told"


def run(rank: int, nodes: int, port: int) -> subprocess.Popen[str]:
    settings = {
        "PET_NODE_RANK": rank, "PET_NNODES": nodes, "PET_MASTER_ADDR": "localhost", "PET_MASTER_PORT": port,
    }  # fmt: skip
    return subprocess.Popen(
        [sys.executable, "-c", Path(program.__file__).read_text(), "train"],
        env={**os.environ, **{name: str(value) for name, value in settings.items()}},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_ranks_meet_and_train_together() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    processes = [run(rank, 3, port) for rank in range(3)]
    said = [process.communicate(timeout=60)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert all("weight 3.0000 after 40 steps" in text for text in said)


def test_a_pod_ends_as_its_annotation_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    annotations = tmp_path / "annotations"
    annotations.write_text('kubernetes.io/config.source="api"\nother="kubeproof.dev/exit-code=\\"9\\""')
    monkeypatch.setattr(program, "ANNOTATIONS", str(annotations))
    ends: list[int] = []
    thread = threading.Thread(target=lambda: ends.append(program.told()), daemon=True)
    thread.start()
    thread.join(0.5)
    assert ends == []
    annotations.write_text('a="b"\nkubeproof.dev/exit-code="137"\n')
    thread.join(10)
    assert ends == [137]


# --- whether it is run at all ------------------------------------------------------------------------


@dataclass
class AskedFor:
    """What is looked at of a run, of its fleet and of its first cluster."""

    selection: tuple[str, ...] = ("in-cluster",)
    engine: str = "unix:///nowhere"
    capabilities: frozenset[Capability] = frozenset({Capability.REAL_PODS})
    real_nodes: object = object()
    guest: object = None
    recording: Any = None

    @property
    def fleet(self) -> AskedFor:
        return self


@pytest.mark.parametrize("plan", [AskedFor(selection=("scaling",)), AskedFor(engine="")])
def test_nothing_is_built_where_it_is_not_asked_for_or_there_is_no_engine(plan: Any) -> None:
    with image_for(plan) as image:
        assert image is None


@pytest.mark.parametrize(
    "run",
    [
        AskedFor(capabilities=frozenset({Capability.SIMULATED_NODES})),
        AskedFor(real_nodes=None),
        AskedFor(guest=object()),
    ],
)
def test_nothing_is_run_where_it_cannot_be_shown(run: Any) -> None:
    assert real_run(run, run, [], "team-a", OperatorImage("operator", "training")) is None


def test_an_engine_that_fails_is_the_tracks_trouble_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextlib.contextmanager
    def failing(plan: object) -> Iterator[None]:
        raise InfraFault("the engine has no classic builder")
        yield

    monkeypatch.setattr("graders.lab1.incluster.image.operator_image", failing)
    with BundleWriter(tmp_path / "bundle") as writer:
        run: Any = AskedFor(recording=Recording(writer))
        with image_for(run) as image:
            real = real_run(run, run, [], "team-a", image)
            assert real is not None
            result = real.act()["in-cluster"]
    assert (result.status, result.problem) == ("failed", "the engine has no classic builder")


def test_without_an_image_no_cluster_is_started_and_the_build_is_on_record(tmp_path: Path) -> None:
    with BundleWriter(tmp_path / "bundle") as writer:
        run: Any = AskedFor(recording=Recording(writer))
        image = OperatorImage(
            "", "training", "image-failed", {"problem": "it exited with 1"}, "no such file\n"
        )
        result = RealRun(run, [], "team-a", image).act()["in-cluster"]
        writer.close(make_manifest())
    assert result.status == "done"
    (mark,) = Bundle(tmp_path / "bundle").marks
    assert (mark.track, mark.name, mark.data) == (
        "in-cluster",
        "image-failed",
        {"problem": "it exited with 1"},
    )
    assert (tmp_path / "bundle" / "logs" / "image-build.log").read_text() == "no such file\n"
