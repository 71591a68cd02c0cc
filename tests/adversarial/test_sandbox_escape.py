"""What hostile code tries from inside the sandbox, and does not get.

Each attack prints what it reached; each has a counterpart that shows the attack works where nothing stops
it (the file exists, the port answers, the call is known), so that a broken attack cannot pass for a wall.
"""

from __future__ import annotations

import json
import os
import platform
import socket
import sys
import textwrap
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest

from graders.sandbox import Limits, Reason, SandboxedProcess, SandboxSpec, sandbox_named
from graders.sandbox.syscalls import filter_program

pytestmark = pytest.mark.adversarial

MIB = 1024 * 1024
VENV = Path(sys.prefix)
Start = Callable[..., SandboxedProcess]

CALL = """
import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    ctypes.set_errno(0)
    result = libc.syscall(number, *[ctypes.c_long(each) for each in arguments])
    return errno.errorcode.get(ctypes.get_errno(), "?") if result == -1 else "done"
"""


@pytest.fixture
def submission(tmp_path: Path) -> Path:
    folder = tmp_path / "submission"
    folder.mkdir()
    return folder


@pytest.fixture
def start(submission: Path, tmp_path: Path) -> Iterator[Start]:
    with ExitStack() as started:

        def begin(code: str = "", **more: Any) -> SandboxedProcess:
            (submission / "main.py").write_text(textwrap.dedent(code))
            fields = {"command": ("python", "main.py"), **more}
            spec = SandboxSpec(
                submission=submission,
                folder=tmp_path / "scratch",
                venv=VENV,
                python=VENV / "bin/python",
                base=Path(sys.base_prefix),
                **fields,
            )
            return started.enter_context(sandbox_named("bubblewrap").start(spec))

        yield begin


@pytest.fixture
def printed(start: Start) -> Callable[..., str]:
    """What code prints in the sandbox, which must end well."""

    def run(code: str, **more: Any) -> str:
        process = start(code, **more)
        status = process.wait(60)
        assert status is not None, process.log_tail()
        assert status.code == 0, f"{status}: {process.log_tail()}"
        return process.log_path.read_text()

    return run


def eventually(probe: Callable[[], Any], timeout_s: float = 20) -> Any:
    deadline = time.monotonic() + timeout_s
    while not (value := probe()):
        assert time.monotonic() < deadline, f"still {value!r}"
        time.sleep(0.02)
    return value


Printed = Callable[..., str]

# Files.


@pytest.mark.smoke
def test_host_files_are_not_there(printed: Printed, tmp_path: Path) -> None:
    secret = tmp_path / "results.json"
    secret.write_text("total: 100")
    secret.chmod(0o644)
    targets = [
        str(secret),
        str(tmp_path / "scratch"),
        "/etc/shadow",
        "/etc/hostname",
        "/sys",
        "/var",
        "/boot",
    ]
    targets += ["/run/docker.sock", "/run/systemd", "/proc/kcore", f"/proc/{os.getpid()}/environ"]
    code = f"""
        for target in {targets!r}:
            try:
                open(target).read(1)
                print("READ", target)
            except IsADirectoryError:
                print("FOLDER", target)
            except OSError as error:
                print("no", target, error.strerror)
    """
    said = printed(code)
    assert "READ" not in said
    assert "FOLDER" not in said
    assert said.count("no ") == len(targets)


def test_the_view_holds_only_what_was_put_there(printed: Printed) -> None:
    code = """
        import os
        system = "bin lib lib32 lib64 libx32 sbin usr dev proc etc run tmp"
        print(sorted(set(os.listdir("/")) - set(system.split())))
        print(sorted(os.listdir("/run")), sorted(os.listdir("/etc")), sorted(os.listdir("/submission")))
    """
    roots, rest = printed(code).splitlines()
    # Folders above the runtime show up by name, and hold the way to the runtime alone.
    above = {folder.parts[1] for folder in (VENV, Path(sys.base_prefix))} - {"usr", "tmp"}
    assert roots == str(sorted(above | {"submission"}))
    assert "['home', 'kubeproof', 'launcher']" in rest
    assert "'passwd'" in rest
    assert "shadow" not in rest
    assert "['main.py']" in rest


def test_links_that_leave_the_submission_lead_nowhere(
    printed: Printed, submission: Path, tmp_path: Path
) -> None:
    (tmp_path / "answers").write_text("42")
    (submission / "up").symlink_to("../answers")
    (submission / "away").symlink_to(tmp_path / "answers")
    (submission / "shadow").symlink_to("/etc/shadow")
    (submission / "root").symlink_to("/proc/1/root")
    assert (submission / "up").read_text() == (submission / "away").read_text() == "42"
    code = """
        import os
        for name in ("up", "away", "shadow", "root/etc"):
            try:
                print("REACHED", os.listdir(name) if name.startswith("root") else open(name).read())
            except OSError as error:
                print("no", name)
    """
    assert printed(code).split() == ["no", "up", "no", "away", "no", "shadow", "no", "root/etc"]


def test_nothing_read_only_can_be_written(printed: Printed) -> None:
    targets = [
        "/submission/x",
        "/usr/x",
        f"{VENV}/x",
        f"{VENV}/bin/x",
        f"{sys.base_prefix}/x",
        "/x",
        "/dev/x",
    ]
    targets += [
        "/run/x",
        "/run/launcher/launcher.py",
        "/run/kubeproof/x",
        "/run/kubeproof/token",
        "/etc/passwd",
        "/etc/x",
    ]
    targets += ["/proc/sys/kernel/hostname", "/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger"]
    code = f"""
        for target in {targets!r}:
            try:
                open(target, "a").write("x")
                print("WROTE", target)
            except OSError as error:
                print("no", target)
    """
    said = printed(code, files={"token": b"secret"})
    assert "WROTE" not in said
    assert said.count("no ") == len(targets)


def test_modes_and_owners_cannot_be_changed_to_write(printed: Printed) -> None:
    code = """
        import os
        for target in ("/submission", "/submission/main.py", "/run/kubeproof", "/", "/run", "/dev"):
            for act in (lambda: os.chmod(target, 0o777), lambda: os.chown(target, 0, 0)):
                try:
                    act()
                    print("CHANGED", target)
                except OSError:
                    print("no", target)
    """
    assert "CHANGED" not in printed(code)


def test_another_sandbox_is_not_in_view(start: Start) -> None:
    first = start("import time; print('up'); time.sleep(600)", files={"token": b"of the first"})
    eventually(lambda: "up" in first.log_tail())
    second = start(
        """
        import os
        found = []
        for folder, folders, files in os.walk("/"):
            folders[:] = [name for name in folders if name not in ("usr", "proc", "site-packages")]
            for name in files:
                if name in ("token", "main.py") or "scratch" in folder:
                    found.append(os.path.join(folder, name))
        print([each for each in found if "lib/python" not in each])
        print(sum(name.isdigit() for name in os.listdir("/proc")))
        """
    )
    assert second.wait(60) is not None
    assert second.log_path.read_text() == "['/submission/main.py']\n2\n"


def test_no_secret_of_the_harness_is_in_any_environment(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COURSE_SECRET", "hunter2")
    process = start(
        """
        import os
        for pid in filter(str.isdigit, os.listdir("/proc")):
            for name in ("environ", "cmdline"):
                try:
                    print(pid, name, open(f"/proc/{pid}/{name}").read())
                except OSError as error:
                    print(pid, name, error.strerror)
        """
    )
    assert process.wait(30) is not None
    said = process.log_path.read_text()
    assert "hunter2" not in said
    assert "1 environ Permission denied" in said


# Network.


@pytest.mark.smoke
def test_there_is_no_interface_but_loopback(printed: Printed) -> None:
    code = """
        import socket
        print([name for _, name in socket.if_nameindex()], open("/proc/net/route").read().count("\\n"))
    """
    assert printed(code) == "['lo'] 1\n"


def test_servers_of_the_host_are_out_of_reach(printed: Printed, tmp_path: Path) -> None:
    abstract = f"\0kubeproof-{uuid.uuid4().hex}"
    path = str(tmp_path / "engine.sock")
    with ExitStack() as open_:
        tcp = open_.enter_context(socket.create_server(("127.0.0.1", 0)))
        servers = [tcp]
        for address in (abstract, path):
            server = open_.enter_context(socket.socket(socket.AF_UNIX))
            server.bind(address)
            server.listen()
            servers.append(server)
        for server in servers:
            with socket.socket(server.family) as probe:
                probe.connect(server.getsockname())
        code = f"""
            import socket
            port = {tcp.getsockname()[1]}
            targets = [(socket.AF_UNIX, {abstract!r}), (socket.AF_UNIX, {path!r})]
            for host in ("127.0.0.1", "127.0.0.2", "10.0.0.1", "1.1.1.1"):
                targets.append((socket.AF_INET, (host, port)))
            for family, address in targets:
                with socket.socket(family) as probe:
                    probe.settimeout(3)
                    try:
                        probe.connect(address)
                        print("REACHED", address)
                    except OSError as error:
                        print("no", error.strerror)
        """
        said = printed(code)
    assert "REACHED" not in said
    assert said.count("no ") == 6


@pytest.mark.parametrize("doors", [(), ("git",), ("git", "etcd")])
def test_a_door_that_was_not_asked_for_is_shut(start: Start, doors: tuple[str, ...]) -> None:
    process = start(
        """
        import socket
        rows = [line.split() for kind in ("tcp", "tcp6", "udp", "udp6") for line in open(f"/proc/net/{kind}")]
        print([int(row[1].rpartition(":")[2], 16) for row in rows if row[1] != "local_address"])
        for port in range(6440, 6450):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    print(port)
        """,
        doors=doors,
    )
    assert process.wait(60) is not None
    asked_for = [int(process.view.doors[name].rpartition(":")[2]) for name in doors]
    listening, *reached = process.log_path.read_text().splitlines()
    assert (sorted(json.loads(listening)), list(map(int, reached))) == (asked_for, asked_for)
    assert len(asked_for) == len(doors)


def test_a_door_cannot_be_stolen(start: Start) -> None:
    process = start(
        """
        import errno, itertools, os, socket
        port = int(os.environ["api"].rpartition(":")[2])
        for host, options in itertools.product(
            ("127.0.0.1", "0.0.0.0", "::", "::ffff:127.0.0.1"),
            ((), (socket.SO_REUSEADDR,), (socket.SO_REUSEPORT,), (socket.SO_REUSEADDR, socket.SO_REUSEPORT)),
        ):
            thief = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
            if ":" in host:
                thief.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            for option in options:
                thief.setsockopt(socket.SOL_SOCKET, option, 1)
            try:
                thief.bind((host, port))
                thief.listen()
                print("STOLE", host, options)
            except OSError as error:
                print(errno.errorcode[error.errno])
            thief.close()
        socket.create_server(("127.0.0.1", port + 1)).close()
        with socket.create_connection(("127.0.0.1", port)) as connection:
            print(connection.recv(100).decode())
        """,
        doors=("api",),
        environment=lambda view: view.doors,
    )
    process.doors["api"].settimeout(30)
    connection, _ = process.doors["api"].accept()
    with connection:
        connection.sendall(b"the harness")
    assert process.wait(30) is not None
    assert process.log_path.read_text() == "EADDRINUSE\n" * 16 + "the harness\n"


def test_socket_families_that_cross_network_namespaces_are_refused(printed: Printed) -> None:
    code = """
        import errno, socket
        for family in (40, 17, 38, 15, 44):  # vsock, packet, alg, key, xdp
            try:
                socket.socket(family, socket.SOCK_STREAM).close()
                print("MADE", family)
            except OSError as error:
                print(errno.errorcode[error.errno])
        for family in (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6):
            socket.socket(family).close()
        print("usual ones work")
    """
    assert printed(code) == "EPERM\n" * 5 + "usual ones work\n"


# Privilege.


def test_it_is_nobody_and_cannot_become_anybody(printed: Printed) -> None:
    code = """
        import os
        status = dict(line.split(":", 1) for line in open("/proc/self/status"))
        print(os.getuid() != 0, os.geteuid() != 0, os.getgroups())
        for key in ("CapInh", "CapPrm", "CapEff", "CapAmb", "NoNewPrivs", "Seccomp"):
            print(key, int(status[key].strip(), 16))
        for act in (lambda: os.setuid(0), lambda: os.setgid(0), lambda: os.setgroups([0])):
            try:
                act()
                print("BECAME")
            except OSError:
                pass
    """
    said = printed(code).splitlines()
    assert said[0].startswith("True True")
    assert "BECAME" not in said
    assert said[1:] == ["CapInh 0", "CapPrm 0", "CapEff 0", "CapAmb 0", "NoNewPrivs 1", "Seccomp 2"]


@pytest.mark.smoke
def test_root_of_the_host_never_runs_learner_code(start: Start) -> None:
    process = start("import time; print('up'); time.sleep(600)")
    eventually(lambda: "up" in process.log_tail())
    uids = psutil.Process(process.pid).uids()
    assert 0 not in (uids.real, uids.effective, uids.saved)
    if os.getuid() == 0:
        other = start("import time; print('up'); time.sleep(600)")
        assert psutil.Process(other.pid).uids().real != uids.real


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the attack is written with x86-64 call numbers")
def test_system_calls_around_the_walls_are_refused(printed: Printed) -> None:
    nicer = min(19, os.nice(0) + 1)
    code = f"""
{CALL}
NEWUSER, NEWNS = 0x10000000, 0x00020000
attacks = {{
    "unshare user": (272, NEWUSER), "unshare mount": (272, NEWNS), "clone user": (56, NEWUSER | 17),
    "clone mount": (56, NEWNS | 17), "setns": (308, 0, 0), "mount": (165, 0, 0, 0, 0, 0), "chroot": (161, 0),
    "keyctl": (250, 0, -3, 0), "bpf": (321, 0, 0, 0), "perf": (298, 0, 0, -1, -1, 0),
    "userfaultfd": (323, 1), "shmget": (29, 0, 4096, 0o1600), "ptrace launcher": (101, 16, 1, 0, 0),
    "read launcher": (310, 1, 0, 0, 0, 0, 0), "limit launcher": (302, 1, 7, 0, 0),
    "renice launcher": (141, 0, 1, 19), "renice all": (141, 2, 0, 19), "idle launcher": (144, 1, 5, 0),
    "pin launcher": (203, 1, 0, 0),
}}
for name, arguments in attacks.items():
    print(name, call(*arguments))
print("ABSENT", *[call(*each) for each in ((435, 0, 0), (319, 0, 0), (425, 1, 0), (0x40000000 + 39,))])
print("allowed", call(302, 0, 7, 0, 0), call(141, 0, 0, {nicer}), call(203, 0, 0, 0) != "EPERM", call(39))
"""
    said = printed(code).splitlines()
    assert said[-2] == "ABSENT ENOSYS ENOSYS ENOSYS ENOSYS"
    assert said[-1] == "allowed done done True done"
    assert len(said) == 21
    assert [line for line in said[:-2] if not line.endswith(" EPERM")] == []


def test_new_user_namespaces_cannot_be_had_by_ordinary_tools(printed: Printed) -> None:
    code = """
        import subprocess
        for tool in ("unshare --user true", "unshare --mount true", "setpriv --reuid 0 true", "true"):
            print(subprocess.run(tool.split(), capture_output=True).returncode != 0)
    """
    assert printed(code) == "True\nTrue\nTrue\nFalse\n"


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_every_jump_of_the_filter_lands_in_it(machine: str) -> None:
    program = filter_program(machine)
    assert program is not None
    steps = [program[at : at + 8] for at in range(0, len(program), 8)]
    assert len(program) % 8 == 0
    for at, step in enumerate(steps):
        code, when_true, when_false = int.from_bytes(step[:2], sys.byteorder), step[2], step[3]
        if code & 7 == 5:
            assert at + 1 + max(when_true, when_false) < len(steps)
    assert steps[-1][:2] == (6).to_bytes(2, sys.byteorder)


# The launcher and other processes.


def test_processes_of_the_host_are_not_seen(printed: Printed) -> None:
    said = printed("import os; print(os.getpid(), sorted(filter(str.isdigit, os.listdir('/proc'))))")
    assert said == "2 ['1', '2']\n"


def test_the_launcher_cannot_be_opened_or_driven(start: Start) -> None:
    process = start(
        """
        import os
        for name in ("mem", "fd", "environ", "cwd", "root", "maps", "exe", "task/1/mem"):
            path = f"/proc/1/{name}"
            for act in (os.listdir, os.readlink, lambda path: open(path, "rb").read(1)):
                try:
                    print("OPENED", path, act(path))
                except OSError:
                    pass
        links = {}
        for number in os.listdir("/proc/self/fd"):
            try:
                links[number] = os.readlink(f"/proc/self/fd/{number}")
            except OSError:
                pass
        print(sorted(links), [link for link in links.values() if "socket" in link])
        print(open("/proc/self/oom_score_adj").read().strip())
        """
    )
    assert process.wait(30) is not None
    said = process.log_path.read_text().splitlines()
    assert said == ["['0', '1', '2'] []", "1000"]


def test_the_launcher_cannot_be_signalled(start: Start) -> None:
    process = start(
        """
        import os, signal, sys, time
        for number in range(1, 65):
            if number not in (32, 33):
                os.kill(1, number)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("still here", flush=True)
        time.sleep(600)
        """
    )
    eventually(lambda: "still here" in process.log_tail())
    eventually(lambda: process.usage.pids == 1)
    process.signal(0)
    assert process.exit is None
    assert process.stop().reason is Reason.HARNESS


def test_killing_everything_in_reach_is_an_exit_that_is_reported(start: Start) -> None:
    process = start(
        """
        import os, signal
        child = os.fork()
        if not child:
            signal.pause()
        os.kill(-1, 9)
        os.kill(os.getpid(), 9)
        """
    )
    status = process.wait(30)
    assert status is not None
    assert (status.reason, status.signal) == (Reason.SIGNALLED, 9)


def test_a_sandbox_that_is_torn_down_under_the_harness_is_reported_not_awaited(start: Start) -> None:
    process = start("import time; print('up'); time.sleep(600)")
    eventually(lambda: "up" in process.log_tail())
    launcher = psutil.Process(process.pid).parent()
    assert launcher is not None
    launcher.kill()
    status = process.wait(30)
    assert status is not None
    assert status.reason is Reason.LOST
    assert "no reason the sandbox could report" in str(status)
    assert not psutil.pid_exists(process.pid)
    with pytest.raises(ConnectionRefusedError):
        process.dial(8080, timeout_s=1)


# Exhaustion.


def test_a_fork_bomb_stays_in_its_bounds_and_can_be_stopped(start: Start) -> None:
    process = start(
        """
        import os
        print("lit", flush=True)
        while True:
            try:
                os.fork()
            except OSError:
                pass
        """,
        limits=Limits(pids=40),
    )
    eventually(lambda: process.usage.peak_pids > 30 or process.exit)
    user = str(psutil.Process(process.pid).uids().real) if process.exit is None else ""
    assert process.usage.peak_pids <= 41
    process.stop()
    if os.getuid() == 0 and user:
        assert [each for each in psutil.process_iter(["uids"]) if str(each.info["uids"].real) == user] == []


def test_a_memory_hog_is_ended_and_the_harness_is_not(start: Start) -> None:
    process = start(
        """
        import os
        for _ in range(4):
            os.fork()
        hog = []
        while True:
            hog.append(b"x" * 1024 * 1024)
        """,
        limits=Limits(memory_bytes=150 * MIB, data_bytes=100 * MIB),
    )
    status = process.wait(60)
    assert status is not None
    # All the forks together, or the first of them that meets the bound of one process.
    assert status.reason is Reason.MEMORY or "MemoryError" in process.log_tail()


@pytest.mark.parametrize("place", ["/tmp", "/run/home", "/dev/shm"])
def test_memory_cannot_be_had_through_files(printed: Printed, place: str) -> None:
    code = f"""
        import errno, itertools
        written = 0
        try:
            for number in itertools.count():
                with open("{place}/" + str(number), "wb", buffering=0) as file:
                    for _ in range(4):
                        written += file.write(b"x" * 1024 * 1024)
        except OSError as error:
            print(errno.errorcode[error.errno], written // 1024 // 1024)
    """
    said = printed(code, limits=Limits(tmp_bytes=16 * MIB)).split()
    assert said[0] == "ENOSPC"
    assert int(said[1]) <= 16


def test_no_unbounded_place_can_be_written(printed: Printed) -> None:
    code = """
        import os
        places = []
        for line in open("/proc/self/mountinfo"):
            fields, _, rest = line.partition(" - ")
            kind, _, options = rest.split()
            place = fields.split()[4]
            if kind == "tmpfs" and "size=" not in options and os.access(place, os.W_OK):
                places.append(place)
        print(places)
    """
    assert printed(code) == "[]\n"


def test_a_gigabyte_printed_costs_a_megabyte(start: Start) -> None:
    process = start("import os\nwhile True: os.write(1, b'x' * 1048576)", limits=Limits(log_bytes=1024 * MIB))
    status = process.wait(120)
    assert status is not None
    assert status.reason is Reason.LOG
    assert process.log_path.stat().st_size < 2 * MIB


def test_a_connection_nobody_answers_does_not_hang_the_harness(start: Start) -> None:
    process = start(
        """
        import socket, time
        server = socket.socket()
        server.bind(("127.0.0.1", 8080))
        server.listen(0)
        print("up", flush=True)
        time.sleep(600)
        """
    )
    eventually(lambda: "up" in process.log_tail())
    with ExitStack() as held:

        def fill() -> None:
            for _ in range(10):
                held.enter_context(process.dial(8080, timeout_s=0.3))

        with pytest.raises(TimeoutError):
            fill()
    # And while the harness waits there, it can still do everything else.
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(process.dial, 8080, 30)
        assert process.stop().reason is Reason.HARNESS
        assert isinstance(waiting.exception(30), OSError)


def test_stopped_and_deaf_code_still_ends(start: Start) -> None:
    process = start(
        """
        import os, signal
        for number in set(signal.Signals) - {9, 19}:
            signal.signal(number, signal.SIG_IGN)
        os.fork()
        print("deaf", flush=True)
        os.kill(os.getpid(), signal.SIGSTOP)
        """
    )
    eventually(lambda: "deaf" in process.log_tail())
    assert process.stop(grace_s=0.2).reason is Reason.HARNESS
    assert not psutil.pid_exists(process.pid)
