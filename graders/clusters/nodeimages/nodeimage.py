"""Builds the image of kind's nodes from Debian packages and programs of ours: no registry is asked.

The files in `node/` are what makes it a kind node; `/kind/` is where kind looks for what it expects.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from graders.clusters.binaries.catalog import KUBERNETES, Platform
from graders.clusters.nodeimages.archive import Image, compressed, pack_tree, run_tool, write_image
from graders.clusters.nodeimages.controlplaneimages import Makings, image_names, write_images
from graders.clusters.nodeimages.imagecache import KEY_LABEL
from graders.clusters.nodeimages.rootfs import make_debian
from graders.faults import InfraFault
from graders.polling import NotYet, TimedOut, wait_for
from graders.process import kill_group, spawn
from graders.progress import Progress, Task

FILES = Path(__file__).with_name("node")

PACKAGES = (
    "ca-certificates", "conntrack", "ethtool", "iproute2", "iptables", "jq", "kmod", "libseccomp2", "mount",
    "nftables", "procps", "runc", "socat", "systemd", "systemd-sysv", "util-linux",
)  # fmt: skip

_PLACES: Mapping[str, str] = {
    "entrypoint.sh": "usr/local/bin/entrypoint",
    "cgroups-v2.sh": "kind/bin/cgroups-v2.sh",
    "containerd.toml": "etc/containerd/config.toml",
    "containerd.service": "etc/systemd/system/containerd.service",
    "kubelet.service": "etc/systemd/system/kubelet.service",
    "kubelet.slice": "etc/systemd/system/kubelet.slice",
    "nodenetwork.service": "etc/systemd/system/nodenetwork.service",
    "default-cni.yaml": "kind/manifests/default-cni.yaml",
    "default-storage.yaml": "kind/manifests/default-storage.yaml",
}
"""Where each file of `node/` goes."""

_PROGRAM_FOLDERS: Mapping[str, tuple[str, ...]] = {
    "usr/bin": ("kubelet", "kubeadm", "kubectl"),
    "usr/local/bin": ("containerd", "containerd-shim-runc-v2", "ctr", "nodenetwork"),
    "opt/cni/bin": ("host-local", "bridge", "loopback", "ptp", "portmap", "awaitpolicies"),
}
_SERVICES = ("containerd.service", "kubelet.service", "nodenetwork.service")

_MASKED = (
    # These would change settings of the whole machine, not of the node.
    "systemd-sysctl.service", "systemd-binfmt.service", "systemd-modules-load.service",
    "proc-sys-fs-binfmt_misc.automount", "proc-sys-fs-binfmt_misc.mount",
    # These would show the node the machine's kernel.
    "sys-kernel-debug.mount", "sys-kernel-tracing.mount", "sys-kernel-config.mount",
    "console-getty.service", "getty.target", "systemd-logind.service",
)  # fmt: skip

_DROPPED = (
    "lib/systemd/system/sysinit.target.wants/systemd-tmpfiles-setup.service",
    "lib/systemd/system/multi-user.target.wants/*",
    "lib/systemd/system/local-fs.target.wants/*",
    "lib/systemd/system/basic.target.wants/*",
    "lib/systemd/system/sockets.target.wants/*udev*",
    "lib/systemd/system/sockets.target.wants/*initctl*",
    "etc/systemd/system/*.wants/*",
)
"""What starts with a machine, and has no place in a container."""

_CONTAINERD_READY_S = 30.0


def build_node_image(
    reference: str,
    key: str,
    programs: Mapping[str, Path],
    target: Platform,
    scratch: Path,
    progress: Progress,
) -> Path:
    """Build the image into a compressed archive in `scratch`; gives where that is.

    It says `key` in its label. `programs` are all that a node and its control plane run. Building takes about
    three minutes, most of them for installing Debian.

    Raises:
        InfraFault: a package cannot be had, or there is no room.
    """
    scratch = scratch.resolve()
    root, images = scratch / "root", scratch / "images"
    images.mkdir()
    make_debian(root, PACKAGES, "installing Debian for kind nodes", progress)
    with progress.task("putting the node image together", total=4.0) as task:
        names = image_names(programs["kubeadm"])
        _furnish(root, programs, names["pause"])
        task.update(done=1.0, detail="packing the control plane's images")
        archives = write_images(Makings(programs, root, target), names, images)
        task.update(done=2.0, detail="unpacking them in the node")
        _import_images(root, programs, archives, scratch, task)
        task.update(done=3.0, detail="compressing")
        return _pack(reference, key, root, target, scratch)


def _furnish(root: Path, programs: Mapping[str, Path], pause: str) -> None:
    """Make a kind node of a Debian file system."""
    for pattern in _DROPPED:
        for file in root.glob(pattern):
            file.unlink()
    units = root / "etc/systemd/system"
    for name in _MASKED:
        (units / name).unlink(missing_ok=True)
        (units / name).symlink_to("/dev/null")
    for name, place in _PLACES.items():
        file = root / place
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text((FILES / name).read_text("utf-8").replace("@PAUSE@", pause), "utf-8")
        file.chmod(0o755 if name.endswith(".sh") else 0o644)
    for folder, names in _PROGRAM_FOLDERS.items():
        (root / folder).mkdir(parents=True, exist_ok=True)
        for name in names:
            shutil.copy2(programs[name], root / folder / name)
    wants = units / "multi-user.target.wants"
    wants.mkdir(exist_ok=True)
    for name in _SERVICES:
        (wants / name).symlink_to(f"/etc/systemd/system/{name}")
    (units / "default.target").unlink(missing_ok=True)
    (units / "default.target").symlink_to("/lib/systemd/system/multi-user.target")
    journal = root / "etc/systemd/journald.conf.d/kind.conf"
    journal.parent.mkdir(parents=True, exist_ok=True)
    journal.write_text("[Journal]\nReadKMsg=no\n", "utf-8")
    (root / "etc/default/kubelet").write_text(
        "KUBELET_EXTRA_ARGS=--runtime-cgroups=/system.slice/containerd.service\n", "utf-8"
    )
    (root / "kind/version").write_text(KUBERNETES, "utf-8")
    (root / "etc/kubernetes/manifests").mkdir(parents=True, exist_ok=True)
    for name in ("etc/machine-id", "var/lib/dbus/machine-id", "etc/hostname"):
        (root / name).unlink(missing_ok=True)
    (root / "etc/resolv.conf").unlink(missing_ok=True)


def _import_images(
    root: Path, programs: Mapping[str, Path], archives: Mapping[str, Path], scratch: Path, task: Task
) -> None:
    """Unpack the images where the node's containerd will look for them, by running it here for a moment."""
    with _containerd(root, programs["containerd"], scratch) as socket:
        for reference, archive in archives.items():
            task.update(detail=reference)
            command = [programs["ctr"], f"--address={socket}", "--namespace=k8s.io", "images", "import"]
            options = ["--local", "--discard-unpacked-layers", "--label=io.cri-containerd.pinned=pinned"]
            run_tool([*map(str, command), *options, str(archive)])
            archive.unlink()


@contextmanager
def _containerd(root: Path, program: Path, scratch: Path) -> Iterator[Path]:
    """Run containerd over the node's own folders; gives its socket."""
    state, log = scratch / "c", scratch / "containerd.log"
    socket = state / "s"
    configuration = scratch / "containerd.toml"
    configuration.write_text(
        f'version = 3\nroot = "{root}/var/lib/containerd"\nstate = "{state}"\n'
        'disabled_plugins = ["io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime", '
        '"io.containerd.grpc.v1.cri", "io.containerd.nri.v1.nri"]\n'
        f'[grpc]\naddress = "{socket}"\n[ttrpc]\naddress = "{socket}.t"\n'
    )
    with log.open("wb") as stream:
        process = spawn([program, "--config", configuration], stdout=stream, stderr=subprocess.STDOUT)

        def ready() -> None:
            if process.poll() is not None or not socket.exists():
                raise NotYet(log.read_text("utf-8", "replace")[-600:])

        try:
            wait_for(ready, timeout_s=_CONTAINERD_READY_S, interval_s=0.1)
            yield socket
            process.terminate()
            process.wait(_CONTAINERD_READY_S)
        except (TimedOut, subprocess.TimeoutExpired) as error:
            raise InfraFault(f"containerd does not run here: {error}") from error
        finally:
            kill_group(process)
            shutil.rmtree(state, ignore_errors=True)


def _pack(reference: str, key: str, root: Path, target: Platform, scratch: Path) -> Path:
    layer, file = scratch / "layer.tar", scratch / "image.tar.zst"
    pack_tree(root, layer)
    image = Image(
        reference,
        target,
        environment={
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "container": "docker",
        },
        entrypoint=("/usr/local/bin/entrypoint", "/sbin/init"),
        labels={KEY_LABEL: key, "kubeproof.kubernetes": KUBERNETES},
        stop_signal="SIGRTMIN+3",
    )
    with compressed(file) as stream:
        write_image(image, layer, stream)
    layer.unlink()
    return file
