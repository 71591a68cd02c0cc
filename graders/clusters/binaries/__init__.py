"""The control-plane programs of the embedded cluster, and how they come to this machine.

Looked for in this order: the folder that `KUBEPROOF_BINARIES` names; the cache; the upstream release
downloads, each checked against its published SHA-256; a build from the pinned Go modules in
`graders/clusters/controlplane` with a Go toolchain fetched for it.
"""

from graders.clusters.binaries.catalog import CORE, ETCD, KUBERNETES, KWOK, machine_platform
from graders.clusters.binaries.ensure import Sources, ensure_binaries, find_binaries
from graders.clusters.binaries.store import Binaries

__all__ = [
    "CORE",
    "ETCD",
    "KUBERNETES",
    "KWOK",
    "Binaries",
    "Sources",
    "ensure_binaries",
    "find_binaries",
    "machine_platform",
]
