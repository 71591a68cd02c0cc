"""Kernel settings of the whole machine that an engine and its nodes change, so that they can be put back."""

import contextlib
from collections.abc import Iterable, Mapping
from pathlib import Path

NAMES = (
    # dockerd and its networks
    "net.ipv4.ip_forward",
    "net.ipv6.conf.all.forwarding",
    "net.ipv6.conf.default.forwarding",
    "net.bridge.bridge-nf-call-iptables",
    "net.bridge.bridge-nf-call-ip6tables",
    # kubelet
    "vm.overcommit_memory",
    "vm.panic_on_oom",
    "kernel.panic",
    "kernel.panic_on_oops",
    "kernel.keys.root_maxkeys",
    "kernel.keys.root_maxbytes",
    # kube-proxy
    "net.netfilter.nf_conntrack_max",
    # systemd in the nodes
    "fs.file-max",
    "fs.nr_open",
    "kernel.pid_max",
    "kernel.threads-max",
    "kernel.core_pattern",
    "kernel.sysrq",
    "fs.protected_fifos",
    "fs.protected_hardlinks",
    "fs.protected_regular",
    "fs.protected_symlinks",
    # ours, for the nodes
    "fs.inotify.max_user_instances",
    "fs.inotify.max_user_watches",
)
"""What may be changed; a kernel need not have all of them."""

INOTIFY_INSTANCES = "fs.inotify.max_user_instances"
INOTIFY_INSTANCES_WANTED = 1024
"""The usual limit, 128, is used up by three clusters."""

_PROC = Path("/proc/sys")


def read(names: Iterable[str] = NAMES, *, proc: Path = _PROC) -> Mapping[str, str]:
    """The values of those settings that this kernel has."""
    values: dict[str, str] = {}
    for name in names:
        with contextlib.suppress(OSError):
            values[name] = _file(name, proc).read_text("ascii").strip()
    return values


def restore(previous: Mapping[str, str], *, proc: Path = _PROC) -> list[str]:
    """Put back what differs from `previous`; returns the names of what could not be put back."""
    now = read(previous, proc=proc)
    return [
        name for name, value in previous.items() if now.get(name) != value and not _put(name, value, proc)
    ]


def raise_inotify_limit(*, proc: Path = _PROC) -> None:
    """Let more than three clusters watch files; a limit that is high enough stays as it is."""
    value = read((INOTIFY_INSTANCES,), proc=proc).get(INOTIFY_INSTANCES, "")
    if value.isdecimal() and int(value) < INOTIFY_INSTANCES_WANTED:
        _put(INOTIFY_INSTANCES, str(INOTIFY_INSTANCES_WANTED), proc)


def _put(name: str, value: str, proc: Path) -> bool:
    try:
        _file(name, proc).write_text(f"{value}\n", "ascii")
    except OSError:
        return False
    return True


def _file(name: str, proc: Path) -> Path:
    return proc / name.replace(".", "/")
