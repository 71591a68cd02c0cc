"""The sandbox: bubblewrap makes the view, and nobody's user id runs the learner's code.

Started by an ordinary user, one bubblewrap makes namespaces of every kind, a user namespace among them.
Started by root, a user namespace would map the learner's user to root itself, so there is none:
bubblewrap makes the other namespaces and `setpriv` gives up root for an unprivileged id of the
sandbox's own, with no capability and no way to a new one. In both a system-call filter refuses new
user namespaces and what else reaches around the walls (`graders.sandbox.syscalls`).

Not bounded, for only control groups could and ordinary users seldom have them: memory that was shared,
filled and then dropped from every process's view; the number of empty files in a tmpfs that is no writable
mount. When the machine runs out of memory the kernel is told to take the learner's processes first.
"""

import contextlib
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

from graders.faults import InfraFault
from graders.sandbox.enclosure import BESIDE_LAUNCHER, LAUNCHER, Enclosure, Scratch, launch, shared_folder
from graders.sandbox.identities import identity
from graders.sandbox.protocol import MIB, SandboxSpec, View
from graders.sandbox.quotas import bounded_folders
from graders.sandbox.supervision import SandboxedProcess
from graders.sandbox.syscalls import filter_file

_SUBMISSION = "/submission"
_WORK = "/run/work"
_FILES = "/run/kubeproof"
_HOME = "/run/home"
_LAUNCHER = "/run/launcher"
_SEEDS = "/run/seeds"
_OWN_ID = 1000
_NAMESPACES = (
    "--unshare-pid",
    "--unshare-net",
    "--unshare-ipc",
    "--unshare-uts",
    "--unshare-cgroup-try",
)
_SYSTEM = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_ETC = {
    "group": "root:x:0:\nlearner:x:{id}:\nnogroup:x:65534:\n",
    "hosts": "127.0.0.1 localhost kubeproof\n::1 localhost\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
    "passwd": "root:x:0:0::/nonexistent:/usr/sbin/nologin\n"
    "learner:x:{id}:{id}::" + _HOME + ":/usr/sbin/nologin\n"
    "nobody:x:65534:65534::/nonexistent:/usr/sbin/nologin\n",
}


class BubblewrapSandbox:
    """Confines a command: no network, nothing of the host but a read-only runtime."""

    name = "bubblewrap"
    caution = ""

    def problem(self) -> str:
        """Why it cannot work on this machine and how to mend that; empty when it can."""
        return _problem()

    def start(self, spec: SandboxSpec) -> SandboxedProcess:
        """Start the command.

        Raises:
            BadSubmission: command and environment are larger than a sandbox takes.
            InfraFault: the sandbox cannot be made here.
        """
        if shutil.which("bwrap") is None:
            raise InfraFault(*_MISSING[:1], fix=_MISSING[1])
        with contextlib.ExitStack() as resources:
            enclosure = _enclose(spec, resources)
            return launch(spec, enclosure)


_MISSING = ("bubblewrap (`bwrap`) is not installed", "apt-get install bubblewrap")


def _problem() -> str:
    if shutil.which("bwrap") is None:
        return f"{_MISSING[0]}\n  fix: {_MISSING[1]}"
    probe = ["bwrap", *_NAMESPACES, *_user_namespace(), "--ro-bind", "/", "/", "--proc", "/proc", "true"]
    try:
        done = subprocess.run(
            probe, capture_output=True, text=True, errors="replace", check=False, timeout=30
        )
        said = (done.stderr.strip() or f"it ended with {done.returncode}") if done.returncode else ""
    except (OSError, subprocess.TimeoutExpired) as error:
        said = str(error)
    if not said:
        return ""
    return (
        f"bubblewrap cannot make a sandbox here: {said}\n"
        "  fix: allow user namespaces: sysctl -w user.max_user_namespaces=65536 and, on Ubuntu 24.04 and "
        "later, sysctl -w kernel.apparmor_restrict_unprivileged_userns=0; in a container, run it with "
        "--security-opt seccomp=unconfined --security-opt systempaths=unconfined"
    )


def _user_namespace() -> list[str]:
    if os.getuid() == 0:
        return []
    return ["--unshare-user", "--disable-userns", "--uid", str(_OWN_ID), "--gid", str(_OWN_ID)]


def _enclose(spec: SandboxSpec, resources: contextlib.ExitStack) -> Enclosure:
    """The enclosure for one start; takes over `resources`."""
    scratch = Scratch.make(spec)
    with contextlib.ExitStack() as mine:
        uid = mine.enter_context(identity()) if os.getuid() == 0 else _OWN_ID
        descriptors = []
        if (refused := filter_file()) is not None:
            mine.callback(os.close, refused)
            descriptors.append(refused)
        prefix = [
            *_bubblewrap(spec, scratch, uid),
            *(part for number in descriptors for part in ("--seccomp", str(number))),
            "--",
            *(_become(uid) if os.getuid() == 0 else ()),
        ]
        resources.push(mine.pop_all())
    working_folder = _WORK if spec.writable_copy else _SUBMISSION
    copies = [(_SUBMISSION, _WORK)] if spec.writable_copy else []
    copies += [
        (f"{_SEEDS}/{number}", each.target)
        for number, each in enumerate(spec.mounts)
        if each.writable and each.source
    ]
    return Enclosure(
        scratch=scratch,
        view=View(
            _SUBMISSION,
            working_folder,
            _FILES,
            _HOME,
            mounts={each.target: each.target for each in spec.mounts},
        ),
        confined=True,
        prefix=tuple(prefix),
        launcher=f"{_LAUNCHER}/{LAUNCHER.name}",
        descriptors=tuple(descriptors),
        copies=tuple(copies),
        resources=resources.pop_all(),
    )


def _bubblewrap(spec: SandboxSpec, scratch: Scratch, uid: int) -> list[str]:
    places = [*_temporaries(spec), *_runtime(spec), *_etc(scratch, uid)]
    sizes = {}
    for number, mount in enumerate(spec.mounts):
        if mount.writable:
            folder = scratch.folder / f"mount-{number}"
            folder.mkdir()
            sizes[folder] = mount.size_bytes
            places.append(["--bind", str(folder), mount.target])
            if mount.source:
                seed = _readable(mount.source.resolve(), scratch.folder / f"seed-{number}")
                places.append(_bind(seed, f"{_SEEDS}/{number}"))
        elif mount.source:
            places.append(_bind(mount.source, mount.target))
    places += [
        _bind(_readable(spec.submission.resolve(), scratch.folder / "submission"), _SUBMISSION),
        _bind(scratch.files, _FILES),
        _bind(_programs(scratch), _LAUNCHER),
    ]
    # bubblewrap's monitor must not be killed while it sets up: its child would wait for it for ever. So
    # nothing here dies with us; the launcher, once it runs, ends when our end of its socket is closed.
    return [
        *("setpriv", "--pdeathsig", "clear", "--"),
        *bounded_folders(sizes),
        "bwrap",
        *_NAMESPACES,
        *_user_namespace(),
        *("--as-pid-1", "--hostname", "kubeproof"),
        *("--proc", "/proc", "--dev", "/dev"),
        *_system(),
        *(part for place in places for part in (*_parents(place[-1]), *place)),
        # Their writable parts are mounts of their own; what is left of them has no size limit.
        *("--remount-ro", "/dev", "--remount-ro", "/"),
    ]


def _become(uid: int) -> tuple[str, ...]:
    """Give up root. Process 1 sets the death signal anew, for a change of user clears it."""
    ids = ("--reuid", str(uid), "--regid", str(uid), "--clear-groups")
    rights = ("--inh-caps=-all", "--ambient-caps=-all", "--bounding-set=-all", "--no-new-privs")
    return ("/usr/bin/setpriv", *ids, *rights, "--pdeathsig", "KILL", "--")


def _temporaries(spec: SandboxSpec) -> list[list[str]]:
    limits = spec.limits
    return [
        _tmpfs("/tmp", limits.tmp_bytes),  # noqa: S108 - these are inside the sandbox
        _tmpfs("/dev/shm", min(limits.tmp_bytes, 64 * MIB)),  # noqa: S108
        _tmpfs(_HOME, limits.tmp_bytes),
        *([_tmpfs(_WORK, limits.work_bytes)] if spec.writable_copy else []),
    ]


def _tmpfs(target: str, size_bytes: int) -> list[str]:
    return ["--perms", "1777", "--size", str(size_bytes), "--tmpfs", target]


def _bind(source: Path, target: str) -> list[str]:
    return ["--ro-bind", str(source), target]


def _parents(target: str) -> list[str]:
    """Make the folders above `target`: those bubblewrap makes by itself let only root pass."""
    above = [str(folder) for folder in reversed(Path(target).parents) if folder != Path("/")]
    return [part for folder in above for part in ("--perms", "0755", "--dir", folder)]


def _system() -> list[str]:
    parts = ["--ro-bind", "/usr", "/usr"]
    for name in _SYSTEM:
        path = Path(name)
        if path.is_symlink():
            parts += ["--symlink", str(path.readlink()), name]
        elif path.is_dir():
            parts += ["--ro-bind", name, name]
    return parts


def _runtime(spec: SandboxSpec) -> list[list[str]]:
    interpreter = spec.python.resolve().parent.parent
    folders = dict.fromkeys([spec.base, spec.base.resolve(), interpreter, spec.venv])
    outside = [folder for folder in folders if not folder.is_relative_to("/usr")]
    return [_bind(folder, str(folder)) for folder in outside]


def _etc(scratch: Scratch, uid: int) -> list[list[str]]:
    folder = scratch.folder / "etc"
    folder.mkdir()
    parts = []
    for name, text in _ETC.items():
        path = folder / name
        path.write_text(text.format(id=uid))
        path.chmod(0o444)
        parts.append(_bind(path, f"/etc/{name}"))
    return [*parts, *(["--ro-bind-try", name, name] for name in ("/etc/ld.so.cache", "/etc/alternatives"))]


def _programs(scratch: Scratch) -> Path:
    """A copy of what the launcher is, for the checkout may be one that only its owner can read."""
    folder = shared_folder(scratch.folder / "launcher")
    for source in (LAUNCHER, *BESIDE_LAUNCHER):
        copy = folder / source.name
        copy.write_bytes(source.read_bytes())
        copy.chmod(0o444)
    return folder


def _readable(folder: Path, copy: Path) -> Path:
    """The folder, or a copy of it where its modes keep the sandbox's user out."""
    if os.getuid() != 0 or all(_open_to_all(path) for path in _walk(folder)):
        return folder
    # Contents alone: labels, lists and times of the original mean nothing there.
    _copy(folder, copy)
    return copy


def _copy(source: Path, target: Path) -> None:
    if source.is_symlink():
        target.symlink_to(source.readlink())
    elif source.is_dir():
        shared_folder(target)
        for entry in source.iterdir():
            _copy(entry, target / entry.name)
    elif source.is_file():
        shutil.copyfile(source, target)
        target.chmod(0o755 if source.stat().st_mode & stat.S_IXUSR else 0o644)


def _walk(folder: Path) -> Iterator[Path]:
    yield folder
    for entry in list(os.scandir(folder)):
        path = Path(entry.path)
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(path)
        else:
            yield path


def _open_to_all(path: Path) -> bool:
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        return True
    needed = 0o005 if stat.S_ISDIR(mode) else 0o004
    return mode & needed == needed
