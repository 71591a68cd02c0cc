"""Debian file systems, made from packages: what every image that is built here stands on."""

from __future__ import annotations

import os
import re
import shutil
from collections import deque
from collections.abc import Iterable
from pathlib import Path

from graders.clusters.nodeimages.archive import run_tool
from graders.faults import InfraFault
from graders.process import printing
from graders.progress import Progress

SUITE = "bookworm"
MIRROR_VARIABLE = "KUBEPROOF_DEBIAN_MIRROR"
_TAIL_LINES = 8
_STEP = re.compile(r"^I: (Retrieving|Validating|Extracting|Unpacking|Configuring) ([a-z0-9][a-z0-9+.-]*)")
_UNWANTED = ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info", "usr/share/lintian")
_EMPTIED = ("var/cache/apt", "var/lib/apt/lists", "var/log", "var/cache/debconf")
_LIBRARY = re.compile(r"(?:=> )?(/\S+) \(0x[0-9a-f]+\)")


def make_debian(folder: Path, packages: Iterable[str], title: str, progress: Progress) -> None:
    """Install Debian with `packages` in `folder`.

    They come from the mirror that `KUBEPROOF_DEBIAN_MIRROR` names, else from the one debootstrap takes.

    Raises:
        InfraFault: this is not root, debootstrap is missing, or a package cannot be had.
    """
    if os.geteuid() != 0:
        raise InfraFault(
            f"{title}: only root can build images",
            fix="build them as root, or on another machine: `kubeproof kind image --save FILE` there and "
            "`kubeproof kind image --load FILE` here",
        )
    if shutil.which("debootstrap") is None:
        raise InfraFault(
            f"{title}: debootstrap is not installed",
            fix="on Debian and Ubuntu: apt-get install debootstrap debian-archive-keyring",
        )
    # It mounts things below the folder, and starts many programs: should it be killed, all that goes with it.
    alone = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    command = [
        *alone,
        "debootstrap",
        "--variant=minbase",
        f"--include={','.join(packages)}",
        SUITE,
        str(folder),
    ]
    command += filter(None, [os.environ.get(MIRROR_VARIABLE)])
    tail: deque[str] = deque(maxlen=_TAIL_LINES)
    with progress.task(title) as task:
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
        with printing(command, environment=environment) as (process, lines):
            for count, line in enumerate(lines, start=1):
                tail.append(line.strip())
                if step := _STEP.match(tail[-1]):
                    task.update(done=count, detail=f"{step[1].lower()} {step[2]}")
            status = process.wait()
    if status != 0:
        raise InfraFault(
            f"debootstrap failed (exit {status}):\n    " + "\n    ".join(tail),
            fix=f"check that this machine reaches a mirror of Debian; {MIRROR_VARIABLE} can name one",
        )
    _slim(folder)


def with_libraries(root: Path, programs: Iterable[str]) -> list[str]:
    """`programs` of the file system `root` and every file that they need to run, as absolute paths in it.

    Symbolic links stand beside what they point to.
    """
    given = list(programs)
    printed = run_tool(["chroot", str(root), "/usr/bin/ldd", *given])
    wanted: dict[str, None] = {}
    for file in (*given, *_LIBRARY.findall(printed)):
        wanted |= dict.fromkeys(_chain(root, file))
    return list(wanted)


def copy_files(root: Path, files: Iterable[str], target: Path) -> None:
    """Copy `files`, absolute paths in the file system `root`, to the same paths in `target`."""
    for name in ("bin", "sbin", "lib", "lib64"):
        # Merged /usr: these are links to folders below it.
        if (link := root / name).is_symlink() and not (target / name).is_symlink():
            target.mkdir(parents=True, exist_ok=True)
            (target / name).symlink_to(link.readlink())
    for file in files:
        place = target / file.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(root / file.lstrip("/"), place, follow_symlinks=False)


def _chain(root: Path, file: str) -> list[str]:
    """A file, and the files that it leads to as a symbolic link; folders on the way are resolved."""
    files = []
    while True:
        parent = Path(os.path.realpath(root / Path(file).parent.relative_to("/")))
        if not parent.is_relative_to(root):
            parent = Path(file).parent
        else:
            parent = Path("/") / parent.relative_to(root)
        file = str(parent / Path(file).name)
        files.append(file)
        inside = root / file.lstrip("/")
        if not inside.is_symlink():
            return files
        file = os.path.normpath(parent / inside.readlink())


def _slim(folder: Path) -> None:
    """Drop what only people read, and what is different each time."""
    for name in _UNWANTED:
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in _EMPTIED:
        shutil.rmtree(folder / name, ignore_errors=True)
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "var/lib/apt/lists/partial").mkdir(exist_ok=True)
    (folder / "var/cache/apt/archives/partial").mkdir(parents=True, exist_ok=True)
