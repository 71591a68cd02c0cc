"""A Docker engine for as long as a block runs: one that is there is used and spared, else one is started.

The engine of ours lives in a process and a mount namespace of its own. Its end is one kill: dockerd,
containerd, every container and every mount go at once, whatever state they are in. What it did outside of
them is written down before it starts (`undo`), so the next run cleans up after a kill -9 just as well.
Processes of kubeproof share the engine that one of them started; who started it waits for the others.
"""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil

from graders.clusters.engine import hostsettings
from graders.clusters.engine.dockerprocess import LONGEST_SOCKET, SOCKET, last_words, start_dockerd
from graders.clusters.engine.engine import VARIABLES, Engine, named_engine, usual_engine
from graders.clusters.engine.undo import write_journal
from graders.faults import InfraFault
from graders.once import one_at_a_time
from graders.ownership import ENGINE, OwnedFolder, owned_folders, sweep
from graders.paths import state_folder
from graders.polling import NotYet, TimedOut, wait_for
from graders.process import kill_group
from graders.progress import Progress

_STARTS_WITHIN_S = 60.0
_USERS = "users.lock"
_LONGEST_PATH = 104
_FIX = (
    "start a Docker engine and name it in DOCKER_HOST, or as root install Docker's "
    "(on Debian and Ubuntu: docker.io and iptables)"
)


@contextmanager
def running_engine(progress: Progress) -> Iterator[str]:
    """Have an engine; gives its address, as DOCKER_HOST has it.

    Raises:
        InfraFault: the engine that KUBEPROOF_DOCKER_HOST or DOCKER_HOST names does not answer, or there is
            none and none can be started.
    """
    if named := named_engine():
        if not named.answers():
            raise InfraFault(
                f"no Docker engine answers at {named.host}",
                fix=f"start it, or unset {' and '.join(VARIABLES)}",
            )
        yield named.host
    elif usual := usual_engine():
        yield usual.host
    else:
        with ExitStack() as stack:
            with _alone(progress):
                host = _join(stack) or _start(stack, progress)
            yield host


def _alone(progress: Progress) -> contextlib.AbstractContextManager[None]:
    """Engines start and end one at a time."""
    return one_at_a_time(state_folder() / ".engine.lock", "Docker engine", progress)


def _join(stack: ExitStack) -> str | None:
    """Use the engine that another process of kubeproof runs, until `stack` unwinds."""
    for folder in owned_folders(ENGINE):
        with contextlib.suppress(OSError):
            lock = os.open(folder / _USERS, os.O_RDWR | os.O_CLOEXEC)
            stack.callback(os.close, lock)
            fcntl.flock(lock, fcntl.LOCK_SH)
            engine = Engine(f"unix://{folder / SOCKET}")
            if engine.answers():
                return engine.host
    return None


def _start(stack: ExitStack, progress: Progress) -> str:
    _check_that_one_can_be_started()
    sweep()
    owned = OwnedFolder(ENGINE)
    users = owned.path / _USERS
    users.touch(0o600)
    stack.callback(_end, owned, progress)
    if len(os.fspath(owned.path / LONGEST_SOCKET)) > _LONGEST_PATH:
        raise InfraFault(
            f"{owned.path.parent} is too long a name for the sockets of a Docker engine",
            fix="set KUBEPROOF_STATE to a folder with a shorter name",
        )
    cgroup = f"kubeproof-{owned.path.name.rpartition('-')[2]}"
    write_journal(owned.path, cgroup)
    hostsettings.raise_inotify_limit()
    engine = Engine(f"unix://{owned.path / SOCKET}")
    with progress.task("starting a Docker engine"):
        process = start_dockerd(owned, cgroup)
        stack.callback(kill_group, process)

        def ready() -> None:
            if process.poll() is not None:
                raise InfraFault(f"dockerd ended at once:\n{last_words(owned.path)}", fix=_FIX)
            if not engine.answers():
                raise NotYet("it does not answer")

        try:
            wait_for(ready, timeout_s=_STARTS_WITHIN_S, interval_s=0.1)
        except TimedOut as error:
            raise InfraFault(f"dockerd: {error}\n{last_words(owned.path)}", fix=_FIX) from error
    return engine.host


def _end(owned: OwnedFolder, progress: Progress) -> None:
    """End the engine once no other process uses it, and undo what it did."""
    with _alone(progress), (owned.path / _USERS).open("r+b") as users:
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with progress.task("the Docker engine is still used by another kubeproof: waiting for it"):
                fcntl.flock(users, fcntl.LOCK_EX)
        owned.close()


def _check_that_one_can_be_started() -> None:
    if os.geteuid() != 0:
        raise InfraFault("no Docker engine answers, and only root can start one", fix=_FIX)
    for program in ("dockerd", "docker", "iptables", "ip", "unshare"):
        if shutil.which(program) is None:
            raise InfraFault(f"no Docker engine answers, and {program} is not installed", fix=_FIX)
    ours = _network_of("self")
    for process in psutil.process_iter(["name"]):
        if process.info["name"] == "dockerd" and _network_of(str(process.pid)) == ours:
            raise InfraFault(
                f"a Docker engine runs (pid {process.pid}), but not where it is looked for",
                fix="name its address in DOCKER_HOST",
            )


def _network_of(pid: str) -> str:
    with contextlib.suppress(OSError):
        return str(Path("/proc", pid, "ns/net").readlink())
    return ""
