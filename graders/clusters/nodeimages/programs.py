"""The programs of a kind node: which there are, and what builds them.

The control plane's come from the store of the embedded cluster; they are not built twice.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from graders.clusters.binaries.catalog import KUBERNETES, KUBERNETES_PROJECT, VERSION_VARIABLES
from graders.progress import Progress
from graders.tools import Program, Project, Toolset, ensure

_ROOM = Path(__file__).resolve().parent.parent
_MODULE, _OWN = _ROOM / "nodeprograms", "kubeproof/nodeprograms"
_CONTAINERD, _COREDNS = "v2.3.7", "v1.14.6"
_RUNTIMES = Project("containerd", "github.com/containerd/containerd/v2", _CONTAINERD)
_PLUGINS = Project("cni", "github.com/containernetworking/plugins", "v1.9.1")

_NODE = Toolset(
    "node-programs",
    "programs of kind nodes",
    _MODULE,
    (
        *(
            Program(name, Project("node", KUBERNETES_PROJECT.module, KUBERNETES), f"cmd/{name}")
            for name in ("kubelet", "kubeadm", "kubectl", "kube-proxy")
        ),
        *(
            Program(path.rpartition("/")[2], _PLUGINS, f"plugins/{path}")
            for path in ("ipam/host-local", "main/bridge", "main/loopback", "main/ptp", "meta/portmap")
        ),
    ),
    VERSION_VARIABLES,
    sums_alone=True,
)
"""Programs as others make them."""

_RUNTIME = Toolset(
    "node-runtime",
    "container runtime of kind nodes",
    # containerd does not go together with the Kubernetes of the other: it is made for an older interface.
    _ROOM / "noderuntime",
    tuple(
        Program(name, _RUNTIMES, f"cmd/{name}") for name in ("containerd", "containerd-shim-runc-v2", "ctr")
    ),
    {"github.com/containerd/containerd/v2/version.Version": _CONTAINERD},
    ("no_aufs", "no_btrfs", "no_devmapper", "no_zfs"),
    sums_alone=True,
)


def node_toolsets() -> tuple[Toolset, ...]:
    """All programs that a node has beside the control plane's."""
    own, coredns = Project("own", _OWN, own_version()), Project("coredns", _OWN, _COREDNS)
    programs = {"awaitpolicies": own, "coredns": coredns, "nodenetwork": own, "pause": own}
    ours = Toolset(
        "node-own-programs",
        "own programs of kind nodes",
        _MODULE,
        tuple(Program(name, project, name) for name, project in programs.items()),
        VERSION_VARIABLES,
        sums_alone=True,
    )
    return (_NODE, ours, _RUNTIME)


def ensure_node_programs(progress: Progress) -> Mapping[str, Path]:
    """Have the programs that a node has beside the control plane's; gives where each is.

    Raises:
        InfraFault: the build fails.
    """
    had = [(toolset.names, ensure(toolset, progress)) for toolset in node_toolsets()]
    return {name: tools.path(name) for names, tools in had for name in names}


def own_version() -> str:
    """What the programs of which we have at least the main package are made from: their sources."""
    digest = hashlib.sha256()
    for source in sorted(_MODULE.rglob("*.go")):
        if not source.name.endswith("_test.go"):
            digest.update(f"{source.relative_to(_MODULE)}\0{source.read_text('utf-8')}\0".encode())
    return digest.hexdigest()[:12]
