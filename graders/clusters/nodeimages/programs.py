"""The programs of a kind node, and kind itself: which there are, and what builds them.

The control plane's come from the store of the embedded cluster; they are not built twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from graders.clusters.binaries.build import GoModule
from graders.clusters.binaries.catalog import (
    CONTROLPLANE,
    KUBERNETES,
    Platform,
    cache_key,
)
from graders.clusters.binaries.ensure import Wanted, obtain
from graders.clusters.binaries.store import Store
from graders.paths import cache_folder
from graders.progress import Progress

CONTAINERD = "v2.3.7"
CNI_PLUGINS = "v1.9.1"
COREDNS = "v1.14.6"
NODE_VERSIONS: Mapping[str, str] = {"node": KUBERNETES, "cni": CNI_PLUGINS}
RUNTIME_VERSIONS: Mapping[str, str] = {"containerd": CONTAINERD}

NODE_MODULE = CONTROLPLANE.parent / "nodeprograms"
RUNTIME_MODULE = CONTROLPLANE.parent / "noderuntime"
"""containerd does not go together with the Kubernetes of the other: it is made for an older interface."""

NODE_PACKAGES: Mapping[str, str] = {
    "kubelet": "k8s.io/kubernetes/cmd/kubelet",
    "kubeadm": "k8s.io/kubernetes/cmd/kubeadm",
    "kubectl": "k8s.io/kubernetes/cmd/kubectl",
    "kube-proxy": "k8s.io/kubernetes/cmd/kube-proxy",
    "host-local": "github.com/containernetworking/plugins/plugins/ipam/host-local",
    "bridge": "github.com/containernetworking/plugins/plugins/main/bridge",
    "loopback": "github.com/containernetworking/plugins/plugins/main/loopback",
    "ptp": "github.com/containernetworking/plugins/plugins/main/ptp",
    "portmap": "github.com/containernetworking/plugins/plugins/meta/portmap",
}
"""Programs as others make them."""

RUNTIME_PACKAGES: Mapping[str, str] = {
    name: f"github.com/containerd/containerd/v2/cmd/{name}"
    for name in ("containerd", "containerd-shim-runc-v2", "ctr")
}

OWN_PACKAGES: Mapping[str, str] = {
    name: f"kubeproof/nodeprograms/{name}" for name in ("awaitpolicies", "coredns", "nodenetwork", "pause")
}
"""Programs of which we have at least the main package."""

_CONTAINERD_VERSION = {"github.com/containerd/containerd/v2/version.Version": CONTAINERD}
_CONTAINERD_TAGS = ("no_aufs", "no_btrfs", "no_devmapper", "no_zfs")


@dataclass(frozen=True)
class Part:
    """Programs that are built and kept together."""

    title: str
    module: GoModule
    versions: Mapping[str, str]

    def store(self, target: Platform) -> Store:
        """The cache's store of these programs."""
        key = cache_key(target, self.module.folder, self.versions)
        return Store(cache_folder() / "binaries" / key, target, self.versions)


def parts() -> tuple[Part, ...]:
    """All programs that a node has beside the control plane's."""
    return (
        Part("programs of kind nodes", GoModule(NODE_MODULE, NODE_PACKAGES), NODE_VERSIONS),
        Part("own programs of kind nodes", GoModule(NODE_MODULE, OWN_PACKAGES), own_versions()),
        Part(
            "container runtime of kind nodes",
            GoModule(RUNTIME_MODULE, RUNTIME_PACKAGES, _CONTAINERD_VERSION, tags=_CONTAINERD_TAGS),
            RUNTIME_VERSIONS,
        ),
    )


def ensure_node_programs(target: Platform, progress: Progress) -> Mapping[str, Path]:
    """Have the programs that a node has beside the control plane's; gives where each is.

    Raises:
        InfraFault: the build fails.
    """
    found: dict[str, Path] = {}
    for part in parts():
        packages, store = part.module.packages, part.store(target)
        if store.missing(packages):
            obtain(store, Wanted(part.title, tuple(packages), part.module), (), progress)
        found |= {program: store.folder / program for program in packages}
    return found


def own_versions() -> Mapping[str, str]:
    """What the programs of ours are made from: CoreDNS, and the text of their sources."""
    digest = hashlib.sha256()
    for source in sorted(NODE_MODULE.rglob("*.go")):
        if not source.name.endswith("_test.go"):
            digest.update(f"{source.relative_to(NODE_MODULE)}\0{source.read_text('utf-8')}\0".encode())
    return {"own": digest.hexdigest()[:12], "coredns": COREDNS}
