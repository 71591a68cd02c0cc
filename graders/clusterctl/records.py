"""What calls of CLUSTER_CTL leave in a bundle."""

from dataclasses import dataclass
from typing import ClassVar

CONTROL_PLANE_PARTS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
"""What it calls by name."""


@dataclass(frozen=True)
class ControlCall:
    """One call of `CLUSTER_CTL`, from `t` to `t_end`; `changes` says whether it may have changed anything."""

    FILE: ClassVar[str] = "controlcalls.jsonl"

    t: float
    t_end: float
    words: tuple[str, ...]
    code: int
    said: str
    changes: bool
    cluster: str = ""
