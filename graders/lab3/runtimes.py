"""The Python environments of lab 3: what experiments, notebooks and kube-hunter run with, each by itself."""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).parent
CHAOS = _HERE / "chaos-requirements.txt"
NOTEBOOK = _HERE / "notebook-requirements.txt"
HUNTER = _HERE / "hunter-requirements.txt"
LOCKS = (CHAOS, NOTEBOOK, HUNTER)
"""All of them, for `kubeproof setup`."""
