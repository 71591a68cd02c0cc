"""The images that a control plane's static pods, kube-proxy and CoreDNS run, packed from programs.

Their names are kubeadm's own; no registry is asked for them.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from graders.clusters.binaries.catalog import KUBERNETES, Platform
from graders.clusters.nodeimages.archive import Image, pack_tree, run_tool, write_image
from graders.clusters.nodeimages.rootfs import copy_files, with_libraries
from graders.faults import InfraFault

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PROXY_NEEDS = (
    "/usr/sbin/xtables-nft-multi",
    "/usr/sbin/xtables-legacy-multi",
    *(f"/usr/sbin/{family}{mode}{action}"
      for family in ("iptables", "ip6tables")
      for mode in ("", "-nft", "-legacy")
      for action in ("", "-save", "-restore")),
    "/usr/sbin/nft",
    "/usr/sbin/conntrack",
    "/usr/bin/ip",
    "/usr/bin/kmod",
    "/usr/sbin/modprobe",
)  # fmt: skip
"""What kube-proxy starts, besides the extensions of iptables."""


@dataclass(frozen=True)
class Makings:
    """What images are packed from: programs by name, and a Debian file system for what needs more."""

    programs: Mapping[str, Path]
    debian: Path
    platform: Platform


def image_names(kubeadm: Path) -> Mapping[str, str]:
    """The references that kubeadm wants, by the last part of their names: `kube-proxy`, `pause`, ….

    Raises:
        InfraFault: kubeadm does not say.
    """
    printed = run_tool([str(kubeadm), "config", "images", "list", "--kubernetes-version", KUBERNETES])
    names = {line.rpartition(":")[0].rpartition("/")[2]: line for line in printed.split()}
    if "pause" not in names:
        raise InfraFault(f"kubeadm names no images: {printed[:200]!r}", fix="report this to the course")
    return names


def write_images(makings: Makings, names: Mapping[str, str], folder: Path) -> Mapping[str, Path]:
    """Pack every image of `names` into an archive in `folder`; gives the archives by reference."""
    archives = {}
    for name, reference in names.items():
        tree, layer, archive = (folder / f"{name}{suffix}" for suffix in ("", ".layer", ".tar"))
        (tree / "usr/local/bin").mkdir(parents=True)
        (tree / "tmp").mkdir(mode=0o1777)
        shutil.copy2(makings.programs[name], tree / "usr/local/bin" / name)
        if name == "kube-proxy":
            _add_tools(makings.debian, tree)
        pack_tree(tree, layer)
        image = Image(
            reference,
            makings.platform,
            environment={"PATH": _PATH},
            entrypoint=(f"/usr/local/bin/{name}",),
        )
        with archive.open("wb") as stream:
            write_image(image, layer, stream)
        shutil.rmtree(tree)
        layer.unlink()
        archives[reference] = archive
    return archives


def _add_tools(debian: Path, tree: Path) -> None:
    extensions = [f"/{file.relative_to(debian)}" for file in (debian / "usr/lib").glob("*/xtables/*.so")]
    copy_files(debian, with_libraries(debian, [*_PROXY_NEEDS, *extensions]), tree)
