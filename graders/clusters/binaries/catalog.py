"""Which programs an embedded cluster is made of, and in which versions."""

from pathlib import Path

from graders.tools import Platform, Program, Project, Release, Toolset, machine_platform

__all__ = ["CONTROL_PLANE", "CORE", "ETCD", "KUBERNETES", "KWOK", "Platform", "machine_platform"]

KUBERNETES = "v1.37.2"
ETCD = "v3.7.3"
KWOK = "v0.8.0"

CORE = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok")
"""What every embedded cluster runs; `kwokctl` is built only where it is measured against."""

KUBERNETES_PROJECT = Project("kubernetes", "k8s.io/kubernetes", KUBERNETES)
_ETCD = Project("etcd", "go.etcd.io/etcd/server/v3", ETCD)
_KWOK = Project("kwok", "sigs.k8s.io/kwok", KWOK)

_KUBERNETES_RELEASE = Release(
    url="{kubernetes}/{version}/bin/{system}/{arch}/{program}",
    sums="{kubernetes}/{version}/bin/{system}/{arch}/{program}.sha256",
)
_ETCD_RELEASE = Release(
    url="{github}/etcd-io/etcd/releases/download/{version}/etcd-{version}-{system}-{arch}.tar.gz",
    sums="{github}/etcd-io/etcd/releases/download/{version}/SHA256SUMS",
    member="etcd-{version}-{system}-{arch}/etcd",
)
_KWOK_RELEASE = Release(
    url="{github}/kubernetes-sigs/kwok/releases/download/{version}/{program}-{system}-{arch}",
    # It publishes no file of sums, but the listing has a digest for each asset.
    sums="{github_api}/repos/kubernetes-sigs/kwok/releases/tags/{version}",
)

_MAJOR, _MINOR = KUBERNETES.removeprefix("v").split(".")[:2]
VERSION_VARIABLES = {
    f"k8s.io/component-base/version.{name}": value
    for name, value in {
        "gitVersion": KUBERNETES,
        "gitMajor": _MAJOR,
        "gitMinor": _MINOR,
        "gitTreeState": "clean",
        "gitCommit": "unknown",
    }.items()
}
"""What programs of Kubernetes say of their version."""

CONTROL_PLANE = Toolset(
    "control-plane",
    "control-plane binaries",
    Path(__file__).resolve().parent.parent / "controlplane",
    (
        *(
            Program(name, KUBERNETES_PROJECT, f"cmd/{name}", _KUBERNETES_RELEASE)
            for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
        ),
        Program("etcd", _ETCD, release=_ETCD_RELEASE),
        *(Program(name, _KWOK, f"cmd/{name}", _KWOK_RELEASE) for name in ("kwok", "kwokctl")),
    ),
    VERSION_VARIABLES,
    sums_alone=True,
)
