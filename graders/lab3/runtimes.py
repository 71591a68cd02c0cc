"""What lab 3 has installed: Python environments of experiments, notebooks and kube-hunter, and programs."""

from pathlib import Path

from graders.runbooks.tools import ETCD_TOOLS

_HERE = Path(__file__).parent
CHAOS = _HERE / "chaos-requirements.txt"
NOTEBOOK = _HERE / "notebook-requirements.txt"
HUNTER = _HERE / "hunter-requirements.txt"
LOCKS = (CHAOS, NOTEBOOK, HUNTER)
"""All of them, for `kubeproof setup`."""
TOOLSETS = (ETCD_TOOLS,)
