"""Which programs an embedded cluster is made of, in which versions, on which platforms."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from graders.faults import UsageError

KUBERNETES = "v1.37.2"
ETCD = "v3.7.3"
KWOK = "v0.8.0"
VERSIONS: Mapping[str, str] = {"kubernetes": KUBERNETES, "etcd": ETCD, "kwok": KWOK}

CORE = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok")
"""What every embedded cluster runs; `kwokctl` is built only where it is measured against."""

CONTROLPLANE = Path(__file__).resolve().parent.parent / "controlplane"
"""The Go module that pins and builds the programs."""

PACKAGES: Mapping[str, str] = {
    "etcd": "go.etcd.io/etcd/server/v3",
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
    "kube-scheduler": "k8s.io/kubernetes/cmd/kube-scheduler",
    "kwok": "sigs.k8s.io/kwok/cmd/kwok",
    "kwokctl": "sigs.k8s.io/kwok/cmd/kwokctl",
}

_MAJOR, _MINOR = KUBERNETES.removeprefix("v").split(".")[:2]
VERSION_VARIABLES: Mapping[str, str] = {
    f"k8s.io/component-base/version.{name}": value
    for name, value in {
        "gitVersion": KUBERNETES,
        "gitMajor": _MAJOR,
        "gitMinor": _MINOR,
        "gitTreeState": "clean",
        "gitCommit": "unknown",
    }.items()
}
"""What the programs say of their version: string variables that the linker sets."""

KIND = "v0.33.0"
KIND_VERSIONS: Mapping[str, str] = {"kind": KIND}
KIND_COMMAND = CONTROLPLANE.parent / "kindcommand"
"""The Go module that pins and builds kind."""

KIND_PACKAGES: Mapping[str, str] = {"kind": "sigs.k8s.io/kind"}

_ARCHITECTURES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


@dataclass(frozen=True)
class Platform:
    """An operating system and architecture in Go's words."""

    system: str
    arch: str

    def __str__(self) -> str:
        return f"{self.system}-{self.arch}"


def machine_platform() -> Platform:
    """The platform at hand.

    Raises:
        UsageError: embedded clusters do not run here; the message says which providers do.
    """
    system, machine = platform.system(), platform.machine()
    arch = _ARCHITECTURES.get(machine.lower())
    if system != "Linux" or arch is None:
        raise UsageError(
            f"embedded clusters run on Linux x86-64 and arm64, and this machine is {system} {machine}",
            fix="use `--provider kind` (needs a Docker engine) or "
            "`--provider existing --kubeconfig FILE` (any cluster you may use)",
        )
    return Platform("linux", arch)


def cache_key(target: Platform, module: Path = CONTROLPLANE, versions: Mapping[str, str] = VERSIONS) -> str:
    """Names one set of programs: their versions, the platform and the exact modules they build from."""
    modules = hashlib.sha256((module / "go.sum").read_bytes()).hexdigest()[:12]
    return "-".join([*(f"{name}-{version}" for name, version in versions.items()), str(target), modules])
