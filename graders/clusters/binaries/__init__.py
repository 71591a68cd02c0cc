"""The control-plane programs of the embedded cluster.

The folder that `KUBEPROOF_BINARIES` names goes before all that `graders.tools` would do.
"""

from graders.clusters.binaries.catalog import CORE, ETCD, KUBERNETES, KWOK, machine_platform
from graders.clusters.binaries.ensure import Binaries, ensure_binaries, find_binaries

__all__ = [
    "CORE",
    "ETCD",
    "KUBERNETES",
    "KWOK",
    "Binaries",
    "ensure_binaries",
    "find_binaries",
    "machine_platform",
]
