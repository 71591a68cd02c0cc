"""What kind is told: nodes, an audit log that reaches us, and the flags that embedded clusters have too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from graders.clusters.components import CONTROLLER_FLAGS, SCHEDULER_FLAGS
from graders.clusters.kind.config import NodeLayout, kind_config


def rendered(**wanted: Any) -> dict[str, Any]:
    config: dict[str, Any] = json.loads(
        kind_config(NodeLayout(Path("/own/policy"), Path("/own/audit"), **wanted))
    )
    return config


def patches(config: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {patch["kind"]: patch for patch in map(json.loads, config["kubeadmConfigPatches"])}


def test_the_audit_log_lands_in_a_folder_of_ours_by_a_policy_of_ours() -> None:
    config = rendered()
    (control_plane,) = config["nodes"]
    api = patches(config)["ClusterConfiguration"]["apiServer"]

    inside = {mount["hostPath"]: mount["containerPath"] for mount in control_plane["extraMounts"]}
    in_pod = {volume["hostPath"]: volume for volume in api["extraVolumes"]}
    flags = api["extraArgs"]
    assert flags["audit-log-path"] == f"{inside['/own/audit']}/audit.jsonl"
    assert flags["audit-policy-file"] == f"{inside['/own/policy']}/audit-policy.yaml"
    assert flags["audit-log-mode"] == "blocking"
    assert in_pod[inside["/own/policy"]]["readOnly"]
    assert not in_pod[inside["/own/audit"]]["readOnly"]
    assert all(volume["mountPath"] == path for path, volume in in_pod.items())


def test_controllers_and_scheduler_are_as_quick_as_embedded_ones() -> None:
    patch = patches(rendered())["ClusterConfiguration"]

    assert patch["controllerManager"]["extraArgs"] == dict(CONTROLLER_FLAGS)
    assert patch["scheduler"]["extraArgs"] == dict(SCHEDULER_FLAGS)
    # A restart is quick only where nobody waits for a lease to end.
    assert CONTROLLER_FLAGS["leader-elect"] == "false"


def test_a_patch_names_no_version_so_that_kind_merges_it_into_whichever_it_writes() -> None:
    assert all("apiVersion" not in patch for patch in patches(rendered(old_cgroups=True)).values())


@pytest.mark.parametrize("workers", [0, 2])
def test_every_real_node_is_labelled_as_such_and_workers_mount_nothing(workers: int) -> None:
    nodes = rendered(workers=workers)["nodes"]

    assert [node["role"] for node in nodes] == ["control-plane"] + ["worker"] * workers
    assert all(node["labels"] == {"kubeproof.dev/real": "true"} for node in nodes)
    assert [node for node in nodes[1:] if "extraMounts" in node] == []


def test_only_old_cgroups_need_a_kubelet_that_bears_them() -> None:
    assert patches(rendered(old_cgroups=True))["KubeletConfiguration"]["failCgroupV1"] is False
    assert "KubeletConfiguration" not in patches(rendered())


def test_etcd_waits_for_the_disk_only_where_the_lab_asks_for_that() -> None:
    def flags(**wanted: Any) -> dict[str, str]:
        etcd: dict[str, Any] = patches(rendered(**wanted))["ClusterConfiguration"]["etcd"]
        return dict(etcd["local"]["extraArgs"])

    assert flags() == {"unsafe-no-fsync": "true"}
    assert flags(durable=True) == {}
