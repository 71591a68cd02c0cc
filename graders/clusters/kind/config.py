"""The configuration of one kind cluster: an audit log, quick controllers, and who is a real node."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graders.clusters.components import API_FLAGS, CONTROLLER_FLAGS, SCHEDULER_FLAGS

REAL = "kubeproof.dev/real"
"""Label, and key of the taint, of nodes that are containers."""

AUDIT_LOG = "audit.jsonl"

_POLICY, _AUDIT = "/kubeproof/policy", "/kubeproof/audit"
"""Where the folders are in the control plane's node, and in the API server's pod."""

_API_FLAGS: Mapping[str, str] = {
    **API_FLAGS,
    "audit-policy-file": f"{_POLICY}/audit-policy.yaml",
    "audit-log-path": f"{_AUDIT}/{AUDIT_LOG}",
}
_ETCD_FLAGS: Mapping[str, str] = {"unsafe-no-fsync": "true"}
"""Most grading clusters are disposable."""


@dataclass(frozen=True)
class NodeLayout:
    """A kind cluster: `policy` and `audit` are folders of this machine, for the policy and for the log.

    `old_cgroups` says that the machine has cgroup v1, with which a kubelet does not start unasked; `durable`
    that etcd has on disk what it says is written.
    """

    policy: Path
    audit: Path
    workers: int = 0
    old_cgroups: bool = False
    durable: bool = False


def kind_config(wanted: NodeLayout) -> str:
    """The text of `kind create cluster --config` (JSON, which is YAML)."""
    labels = {REAL: "true"}
    mounts = [
        {"hostPath": str(wanted.policy), "containerPath": _POLICY, "readOnly": True},
        {"hostPath": str(wanted.audit), "containerPath": _AUDIT},
    ]
    nodes: list[dict[str, Any]] = [{"role": "control-plane", "labels": labels, "extraMounts": mounts}]
    nodes += [{"role": "worker", "labels": labels} for _ in range(wanted.workers)]
    config = {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "nodes": nodes,
        "kubeadmConfigPatches": [json.dumps(patch) for patch in _patches(wanted)],
    }
    return json.dumps(config, indent=2)


def _patches(wanted: NodeLayout) -> Iterable[dict[str, Any]]:
    """Merge patches of kubeadm's configuration. Flags are a map, as they were up to Kubernetes 1.35.

    Without an apiVersion kind merges them into whatever it writes itself, a list since 1.36.
    """
    volumes = [
        {
            "name": f"kubeproof-{path.rpartition('/')[2]}",
            "hostPath": path,
            "mountPath": path,
            "pathType": "Directory",
            "readOnly": path == _POLICY,
        }
        for path in (_POLICY, _AUDIT)
    ]
    yield {
        "kind": "ClusterConfiguration",
        "apiServer": {"extraArgs": dict(_API_FLAGS), "extraVolumes": volumes},
        "controllerManager": {"extraArgs": dict(CONTROLLER_FLAGS)},
        "scheduler": {"extraArgs": dict(SCHEDULER_FLAGS)},
        "etcd": {"local": {"extraArgs": {} if wanted.durable else dict(_ETCD_FLAGS)}},
    }
    if wanted.old_cgroups:
        yield {"kind": "KubeletConfiguration", "failCgroupV1": False}
