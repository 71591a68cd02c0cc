"""Of several etcd members and controller-managers one may go; and a durable store outlives them all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from graders.faults import InfraFault
from graders.kube.client import ApiRefused
from graders.ownership import recorded_pids
from graders.polling import NotYet, wait_for
from tests.cluster.controlled import WITHIN_S, Controlled, controlled

pytestmark = pytest.mark.cluster

MEMBERS = ("etcd", "etcd-2", "etcd-3")
POLICY = """
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: Metadata
    verbs: [create]
    resources: [{group: "", resources: [configmaps]}]
  - level: None
"""
MANAGERS = ("kube-controller-manager", "kube-controller-manager-2")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Controlled]:
    folder = tmp_path_factory.mktemp("members")
    policy = folder / "policy.yaml"
    policy.write_text(POLICY)
    with controlled(
        folder / "state",
        durable=True,
        etcd_members=3,
        controller_managers=2,
        extra_controllers=("taint-eviction-controller",),
        node_grace_s=8.0,
        audit_policy=policy,
    ) as world:
        yield world


@pytest.fixture(autouse=True)
def mended(world: Controlled) -> Iterator[None]:
    yield
    world.mend()


def test_there_are_as_many_as_were_asked_for(world: Controlled) -> None:
    control = world.control

    assert set(MEMBERS) | set(MANAGERS) < set(control.components)
    assert len(control.etcd.endpoints) == len(set(control.etcd.endpoints)) == 3
    assert tuple(control.etcd.data_folders) == MEMBERS
    assert all(control.alive(name) for name in control.components)


def test_a_durable_etcd_is_not_told_to_forget_the_disk(world: Controlled) -> None:
    pids = recorded_pids(world.cluster.kubeconfig.parent)
    members = [psutil.Process(pid) for pid in pids if psutil.Process(pid).name() == "etcd"]

    assert len(members) == 3
    assert [member for member in members if "--unsafe-no-fsync" in member.cmdline()] == []


@pytest.mark.parametrize("member", MEMBERS)
def test_the_death_of_one_member_is_survived(world: Controlled, member: str) -> None:
    world.control.kill(member)
    wait_for(lambda: written(world), timeout_s=WITHIN_S)
    world.works()
    others = [number for number, name in enumerate(MEMBERS) if name != member]

    name = wait_for(lambda: written(world), timeout_s=WITHIN_S)
    assert all(world.in_etcd(name, number) for number in others)
    world.control.start(member)
    wait_for(lambda: has(world, name, MEMBERS.index(member)), timeout_s=WITHIN_S)


def test_all_may_die_at_once_and_what_was_written_is_there(world: Controlled) -> None:
    name = wait_for(lambda: written(world), timeout_s=WITHIN_S)
    for component in world.control.components:
        world.control.kill(component)
    for component in world.control.components:
        world.control.start(component)
    world.control.wait_ready(WITHIN_S)

    assert world.noted(name)
    world.works()


def test_a_wiped_member_is_let_in_once_it_was_added_anew(world: Controlled) -> None:
    name, control = wait_for(lambda: written(world), timeout_s=WITHIN_S), world.control
    control.kill("etcd-3")
    control.wipe("etcd-3")
    # It may have led the others: they are asked once they have another leader.
    wait_for(lambda: written(world), timeout_s=WITHIN_S)
    members = world.etcd_call("cluster/member/list", {})["members"]
    (gone,) = [member["ID"] for member in members if member["name"] == "etcd-3"]
    world.etcd_call("cluster/member/remove", {"ID": gone})
    world.etcd_call("cluster/member/add", {"peerURLs": [control.etcd.peer_urls["etcd-3"]]})
    control.start("etcd-3")

    wait_for(lambda: has(world, name, 2), timeout_s=WITHIN_S)
    assert control.alive("etcd-3")


def test_when_the_leading_controller_manager_dies_the_other_takes_over(world: Controlled) -> None:
    leader, other = MANAGERS
    before = {name: led(world, name) for name in MANAGERS}
    for name in MANAGERS:
        world.control.kill(name)
    for name in MANAGERS:
        world.control.start(name)
        wait_for(lambda: leads(world, leader, before[leader]), timeout_s=WITHIN_S)
    assert led(world, other) == before[other]

    world.control.kill(leader)
    world.works()
    assert led(world, other) == before[other] + 1


def test_a_controller_that_was_asked_for_does_its_work(world: Controlled) -> None:
    """It takes pods from a node that gets a taint of that effect."""
    pods, nodes = "/api/v1/namespaces/default/pods", "/api/v1/nodes"
    spec = {"containers": [{"name": "main", "image": "any"}]}
    world.kube.create(pods, {"metadata": {"name": "leaver"}, "spec": spec})

    def placed() -> str:
        found = world.kube.get(f"{pods}/leaver")
        if found["status"].get("phase") != "Running":
            raise NotYet(str(found["status"]))
        return str(found["spec"]["nodeName"])

    def gone() -> None:
        if (found := world.kube.find(f"{pods}/leaver")) is not None:
            raise NotYet(str(found["metadata"]))

    node = wait_for(placed, timeout_s=WITHIN_S)
    taint = {"key": "kubeproof.dev/out", "effect": "NoExecute"}
    world.kube.patch(f"{nodes}/{node}", {"spec": {"taints": [taint]}})
    wait_for(gone, timeout_s=WITHIN_S)
    world.kube.patch(f"{nodes}/{node}", {"spec": {"taints": None}})


def test_nodes_without_their_simulator_are_lost_and_come_back_with_it(world: Controlled) -> None:
    def all_are(ready: str) -> None:
        nodes = world.kube.get("/api/v1/nodes")["items"]
        found = [
            each["status"]
            for node in nodes
            for each in node["status"]["conditions"]
            if each["type"] == "Ready"
        ]
        if set(found) != {ready}:
            raise NotYet(str(found))

    wait_for(lambda: all_are("True"), timeout_s=WITHIN_S)
    world.control.kill("kwok")
    wait_for(lambda: all_are("Unknown"), timeout_s=WITHIN_S)

    world.control.start("kwok")
    wait_for(lambda: all_are("True"), timeout_s=WITHIN_S)
    world.works()


def test_the_audit_log_keeps_what_the_labs_own_policy_says(world: Controlled) -> None:
    name = wait_for(lambda: written(world), timeout_s=WITHIN_S)

    def entries() -> list[dict[str, Any]]:
        if not world.audited(name):
            raise NotYet(f"nothing of {name}")
        return [json.loads(line) for line in list(world.lines)]

    found = wait_for(entries, timeout_s=WITHIN_S)
    assert {entry["objectRef"]["resource"] for entry in found} == {"configmaps"}
    assert not [entry for entry in found if "requestObject" in entry]


def led(world: Controlled, manager: str) -> int:
    """How many times a controller-manager got to lead; it logs that."""
    return world.control.log_tail(manager, 10_000).lower().count("successfully acquired lease")


def leads(world: Controlled, manager: str, before: int) -> None:
    if led(world, manager) == before:
        raise NotYet(f"{manager} does not lead")


def written(world: Controlled) -> str:
    """A note, once the API server takes one."""
    try:
        return world.note()
    except (InfraFault, ApiRefused) as error:
        raise NotYet(str(error)) from error


def has(world: Controlled, name: str, member: int) -> None:
    try:
        found = world.in_etcd(name, member)
    except httpx.HTTPError as error:
        raise NotYet(str(error)) from error
    if not found:
        raise NotYet(f"member {member} does not have {name}")


def test_nothing_is_left_of_peers_that_were_killed(tmp_path: Path) -> None:
    with controlled(tmp_path / "state", etcd_members=3) as world:
        folder = world.cluster.kubeconfig.parent
        assert (folder / "peer-3:0").is_socket()

    assert not folder.exists()
