"""The clients of etcd that a runbook has at hand: a toolset of their own."""

from pathlib import Path

from graders.clusters.binaries import ETCD
from graders.tools import Program, Project, Release, Toolset


def _program(name: str) -> Program:
    tar = "etcd-{version}-{system}-{arch}"
    release = Release(
        url=f"{{github}}/etcd-io/etcd/releases/download/{{version}}/{tar}.tar.gz",
        sums="{github}/etcd-io/etcd/releases/download/{version}/SHA256SUMS",
        member=f"{tar}/{name}",
    )
    return Program(name, Project(name, f"go.etcd.io/etcd/{name}/v3", ETCD), release=release)


ETCD_TOOLS = Toolset(
    "etcd-tools",
    "etcd's command-line tools",
    Path(__file__).with_name("etcdtools"),
    (_program("etcdctl"), _program("etcdutl")),
)
