"""From what a lab wants of its control plane to the command lines of its processes."""

from __future__ import annotations

import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from graders.clusters.components import AUDIT_POLICY, Commands, Ports, prepare
from graders.clusters.provider import ClusterSpec, check_plain
from graders.faults import UsageError


def commands(folder: Path, **wanted: Any) -> Commands:
    spec = ClusterSpec(**wanted)
    return prepare(folder, Ports(tuple(range(2000, 2000 + spec.etcd_members)), 6443), spec, audit_log="-")


def lines(folder: Path, **wanted: Any) -> dict[str, list[str]]:
    """Command lines by component, without programs."""
    made = commands(folder, **wanted).all(Path)
    return {name: [str(word) for word in line[1:]] for name, line in made.items()}


def flag(line: list[str], name: str) -> str:
    (value,) = [word.partition("=")[2] for word in line if word.startswith(f"--{name}=")]
    return value


def test_by_default_there_is_one_of_each(tmp_path: Path) -> None:
    assert list(lines(tmp_path)) == [
        "etcd",
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
        "kwok",
    ]


def test_every_component_runs_the_program_it_is_called_after(tmp_path: Path) -> None:
    made = commands(tmp_path, etcd_members=3, controller_managers=2).all(Path)

    assert {name: str(line[0]) for name, line in made.items()} == {
        "etcd": "etcd",
        "etcd-2": "etcd",
        "etcd-3": "etcd",
        "kube-apiserver": "kube-apiserver",
        "kube-controller-manager": "kube-controller-manager",
        "kube-controller-manager-2": "kube-controller-manager",
        "kube-scheduler": "kube-scheduler",
        "kwok": "kwok",
    }


def test_members_know_each_other_and_the_api_server_knows_them_all(tmp_path: Path) -> None:
    made = lines(tmp_path, etcd_members=3)
    members = [made[name] for name in ("etcd", "etcd-2", "etcd-3")]

    assert {flag(line, "initial-cluster") for line in members} == {
        "etcd=unix://peer:0,etcd-2=unix://peer-2:0,etcd-3=unix://peer-3:0"
    }
    for part in ("name", "data-dir", "listen-peer-urls", "listen-client-urls"):
        assert len({flag(line, part) for line in members}) == 3
    assert flag(made["kube-apiserver"], "etcd-servers") == ",".join(
        f"https://127.0.0.1:{port}" for port in (2000, 2001, 2002)
    )


@pytest.mark.parametrize("durable", [True, False])
def test_etcd_waits_for_the_disk_only_where_the_lab_asks_for_that(tmp_path: Path, durable: bool) -> None:
    assert ("--unsafe-no-fsync" not in lines(tmp_path, durable=durable)["etcd"]) == durable


@pytest.mark.parametrize(("managers", "elect"), [(1, "false"), (2, "true")])
def test_only_several_controller_managers_elect_a_leader(tmp_path: Path, managers: int, elect: str) -> None:
    made = lines(tmp_path, controller_managers=managers)

    assert flag(made["kube-controller-manager"], "leader-elect") == elect


def test_more_controllers_join_those_that_every_cluster_has(tmp_path: Path) -> None:
    usual = flag(lines(tmp_path)["kube-controller-manager"], "controllers")
    more = lines(tmp_path, extra_controllers=("taint-eviction-controller",))["kube-controller-manager"]

    assert flag(more, "controllers") == f"{usual},taint-eviction-controller"


@pytest.mark.parametrize(("grace_s", "lease_s"), [(40.0, "40"), (8.0, "8"), (0.5, "1")])
def test_leases_of_nodes_last_no_longer_than_their_grace(
    tmp_path: Path, grace_s: float, lease_s: str
) -> None:
    made = lines(tmp_path, node_grace_s=grace_s)

    assert flag(made["kube-controller-manager"], "node-monitor-grace-period") == f"{grace_s:g}s"
    assert flag(made["kwok"], "node-lease-duration-seconds") == lease_s


def test_nodes_that_are_lost_together_are_given_up_together(tmp_path: Path) -> None:
    usual = lines(tmp_path)["kube-controller-manager"]
    hasty = lines(tmp_path, node_grace_s=8.0)["kube-controller-manager"]

    assert not any(str(each).startswith("--node-eviction-rate") for each in usual)
    assert flag(hasty, "node-eviction-rate") == "10"


def test_a_lab_may_say_what_is_audited(tmp_path: Path) -> None:
    own = tmp_path / "policy.yaml"

    assert flag(lines(tmp_path)["kube-apiserver"], "audit-policy-file") == str(AUDIT_POLICY)
    assert flag(lines(tmp_path, audit_policy=own)["kube-apiserver"], "audit-policy-file") == str(own)


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ({"etcd_members": 2}, "etcd has 1 member or 3, and this cluster asks for 2"),
        ({"controller_managers": 0}, "at least one controller-manager"),
        ({"etcd_members": 3, "golden": Path("data")}, "golden data are those of a single etcd member"),
    ],
)
def test_what_no_control_plane_can_be_is_refused(wanted: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        ClusterSpec(**wanted)


def test_a_provider_of_whole_clusters_names_all_it_cannot_do() -> None:
    check_plain(ClusterSpec(durable=True, audit_policy=Path("policy"), extra_controllers=("any",)), "kind")
    wanted = ClusterSpec(controller_managers=2, node_grace_s=8.0, golden=Path("data"))

    with pytest.raises(UsageError) as refused:
        check_plain(wanted, "kind")
    assert "kind cannot have several controller-managers, another grace period for nodes, golden etcd" in str(
        refused.value
    )
    assert refused.value.fix == "use --provider embedded"


def test_each_zone_can_have_a_simulator_that_gives_out_addresses_of_its_own(tmp_path: Path) -> None:
    made = lines(tmp_path, simulator_per_zone=True)

    assert [name for name in made if name.startswith("kwok")] == ["kwok-zone-a", "kwok-zone-b"]
    selector = "manage-nodes-with-annotation-selector"
    assert flag(made["kwok-zone-a"], selector) == "kubeproof.dev/simulated=zone-a"
    assert flag(made["kwok-zone-a"], "cidr") != flag(made["kwok-zone-b"], "cidr")


def test_users_that_a_lab_asks_for_have_a_certificate_each(tmp_path: Path) -> None:
    made = commands(tmp_path, identities={"kubeproof:dr": ("system:masters",), "guest": ()})

    assert list(made.identities) == ["kubeproof:dr", "guest"]
    config = json.loads(made.identities["kubeproof:dr"].read_text())
    held = b64decode(config["users"][0]["user"]["client-certificate-data"])
    subject = x509.load_pem_x509_certificate(held).subject.rfc4514_string()
    assert subject == "CN=kubeproof:dr,O=system:masters"
    assert config["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:6443"
