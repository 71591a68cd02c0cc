"""What every sandbox does, whatever it is made of."""

from __future__ import annotations

import os
import platform
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from graders.faults import BadSubmission, InfraFault, UsageError
from graders.sandbox import (
    SANDBOXES,
    Limits,
    Mount,
    Reason,
    Sandbox,
    SandboxedProcess,
    SandboxSpec,
    View,
    probing,
    sandbox_named,
)
from graders.sandbox.identities import SLOTS, identity
from graders.sandbox.logs import KEEP_BYTES, BoundedLog

MIB = 1024 * 1024
VENV = Path(sys.prefix)
REPOSITORY = Path(__file__).resolve().parents[2]
Start = Callable[..., SandboxedProcess]


@pytest.fixture(params=sorted(SANDBOXES))
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    chosen = sandbox_named(request.param)
    assert chosen.problem() == ""
    return chosen


@pytest.fixture
def submission(tmp_path: Path) -> Path:
    folder = tmp_path / "submission"
    folder.mkdir()
    return folder


@pytest.fixture
def start(sandbox: Sandbox, submission: Path, tmp_path: Path) -> Iterator[Start]:
    """Starts Python code, or `command`, and stops what it started."""
    with ExitStack() as started:

        def begin(code: str = "", **more: Any) -> SandboxedProcess:
            (submission / "main.py").write_text(textwrap.dedent(code))
            fields = {"command": ("python", "main.py"), **runtime(), **more}
            spec = SandboxSpec(submission=submission, folder=tmp_path / "scratch", **fields)
            return started.enter_context(sandbox.start(spec))

        yield begin


def runtime() -> dict[str, Any]:
    return {"venv": VENV, "python": VENV / "bin/python", "base": Path(sys.base_prefix)}


def ended(process: SandboxedProcess, timeout_s: float = 60) -> str:
    """What it printed, once it has ended."""
    assert process.wait(timeout_s) is not None, process.log_tail()
    return process.log_path.read_text()


def eventually(probe: Callable[[], Any], timeout_s: float = 20) -> Any:
    deadline = time.monotonic() + timeout_s
    while not (value := probe()):
        assert time.monotonic() < deadline, f"still {value!r}"
        time.sleep(0.02)
    return value


def alive(marker: str) -> list[psutil.Process]:
    """Processes of this machine with `marker` in their arguments."""
    return [
        process
        for process in psutil.process_iter(["cmdline", "status"])
        if marker in " ".join(process.info["cmdline"] or ()) and process.info["status"] != "zombie"
    ]


FAMILY = """
    import os, signal, subprocess, sys, time
    marker = sys.argv[1]
    sleeper = [sys.executable, "-c", "import time; time.sleep(600)", marker]
    stubborn = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)"
    subprocess.Popen(["sh", "-c", f"{sys.executable} -c 'import time; time.sleep(600)' {marker}; true"])
    subprocess.Popen([sys.executable, "-c", stubborn, marker], start_new_session=True)
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.execv(sys.executable, sleeper)
        os._exit(0)
    os.wait()
    print("up", flush=True)
"""
FAMILY_SIZE = 5  # the command, a shell and its child, a stubborn child, a daemon


def a_family(start: Start, then: str) -> tuple[SandboxedProcess, str]:
    marker = uuid.uuid4().hex
    process = start(textwrap.dedent(FAMILY) + textwrap.dedent(then), command=("python", "main.py", marker))
    eventually(lambda: "up" in process.log_tail())
    return process, marker


# How it ends.


def test_reports_the_exit_code(start: Start) -> None:
    process = start("import sys; sys.exit(7)")
    ended(process)
    assert process.exit is not None
    assert (process.exit.reason, process.exit.code, process.exit.signal) == (Reason.EXITED, 7, None)
    assert str(process.exit) == "exited with code 7"


def test_reports_the_signal_that_ended_it(start: Start) -> None:
    process = start("import os; os.kill(os.getpid(), 15)")
    ended(process)
    assert process.exit is not None
    assert (process.exit.reason, process.exit.code, process.exit.signal) == (Reason.SIGNALLED, None, 15)
    assert str(process.exit) == "was ended by signal 15"


def test_a_command_that_does_not_exist_is_an_exit_with_a_reason(start: Start) -> None:
    process = start(command=("no-such-operator", "--fast"))
    assert "cannot start 'no-such-operator': No such file or directory: it is not in PATH" in ended(process)
    assert process.exit is not None
    assert process.exit.code == 127


def elf(machine: int) -> bytes:
    """The head of a program for 64 bits."""
    return b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00" + machine.to_bytes(2, "little") + bytes(200)


OTHER = "aarch64" if platform.machine() == "x86_64" else "x86_64"
UNSTARTABLE = {
    "carriage-return": (b"#!/bin/sh\r\nexec true\r\n", 0o755, "ends in a carriage return", "LF line ends"),
    "env-and-return": (b"#!/usr/bin/env python\r\n", 0o755, "ends in a carriage return", "LF line ends"),
    "no-interpreter": (
        b"#!/opt/pypy/bin/pypy\n",
        0o755,
        "names an interpreter that is not there",
        "#!/bin/sh",
    ),
    "no-exec-bit": (b"#!/bin/sh\n", 0o644, "it is not executable", "chmod +x ./run"),
    "no-format": (
        b"exec true\n",
        0o755,
        "neither a script that begins with #!",
        "begin it with a line such as",
    ),
    "other-machine": (elf(183 if OTHER == "aarch64" else 62), 0o755, f"it was built for {OTHER}", "GOARCH="),
    "windows": (b"MZ" + bytes(100), 0o755, "it is a program for Windows", "GOOS=linux"),
    "macos": (b"\xcf\xfa\xed\xfe" + bytes(100), 0o755, "it is a program for macOS", "GOOS=linux"),
}


@pytest.mark.parametrize("kind", UNSTARTABLE)
def test_a_program_that_cannot_be_started_says_why_and_what_to_do(
    start: Start, submission: Path, kind: str
) -> None:
    content, mode, cause, fix = UNSTARTABLE[kind]
    (submission / "run").write_bytes(content)
    (submission / "run").chmod(mode)
    process = start(command=("./run",))
    said = ended(process)
    assert said.startswith("cannot start './run': ")
    assert cause in said
    assert fix in said.partition("\n  fix: ")[2]
    assert process.exit is not None
    assert process.exit.code == (126 if kind == "no-exec-bit" else 127)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("./gone", "see that it is handed in"),
        ("main.py", "write ./main.py"),
        ("./folder", "it is a folder"),
    ],
)
def test_a_name_that_stands_for_no_program_says_so(
    start: Start, submission: Path, command: str, words: str
) -> None:
    (submission / "folder").mkdir()
    assert words in ended(start(command=(command,)))


# What the harness owes it.


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077])
def test_a_callers_umask_takes_nothing_from_the_view(start: Start, umask: int) -> None:
    before = os.umask(umask)
    try:
        process = start(
            """
            import os
            print(open(os.environ["CONFIG"]).read(), open("main.py").read() != "")
            """,
            files={"kubeconfig": b"cluster"},
            environment=lambda view: {"CONFIG": f"{view.files}/kubeconfig"},
        )
    finally:
        os.umask(before)
    assert ended(process).split() == ["cluster", "True"]


def test_a_default_list_of_rights_on_the_folder_above_takes_nothing_from_the_view(
    start: Start, tmp_path: Path
) -> None:
    """Rights for the owner alone, as `setfacl -d -m u::rwx,g::-,o::-` leaves them to all made there."""
    entries = ((1, 7), (4, 0), (32, 0))
    acl = struct.pack("<I", 2) + b"".join(
        struct.pack("<HHI", tag, rights, 2**32 - 1) for tag, rights in entries
    )
    (tmp_path / "scratch").mkdir(mode=0o700)
    try:
        os.setxattr(tmp_path / "scratch", "system.posix_acl_default", acl)
    except OSError as error:
        pytest.skip(f"this file system has no such lists: {error.strerror}")
    process = start(
        "import os; print(open(os.environ['CONFIG']).read())",
        files={"kubeconfig": b"cluster"},
        environment=lambda view: {"CONFIG": f"{view.files}/kubeconfig"},
    )
    assert ended(process).strip() == "cluster"


def test_what_the_program_cannot_read_is_the_fault_of_the_harness_and_named(
    start: Start, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not the learner's failure to start: nothing of the learner's was run."""
    chmod = Path.chmod

    def closed(path: Path, mode: int, **more: Any) -> None:
        chmod(path, 0o000 if path.name == "kubeconfig" else mode, **more)

    monkeypatch.setattr(Path, "chmod", closed)
    if os.getuid() == 0 and sandbox.name == "none":
        pytest.skip("without a sandbox root reads everything")
    with pytest.raises(
        InfraFault, match="kubeconfig cannot be had in the sandbox: Permission denied"
    ) as said:
        start("print('ran')", files={"kubeconfig": b"cluster"})
    assert "chmod -R a+rX" in said.value.fix


def test_a_runtime_that_only_its_owner_can_read_is_the_fault_of_the_harness(
    submission: Path, tmp_path: Path
) -> None:
    """As one is that was made under a narrow umask: the learner's `python` would not be found."""
    if os.getuid() != 0:
        pytest.skip("only where root starts it is it somebody else's")
    (submission / "main.py").touch()
    beneath = tmp_path / "environment"
    beneath.mkdir(mode=0o700)
    spec = SandboxSpec(
        submission=submission,
        command=("python", "main.py"),
        folder=tmp_path / "scratch",
        mounts=(Mount(str(beneath), beneath),),
        **runtime(),
    )
    with pytest.raises(
        InfraFault, match="environment cannot be had in the sandbox: Permission denied"
    ) as said:
        sandbox_named("bubblewrap").start(spec)
    assert said.value.fix.endswith("chmod -R a+rX")


@pytest.mark.parametrize(("flag", "says"), [(0, ""), (os.ST_NOEXEC, "lies on a file system mounted noexec")])
def test_where_no_program_can_be_started_that_is_the_fault_of_the_harness(
    flag: int, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "run").touch()
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_flag=flag))
    environment = {"PATH": str(tmp_path)}
    job = {"readable": [], "writable": [], "command": ["run"], "environment": environment}
    assert says in probing.lacking(job)
    assert bool(probing.lacking(job)) is bool(says)


def test_sigterm_gives_the_command_time_to_end_well(start: Start) -> None:
    process = start(
        """
        import signal, sys
        signal.signal(15, lambda *_: sys.exit(3))
        print("up")
        signal.pause()
        """
    )
    eventually(lambda: "up" in process.log_tail())
    status = process.stop(grace_s=30)
    assert (status.reason, status.code) == (Reason.EXITED, 3)


def test_ignoring_sigterm_does_not_help(start: Start) -> None:
    process, marker = a_family(start, "signal.signal(15, signal.SIG_IGN); print('deaf'); time.sleep(600)")
    eventually(lambda: "deaf" in process.log_tail())
    assert process.stop(grace_s=0.2).reason is Reason.HARNESS
    assert alive(marker) == []


def test_stop_leaves_no_child_grandchild_or_daemon(start: Start) -> None:
    process, marker = a_family(start, "time.sleep(600)")
    assert len(alive(marker)) >= FAMILY_SIZE
    status = process.stop()
    assert (status.reason, status.signal) == (Reason.HARNESS, 9)
    assert alive(marker) == []
    assert not psutil.pid_exists(process.pid)


def test_what_the_command_leaves_behind_ends_with_it(start: Start) -> None:
    process, marker = a_family(start, "sys.exit(0)")
    ended(process)
    assert process.exit is not None
    assert process.exit.reason is Reason.EXITED
    assert alive(marker) == []


def test_stop_twice_gives_the_same_answer(start: Start) -> None:
    process = start("import time; time.sleep(600)")
    assert process.stop() is process.stop()


def test_nothing_survives_a_harness_that_is_killed(
    sandbox: Sandbox, submission: Path, tmp_path: Path
) -> None:
    (submission / "main.py").write_text(textwrap.dedent(FAMILY) + "\ntime.sleep(600)\n")
    marker = uuid.uuid4().hex
    harness = tmp_path / "harness.py"
    harness.write_text(
        textwrap.dedent(
            f"""
            import sys, time
            from pathlib import Path
            from graders.sandbox import SandboxSpec, sandbox_named
            sandbox_named({sandbox.name!r}).start(SandboxSpec(
                submission=Path({str(submission)!r}), folder=Path({str(tmp_path / "scratch")!r}),
                command=("python", "main.py", {marker!r}), venv=Path(sys.prefix),
                python=Path(sys.prefix) / "bin/python", base=Path(sys.base_prefix)))
            time.sleep(600)
            """
        )
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    parent = subprocess.Popen([VENV / "bin/python", harness], env=environment)
    try:
        eventually(lambda: len(alive(marker)) >= FAMILY_SIZE)
    finally:
        parent.kill()
        parent.wait()
    eventually(lambda: not alive(marker))
    eventually(lambda: not alive(str(tmp_path / "scratch")))


# Signals.


def test_sigstop_and_sigcont_reach_every_process(start: Start) -> None:
    process, marker = a_family(start, "time.sleep(600)")
    process.signal(signal.SIGSTOP)
    eventually(lambda: {each.status() for each in alive(marker)} == {"stopped"})
    assert len(alive(marker)) >= FAMILY_SIZE
    process.signal(signal.SIGCONT)
    eventually(lambda: {each.status() for each in alive(marker)} == {"sleeping"})
    process.signal(signal.SIGSTOP)
    eventually(lambda: {each.status() for each in alive(marker)} == {"stopped"})
    assert process.stop(grace_s=0.1).reason is Reason.HARNESS
    assert alive(marker) == []


def test_another_signal_goes_to_the_command_alone(start: Start) -> None:
    process = start(
        """
        import os, signal, sys
        child = os.fork()
        name = "command" if child else "child"
        # Blocked until it is waited for: it may come before that.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
        print("up", flush=True)
        signal.sigwait({signal.SIGUSR1})
        print(name, "has it", flush=True)
        """
    )
    eventually(lambda: process.log_tail().count("up") == 2)
    process.signal(signal.SIGUSR1)
    assert "child has it" not in ended(process)
    assert "command has it" in process.log_tail()


def test_sigkill_is_over_when_the_call_returns(start: Start) -> None:
    process, marker = a_family(start, "time.sleep(600)")
    process.signal(signal.SIGKILL)
    assert process.exit is not None
    assert process.exit.reason is Reason.HARNESS
    assert alive(marker) == []


def test_a_signal_after_the_end_does_nothing(start: Start) -> None:
    process = start("")
    ended(process)
    process.signal(signal.SIGTERM)
    process.signal(signal.SIGKILL)
    assert process.exit is not None
    assert process.exit.code == 0


# What it sees.


def test_the_environment_holds_what_was_given_and_nothing_of_the_harness(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COURSE_SECRET", "hunter2")
    process = start(
        "import os; print(sorted(set(os.environ) - {'LC_CTYPE'}), os.environ['EXTRA'])",
        environment={"EXTRA": "given\nwith a line"},
    )
    promised = ["EXTRA", "HOME", "LANG", "LOGNAME", "PATH", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"]
    assert f"{[*promised, 'TMPDIR', 'USER']} given\nwith a line" in ended(process)


def test_the_runtime_is_the_python_it_finds(start: Start) -> None:
    assert str(VENV) in ended(start("import sys, pytest; print(sys.prefix)"))


def test_it_works_in_its_submission(start: Start, submission: Path) -> None:
    (submission / "data").mkdir()
    (submission / "data/file").write_text("of the learner")
    assert "of the learner" in ended(start("print(open('data/file').read())"))


def test_a_submission_only_its_owner_can_read_is_read(start: Start, submission: Path) -> None:
    (submission / "data").mkdir(mode=0o700)
    (submission / "data/file").write_text("kept close")
    (submission / "data/file").chmod(0o600)
    (submission / "data/run").write_text("#!/bin/sh\necho ran\n")
    (submission / "data/run").chmod(0o700)
    code = "import subprocess; print(open('data/file').read()); subprocess.run(['data/run'], check=True)"
    assert "kept close\nran" in ended(start(code))
    assert (submission / "data/file").stat().st_mode & 0o777 == 0o600


def test_files_are_rendered_for_the_place_they_are_read_in(start: Start) -> None:
    def files(view: View) -> dict[str, bytes]:
        return {"kubeconfig": f"server: https://{view.doors['api']}".encode()}

    def environment(view: View) -> dict[str, str]:
        return {"KUBECONFIG": f"{view.files}/kubeconfig"}

    process = start(
        "import os; print(open(os.environ['KUBECONFIG']).read())",
        files=files,
        environment=environment,
        doors=("api",),
    )
    assert f"server: https://{process.view.doors['api']}" in ended(process)


def test_home_and_temporary_folder_can_be_written(start: Start) -> None:
    code = """
        import os, tempfile
        from pathlib import Path
        Path.home().joinpath("mine").write_text("x")
        with tempfile.NamedTemporaryFile() as file:
            file.write(b"x")
        print("written")
    """
    assert "written" in ended(start(code))


def test_a_writable_copy_leaves_the_submission_alone(start: Start, submission: Path) -> None:
    (submission / "tool").write_text("#!/bin/sh\necho tool ran\n")
    (submission / "tool").chmod(0o755)
    (submission / "link").symlink_to("tool")
    code = """
        import os, subprocess
        open("main.py", "a").write("# changed")
        open("new", "w").write("x")
        subprocess.run(["./tool"], check=True)
        print(os.readlink("link"), sorted(os.listdir(".")))
    """
    printed = ended(start(code, writable_copy=True))
    assert "tool ran" in printed
    assert "tool ['link', 'main.py', 'new', 'tool']" in printed
    assert "# changed" not in (submission / "main.py").read_text()[-20:]
    assert not (submission / "new").exists()


# What it prints.


def test_output_and_errors_share_a_log_in_the_order_printed(start: Start) -> None:
    process = start("import sys; print('one'); print('two', file=sys.stderr); print('three')")
    assert ended(process) == "one\ntwo\nthree\n"
    assert process.log_tail(2) == "two\nthree"


def test_bytes_that_are_no_text_do_not_break_the_log(start: Start) -> None:
    process = start("import os; os.write(1, b'\\xff\\xfe ok\\n')")
    ended_status = process.wait(30)
    assert ended_status is not None
    assert process.log_tail().endswith(" ok")


def test_a_flood_is_read_to_the_end_but_hardly_kept(start: Start) -> None:
    process = start(
        """
        import os
        os.write(1, b"the first line\\n")
        block = b"x" * 65536
        for _ in range(160 * 16):
            os.write(1, block)
        os.write(1, b"\\nthe last line\\n")
        """
    )
    assert process.wait(60) is not None
    kept = process.log_path.read_bytes()
    assert kept.startswith(b"the first line\n")
    assert kept.endswith(b"\nthe last line\n")
    assert len(kept) < 2 * KEEP_BYTES + 100
    dropped = 160 * MIB + 30 - 2 * KEEP_BYTES
    assert f"[kubeproof left out {dropped} bytes here]".encode() in kept


def test_a_flood_without_end_is_ended(start: Start) -> None:
    process = start("while True: print('x' * 65536)", limits=Limits(log_bytes=20 * MIB))
    ended(process)
    assert process.exit is not None
    assert process.exit.reason is Reason.LOG
    assert str(process.exit) == "was stopped: it printed more than it may"


# Sockets.


def test_the_api_endpoint_is_served_from_outside(start: Start) -> None:
    process = start(
        """
        import os, socket
        host, port = os.environ["API"].split(":")
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(b"GET /healthz")
            print("got", connection.recv(100).decode())
        """,
        doors=("api",),
        environment=lambda view: {"API": view.doors["api"]},
    )
    process.doors["api"].settimeout(30)
    connection, _ = process.doors["api"].accept()
    with connection:
        assert connection.recv(100) == b"GET /healthz"
        connection.sendall(b"ok")
    assert "got ok" in ended(process)


def test_every_door_leads_to_its_own_listener(start: Start) -> None:
    process = start(
        """
        import os, socket
        for name in ("etcd", "cluster-ctl", "api"):
            host, port = os.environ[name].split(":")
            with socket.create_connection((host, int(port))) as connection:
                print(name, connection.recv(100).decode())
        """,
        doors=("api", "etcd", "cluster-ctl"),
        environment=lambda view: view.doors,
    )
    assert set(process.doors) == set(process.view.doors) == {"api", "etcd", "cluster-ctl"}
    assert len(set(process.view.doors.values())) == 3
    for name in ("etcd", "cluster-ctl", "api"):
        process.doors[name].settimeout(30)
        connection, _ = process.doors[name].accept()
        with connection:
            connection.sendall(f"this is {name}".encode())
    assert ended(process).count("this is") == 3
    for name in process.doors:
        assert f"{name} this is {name}\n" in process.log_path.read_text()


def test_a_door_has_the_port_that_was_asked_for_where_ports_are_its_own(
    start: Start, sandbox: Sandbox
) -> None:
    process = start("pass", doors=("api", "etcd", "git"), ports={"etcd": 2379, "git": 2380})
    ports = {name: int(place.rpartition(":")[2]) for name, place in process.view.doors.items()}
    if sandbox.name == "bubblewrap":
        assert ports == {"api": 6443, "etcd": 2379, "git": 2380}
    assert len(set(ports.values())) == 3


def test_no_door_is_there_unless_asked_for(start: Start) -> None:
    process = start("import time; time.sleep(600)")
    assert process.doors == process.view.doors == {}


def test_doors_close_with_the_sandbox(start: Start) -> None:
    process = start("import time; time.sleep(600)", doors=("git",))
    process.stop()
    assert process.doors["git"].fileno() == -1


@pytest.mark.parametrize("name", ["", "API", "cluster_ctl", "-git", "git-", "a/b", "a b"])
def test_a_door_has_a_plain_name(start: Start, name: str) -> None:
    with pytest.raises(ValueError, match="is no name of a door: it takes small letters, digits and hyphens"):
        start(doors=(name,))


def test_doors_and_mounts_are_there_once(start: Start) -> None:
    with pytest.raises(ValueError, match="each door and each mount once, not api, api"):
        start(doors=("api", "api"))
    with pytest.raises(ValueError, match="each door and each mount once, not /a, /a"):
        start(mounts=(Mount("/a", writable=True), Mount("/a", writable=True)))


SERVER = """
    import socket, sys
    server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
    print("up", flush=True)
    while True:
        connection, _ = server.accept()
        connection.sendall(connection.recv(100).upper())
        connection.close()
"""


def a_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_up(process: SandboxedProcess) -> bool:
    return "up" in process.log_tail()


def ask(process: SandboxedProcess, port: int, question: bytes) -> bytes:
    with process.dial(port, timeout_s=10) as connection:
        connection.sendall(question)
        return connection.recv(100)


def test_a_server_inside_can_be_dialled(start: Start) -> None:
    port = a_free_port()
    process = start(SERVER, command=("python", "main.py", str(port)))
    eventually(lambda: "up" in process.log_tail())
    assert ask(process, port, b"metrics") == b"METRICS"


def test_dialling_where_nobody_listens_is_refused(start: Start) -> None:
    process = start("import time; time.sleep(600)")
    with pytest.raises(ConnectionRefusedError):
        process.dial(a_free_port(), timeout_s=5)


def test_dialling_after_the_end_is_refused(start: Start) -> None:
    process = start("")
    ended(process)
    with pytest.raises(ConnectionRefusedError):
        process.dial(a_free_port(), timeout_s=5)


def test_the_api_endpoint_can_go_away_and_come_back(start: Start) -> None:
    process = start("import time; time.sleep(600)", doors=("api",))
    port = int(process.view.doors["api"].rpartition(":")[2])
    process.doors["api"].close()
    with pytest.raises(ConnectionRefusedError):
        process.dial(port, timeout_s=5)
    with process.listen(port) as again, process.dial(port, timeout_s=5) as connection:
        accepted, _ = again.accept()
        accepted.close()
        assert connection.recv(1) == b""
        with pytest.raises(OSError, match="in use"):
            process.listen(port)


def test_many_threads_may_use_one_sandbox(start: Start) -> None:
    port = a_free_port()
    process = start(SERVER, command=("python", "main.py", str(port)))
    eventually(lambda: "up" in process.log_tail())

    def work(number: int) -> bytes:
        if number % 3 == 0:
            process.signal(signal.SIGCONT)
        return ask(process, port, f"n{number}".encode())

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(work, range(48)))
    assert answers == [f"N{number}".encode() for number in range(48)]


# Limits.


def test_memory_of_all_processes_together_is_bounded(start: Start) -> None:
    process = start(
        """
        import os, time
        os.fork()
        data = bytearray(120 * 1024 * 1024)
        for at in range(0, len(data), 4096):
            data[at] = 1
        print("filled", flush=True)
        time.sleep(600)
        """,
        limits=Limits(memory_bytes=200 * MIB),
    )
    ended(process)
    assert process.exit is not None
    assert process.exit.reason is Reason.MEMORY
    assert str(process.exit) == "was stopped: it used more memory than it may"
    assert process.usage.peak_rss_bytes > 200 * MIB


def test_one_process_cannot_outrun_the_watchdog(start: Start) -> None:
    process = start(
        """
        try:
            data = bytearray(300 * 1024 * 1024)
        except MemoryError:
            print("no more")
        """,
        limits=Limits(data_bytes=200 * MIB),
    )
    assert "no more" in ended(process)


def test_cpu_of_all_processes_together_is_bounded(start: Start) -> None:
    process = start(
        """
        import os
        os.fork()
        while True:
            pass
        """,
        limits=Limits(cpu_s=1),
    )
    ended(process)
    assert process.exit is not None
    assert process.exit.reason is Reason.CPU
    assert process.usage.cpu_s >= 1


def test_time_is_bounded(start: Start) -> None:
    process = start("import time; time.sleep(600)", limits=Limits(wall_s=0.3))
    ended(process)
    assert process.exit is not None
    assert process.exit.reason is Reason.WALL
    assert str(process.exit) == "was stopped: it ran longer than it may"


def test_processes_are_bounded(start: Start) -> None:
    marker = uuid.uuid4().hex
    process = start(
        """
        import subprocess, sys, time
        count = 0
        try:
            while count < 200:
                subprocess.Popen(["sleep", "600"])
                count += 1
                time.sleep(0.005)
        except OSError:
            print("refused at", count)
        """,
        command=("python", "main.py", marker),
        limits=Limits(pids=20),
    )
    printed = ended(process)
    assert process.exit is not None
    assert "refused at" in printed or process.exit.reason is Reason.PIDS
    assert alive(marker) == []


def test_a_file_is_bounded(start: Start) -> None:
    process = start(
        """
        import errno, pathlib
        try:
            with pathlib.Path.home().joinpath("big").open("wb") as file:
                for _ in range(32):
                    file.write(b"x" * 1024 * 1024)
        except OSError as error:
            print(errno.errorcode[error.errno])
        """,
        limits=Limits(file_bytes=8 * MIB),
    )
    assert "EFBIG" in ended(process)


def test_usage_is_measured(start: Start) -> None:
    process = start(
        """
        import threading, time
        data = b"x" * (100 * 1024 * 1024)
        for _ in range(4):
            threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
        sum(range(5_000_000))
        print("up")
        time.sleep(600)
        """
    )
    eventually(lambda: process.usage.rss_bytes > 100 * MIB and process.usage.pids >= 5)
    eventually(lambda: process.usage.cpu_s > 0.05)
    process.stop()
    assert process.usage.peak_rss_bytes > 100 * MIB
    assert (process.usage.rss_bytes, process.usage.pids) == (0, 0)


# Starting.


@pytest.mark.parametrize("sandbox", ["bubblewrap"], indirect=True)
def test_two_starts_do_not_meet(start: Start) -> None:
    both = [start(SERVER, command=("python", "main.py", "8080"), doors=("api",)) for _ in range(2)]
    for process in both:
        eventually(partial(is_up, process))
        assert process.view.doors["api"] == "127.0.0.1:6443"
    both[0].stop()
    assert ask(both[1], 8080, b"still here") == b"STILL HERE"


@pytest.mark.parametrize("sandbox", ["bubblewrap"], indirect=True)
def test_extra_mounts_are_in_view(start: Start, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "hammer").write_text("nail")
    mounts = (Mount("/opt/deep/tools", tools), Mount("/opt/cache", writable=True, size_bytes=MIB))
    code = "print(open('/opt/deep/tools/hammer').read()); open('/opt/cache/x', 'w').write('y')"
    process = start(code, mounts=mounts)
    assert ended(process) == "nail\n"


def test_a_runtime_that_is_not_there_is_nobodys_zero(start: Start) -> None:
    with pytest.raises(InfraFault, match="the sandbox did not start") as raised:
        start(python=Path("/nonexistent/bin/python"))
    assert "fix: see what `kubeproof doctor` says" in str(raised.value)


def test_an_environment_too_large_is_the_learners(start: Start) -> None:
    with pytest.raises(BadSubmission, match=r"command and environment take \d+ bytes") as raised:
        start(environment={"BIG": "x" * 300_000})
    assert "submission.yaml" in str(raised.value)
    assert "fix: shorten the command or its environment" in str(raised.value)


def unrenderable(view: View) -> dict[str, bytes]:
    return {view.files: bytes(1 // 0)}


def test_a_start_that_fails_leaves_nothing(start: Start) -> None:
    # What another test left to run as long as this process, a fork server for instance, is none of ours.
    before, children = set(threading.enumerate()), set(psutil.Process().children(recursive=True))
    with pytest.raises(ZeroDivisionError):
        start(files=unrenderable)
    left = set(psutil.Process().children(recursive=True)) - children
    assert [child for child in left if child.is_running()] == []
    eventually(lambda: {each for each in threading.enumerate() if each.name == "sandbox"} <= before)


def test_without_bubblewrap_the_message_says_how_to_get_it(
    submission: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    spec = SandboxSpec(submission=submission, command=("true",), folder=tmp_path, **runtime())
    with pytest.raises(InfraFault, match="is not installed") as raised:
        sandbox_named("bubblewrap").start(spec)
    assert "fix: apt-get install bubblewrap" in str(raised.value)


def test_an_unknown_sandbox_is_named_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="no sandbox 'jail'") as raised:
        sandbox_named("jail")
    assert "fix: use one of bubblewrap, none" in str(raised.value)


def test_only_the_sandbox_that_confines_needs_no_caution() -> None:
    assert sandbox_named("bubblewrap").caution == ""
    assert "without a sandbox" in sandbox_named("none").caution


def test_no_two_sandboxes_share_a_user_id(tmp_path: Path) -> None:
    with ExitStack() as held:
        given = [held.enter_context(identity(tmp_path)) for _ in range(5)]
        assert len(set(given)) == 5
        assert min(given) >= 50_000
    with identity(tmp_path) as again:
        assert again in given
    assert SLOTS >= 1000


def test_user_ids_run_out_with_a_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graders.sandbox.identities.SLOTS", 1)
    with (
        identity(tmp_path),
        pytest.raises(InfraFault, match="1 sandboxes run already") as raised,
        identity(tmp_path),
    ):
        pass
    assert "fix: wait until some have ended" in str(raised.value)


def test_a_container_with_few_user_ids_gets_others_or_a_message(tmp_path: Path) -> None:
    uid_map = tmp_path / "uid_map"
    uid_map.write_text("         0     100000      65536\n")
    with identity(tmp_path, uid_map) as uid:
        assert 50_000 <= uid < 65_536
    uid_map.write_text("         0       1000          1\n")
    with pytest.raises(InfraFault, match="maps no user ids") as raised, identity(tmp_path, uid_map):
        pass
    assert "fix: run kubeproof as an ordinary user" in str(raised.value)


def test_a_machine_that_forbids_sandboxes_says_what_to_allow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forbidding = tmp_path / "bwrap"
    forbidding.write_text("#!/bin/sh\necho 'bwrap: setting up uid map: Permission denied' >&2; exit 1\n")
    forbidding.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    problem = sandbox_named("bubblewrap").problem()
    assert "setting up uid map: Permission denied" in problem
    assert "fix: allow user namespaces" in problem
    assert "apparmor_restrict_unprivileged_userns=0" in problem


def test_a_launcher_that_hangs_is_the_machines_fault_and_still_stopped(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    process, marker = a_family(start, "time.sleep(600)")
    launcher = psutil.Process(process.pid).parent()
    assert launcher is not None
    launcher.suspend()
    monkeypatch.setattr("graders.sandbox.supervision._ANSWER_S", 0.2)
    with pytest.raises(InfraFault, match="gave no answer") as raised:
        process.signal(signal.SIGUSR1)
    assert "fix: run fewer gradings side by side" in str(raised.value)
    monkeypatch.setattr("graders.sandbox.supervision._KILL_S", 2)
    process.stop()
    assert not launcher.is_running()
    if process.view.submission == "/submission":
        assert alive(marker) == []
    for orphan in alive(marker):
        orphan.kill()


@pytest.mark.parametrize("size", [0, 50, 100, 150, 200, 201, 399, 400, 1000])
@pytest.mark.parametrize("step", [1, 7, 64, 2000])
def test_a_log_keeps_both_ends_and_says_what_is_missing(size: int, step: int, tmp_path: Path) -> None:
    text = "".join(f"{at:04d}\n" for at in range(size))[:size].encode()
    log = BoundedLog(tmp_path / "log", keep_bytes=100)
    for at in range(0, size, step):
        log.write(text[at : at + step])
    assert text.decode().splitlines()[-3:] == log.tail(3).splitlines()
    log.close()
    kept = (tmp_path / "log").read_bytes()
    if size <= 200:
        assert kept == text
    else:
        missing = f"\n[kubeproof left out {size - 200} bytes here]\n".encode()
        assert kept == text[:100] + missing + text[-100:]
    assert text.decode().splitlines()[-3:] == log.tail(3).splitlines()


# Another user.


@pytest.mark.adversarial
@pytest.mark.skipif(os.getuid() != 0, reason="this run is an ordinary user's already")
@pytest.mark.parametrize(
    "suite",
    [
        "conformance/test_sandboxes.py",
        "conformance/test_sandbox_mounts.py",
        "adversarial/test_sandbox_escape.py",
        "adversarial/test_hostile_folders.py",
    ],
)
def test_an_ordinary_user_passes_the_same_suite(suite: str) -> None:
    """The other way in which bubblewrap is used: one user namespace in place of a change of user."""
    scratch = Path(tempfile.mkdtemp(prefix="kubeproof-user-"))
    scratch.chmod(0o777)
    ids = ("--reuid", "64001", "--regid", "64001", "--clear-groups", "--bounding-set=-all")
    command: list[str | Path] = [
        *("bwrap", "--die-with-parent", "--dev-bind", "/", "/"),
        *passable(REPOSITORY, VENV, Path(sys.base_prefix)),
        *("--", "setpriv", *ids, "--inh-caps=-all", "--"),
        *(VENV / "bin/python", "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"),
        *(f"--basetemp={scratch / 'pytest'}", REPOSITORY / "tests" / suite),
    ]
    environment = {**os.environ, "HOME": str(scratch), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=280, check=False
        )
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert " passed" in done.stdout


def passable(*folders: Path) -> list[str]:
    """Arguments that show `folders` to everybody where a closed folder stands above them."""
    closed = {above for folder in folders for above in folder.parents if not above.stat().st_mode & 0o001}
    top = [folder for folder in sorted(closed) if not closed & set(folder.parents)]
    arguments = [part for folder in top for part in ("--perms", "0755", "--tmpfs", str(folder))]
    for folder in folders:
        for above in reversed(folder.parents):
            if any(above.is_relative_to(each) and above != each for each in top):
                arguments += ["--perms", "0755", "--dir", str(above)]
        if any(folder.is_relative_to(each) for each in top):
            arguments += ["--ro-bind", str(folder), str(folder)]
    return arguments
