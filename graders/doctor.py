"""What this machine can do, found out by trying, and how to mend what it cannot."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import psutil

from graders.clusters.binaries import find_binaries, machine_platform
from graders.clusters.engine.probing import answering_engine
from graders.clusters.kind.containers import Containers
from graders.clusters.kind.preflight import INSTANCES_WANTED, Machine, obstacles
from graders.faults import InfraFault, KubeproofError, LocatedError
from graders.labneeds import LabNeeds
from graders.paths import cache_folder, state_folder
from graders.sandbox.goruntime import kept_go, runtime_for
from graders.sandbox.runtime import kept_runtime
from graders.sandbox.staticcheck import kept_staticcheck
from graders.tools.ensure import kept_programs
from graders.tools.toolchain import kept_toolchain, toolchain_go

_TIMEOUT_S = 20.0
_GIB = 1 << 30


class State(StrEnum):
    """How a finding bears on grading with an embedded cluster."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Diagnosis:
    """One thing looked at: `detail` says what was seen, `fix` what to do about it."""

    name: str
    state: State
    detail: str
    fix: str = ""


def examine(slug: str = "", needs: LabNeeds | None = None) -> list[Diagnosis]:
    """Look at everything, and at what the lab `slug` needs; a check that breaks is a failed finding."""
    found = [_guarded(name, check) for name, check in CHECKS.items()]
    return [*found, *(lab_findings(slug, needs) if needs else ())]


def can_grade(findings: Sequence[Diagnosis]) -> bool:
    """Whether an embedded cluster and a sandboxed submission can run here."""
    return all(finding.state is not State.FAIL for finding in findings)


def _guarded(name: str, check: Callable[[], Diagnosis]) -> Diagnosis:
    try:
        return check()
    except LocatedError as error:
        return Diagnosis(name, State.FAIL, error.problem, error.fix)
    except (KubeproofError, OSError, subprocess.SubprocessError) as error:
        return Diagnosis(name, State.FAIL, str(error))


def platform_check() -> Diagnosis:
    """Embedded clusters exist for Linux x86-64 and arm64."""
    return Diagnosis("platform", State.OK, str(machine_platform()))


def processors() -> Diagnosis:
    """Two processors carry one grade."""
    affinity = getattr(os, "sched_getaffinity", None)
    count = len(affinity(0)) if affinity else os.cpu_count() or 1
    if count >= 2:
        return Diagnosis("processors", State.OK, f"{count}")
    return Diagnosis("processors", State.WARN, f"{count}", "two or more keep a lab within its usual time")


def memory() -> Diagnosis:
    """One cluster takes up to 600 MB, an operator and the harness some more."""
    available = psutil.virtual_memory().available / _GIB
    detail = f"{available:.1f} GiB available"
    if available >= 2:
        return Diagnosis("memory", State.OK, detail)
    state = State.WARN if available >= 1 else State.FAIL
    return Diagnosis("memory", state, detail, "free memory until 2 GiB are available")


def disk() -> Diagnosis:
    """The cache takes 2 GB, and a build from Go modules 5 GB more in Go's own caches."""
    seen = [(folder, shutil.disk_usage(folder).free / _GIB) for folder in (cache_folder(), state_folder())]
    detail = ", ".join(f"{free:.1f} GiB free in {folder}" for folder, free in seen)
    if min(free for _, free in seen) >= 3:
        return Diagnosis("disk", State.OK, detail)
    fix = "make room, or point KUBEPROOF_CACHE and KUBEPROOF_STATE to folders on a bigger disk"
    return Diagnosis("disk", State.WARN if min(free for _, free in seen) >= 0.5 else State.FAIL, detail, fix)


def setpriv() -> Diagnosis:
    """Every process is started through setpriv so that it dies with its parent."""
    run = _run(["setpriv", "--pdeathsig", "KILL", "--", "true"])
    if run is None:
        fix = "install util-linux (`apt-get install util-linux`)"
        return Diagnosis("setpriv", State.FAIL, "not found", fix)
    if run.returncode != 0:
        return Diagnosis("setpriv", State.FAIL, _said(run), "use util-linux 2.33 or later")
    return Diagnosis("setpriv", State.OK, "works")


def bubblewrap() -> Diagnosis:
    """The sandbox of submissions needs unprivileged namespaces: make some."""
    command = ["bwrap", "--unshare-all", "--die-with-parent", "--uid", "65534", "--gid", "65534"]
    command += ["--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--"]  # noqa: S108
    run = _run([*command, "true"])
    if run is None:
        return Diagnosis("bubblewrap", State.FAIL, "not found", "`apt-get install bubblewrap`")
    if run.returncode == 0:
        return Diagnosis("bubblewrap", State.OK, "makes user, mount, pid, ipc and net namespaces")
    return Diagnosis(
        "bubblewrap", State.FAIL, f"cannot make namespaces: {_said(run)}", namespace_fix(Path("/proc/sys"))
    )


def namespace_fix(sysctls: Path) -> str:
    """Which kernel setting under `sysctls` stands in the way of unprivileged namespaces, and its cure."""
    obstacles = (
        ("kernel/apparmor_restrict_unprivileged_userns", "1", "0"),
        ("kernel/unprivileged_userns_clone", "0", "1"),
        ("user/max_user_namespaces", "0", "15000"),
    )
    cures = []
    for name, bad, good in obstacles:
        file = sysctls / name
        if file.is_file() and file.read_text().strip() == bad:
            cures.append(f"`sudo sysctl {name.replace('/', '.')}={good}`")
    if cures:
        return " and ".join(cures) + " (put it into /etc/sysctl.d to keep it)"
    return "a container needs `--security-opt seccomp=unconfined --security-opt apparmor=unconfined` for this"


def binaries() -> Diagnosis:
    """Control-plane programs are named or cached already, or will be fetched at the first use."""
    found = find_binaries()
    if found is not None:
        return Diagnosis("binaries", State.OK, f"Kubernetes {found.version}, {found.source}")
    fix = "`kubeproof setup` downloads or builds them (or `kubeproof setup --load FILE`)"
    return Diagnosis("binaries", State.WARN, f"not there yet; {_go_caches()} used for a build", fix)


def runtime() -> Diagnosis:
    """The learner environment is made already, or will be at the first use."""
    kept = kept_runtime()
    if kept.made():
        return Diagnosis("learner runtime", State.OK, str(kept.root / kept.parts[0]))
    return Diagnosis("learner runtime", State.WARN, "not there yet", "`kubeproof setup` makes it")


def go_for_learners() -> Diagnosis:
    """Toolchain, build cache and staticcheck are ready, or will be at the first submission in Go."""
    name, fix = "Go for learners", "`kubeproof setup` makes it; submissions in Python do without"
    go = toolchain_go()
    _, builds = kept_go(go)
    for kept in (kept_toolchain(), builds, kept_staticcheck(runtime_for(go))):
        if not kept.made():
            return Diagnosis(name, State.WARN, f"{kept.name} is not there yet", fix)
    return Diagnosis(name, State.OK, f"{builds.root}, with staticcheck")


def docker() -> Diagnosis:
    """Docker is wanted by the kind provider only, so nothing about it is fatal."""
    name, spared = "docker", "embedded clusters do not need it"
    if shutil.which("docker") is None:
        return Diagnosis(name, State.OK, f"no docker command; {spared}")
    host = answering_engine()
    if host is None:
        return Diagnosis(name, State.OK, f"no Docker engine answers; {spared}")
    try:
        with Containers(host) as containers:
            engine = containers.facts()
    except InfraFault as error:
        return Diagnosis(name, State.WARN, f"{error.problem}; {spared}", error.fix)
    detail = f"engine {engine.version} ({engine.storage}, cgroup v{engine.cgroups}) at {host}"
    found = list(obstacles(engine, 1, Machine()))
    able = "cannot" if any(each.fatal for each in found) else "can"
    said = "; ".join((f"{detail}; kind clusters {able} run here", *(each.detail for each in found)))
    fix = "; ".join(each.fix for each in found)
    return Diagnosis(name, State.WARN if found else State.OK, said, fix)


def inotify() -> Diagnosis:
    """Each cluster watches certificate and configuration files."""
    folder = Path("/proc/sys/fs/inotify")
    limits = {name: int((folder / name).read_text()) for name in ("max_user_instances", "max_user_watches")}
    detail = ", ".join(f"{name} {value}" for name, value in limits.items())
    if limits["max_user_instances"] >= 128 and limits["max_user_watches"] >= 8192:
        return Diagnosis("inotify", State.OK, detail)
    fix = f"`sudo sysctl fs.inotify.max_user_instances={INSTANCES_WANTED} fs.inotify.max_user_watches=524288`"
    return Diagnosis("inotify", State.WARN, detail, fix)


def loopback() -> Diagnosis:
    """Clusters listen on the loopback interface only: send something through it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(_TIMEOUT_S)
        with socket.create_connection(server.getsockname(), timeout=_TIMEOUT_S) as client:
            accepted, _ = server.accept()
            with accepted:
                client.sendall(b"k")
                echoed = accepted.recv(1)
    if echoed == b"k":
        return Diagnosis("loopback", State.OK, "127.0.0.1 carries connections")
    return Diagnosis(
        "loopback", State.FAIL, "127.0.0.1 loses data", "`ip link set lo up`, and look at the firewall"
    )


def clock() -> Diagnosis:
    """Certificates and leases need a wall clock that is roughly right and does not stand still."""
    before, tick = time.time(), time.monotonic()
    newest = max(Path(__file__).stat().st_mtime, Path(os.__file__).stat().st_mtime)
    if before < newest:
        detail = "the wall clock is earlier than the files of this program"
        return Diagnosis("clock", State.FAIL, detail, "set the clock (`timedatectl set-ntp true`)")
    drift = abs((time.time() - before) - (time.monotonic() - tick))
    if drift > 1:
        return Diagnosis(
            "clock", State.WARN, f"the wall clock jumped by {drift:.1f} s", "keep it from being stepped"
        )
    return Diagnosis("clock", State.OK, time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(before)))


def kernel_limits() -> Diagnosis:
    """Processes and open files for one cluster and one sandbox."""
    import resource  # noqa: PLC0415  (not there on every platform on which doctor must still speak)

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= 1024 or soft == resource.RLIM_INFINITY:
        return Diagnosis("open files", State.OK, f"limit {soft}")
    return Diagnosis("open files", State.WARN, f"limit {soft}", "`ulimit -n 4096`")


def lab_findings(slug: str, needs: LabNeeds) -> list[Diagnosis]:
    """What a lab needs of its own: what the system lacks stops a grading, the rest is made when asked for."""
    found = []
    for program, package in needs.packages:
        if there := shutil.which(program):
            found.append(Diagnosis(program, State.OK, there))
        else:
            found.append(Diagnosis(program, State.FAIL, "not found", f"`apt-get install {package}`"))
    kept = (*map(kept_programs, needs.toolsets), *(kept_runtime(lock) for lock in needs.locks))
    if lacking := [each.name for each in kept if not each.made()]:
        detail = f"{len(kept) - len(lacking)} of {len(kept)} are there; not yet: {', '.join(lacking)}"
        fix = f"`kubeproof setup {slug}` makes all; else a grading makes what its submission asks for"
        found.append(Diagnosis(f"{slug}'s own", State.WARN, detail, fix))
    elif kept:
        found.append(Diagnosis(f"{slug}'s own", State.OK, ", ".join(each.name for each in kept)))
    return found


CHECKS: dict[str, Callable[[], Diagnosis]] = {
    "platform": platform_check,
    "processors": processors,
    "memory": memory,
    "disk": disk,
    "setpriv": setpriv,
    "bubblewrap": bubblewrap,
    "binaries": binaries,
    "learner runtime": runtime,
    "Go for learners": go_for_learners,
    "docker": docker,
    "inotify": inotify,
    "open files": kernel_limits,
    "loopback": loopback,
    "clock": clock,
}
"""Every check by the name of its finding, in the order shown."""


def _go_caches() -> str:
    module = os.environ.get("GOMODCACHE") or "Go's default module cache"
    built = os.environ.get("GOCACHE") or "Go's default build cache"
    return f"{module} and {built} are"


def _run(command: Sequence[str], timeout_s: float = _TIMEOUT_S) -> subprocess.CompletedProcess[str] | None:
    """Run a command; None if there is no such program."""
    try:
        return subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=timeout_s, check=False
        )
    except FileNotFoundError:
        return None
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(list(command), 124, "", f"no answer within {timeout_s:.0f} s")


def _said(run: subprocess.CompletedProcess[str]) -> str:
    return (run.stderr.strip() or run.stdout.strip() or f"exit {run.returncode}").splitlines()[-1][:200]
