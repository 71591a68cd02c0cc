"""Process 1 of a sandbox: starts the learner's command, watches over it, answers the harness.

This file, `probing.py` and `unstartable.py` alone are bound into the sandbox, and it is run with
`python -I -S`: so it imports nothing else of kubeproof and little of the standard library, for each import is
paid at every start. It takes commands from the control socket (argv[1]), one message each:

    run <marshalled job>    fork and exec the command; once
    socket                  send back a new TCP socket of this network namespace
    folder <path>           send back a descriptor of a folder, to be read when all here is over
    signal <number> <all>   to the command, or with all=1 to every process here
    kill <reason>           kill everything and end

and sends: `ready`, `socket` and `folder` (with the descriptor), `started` (from the child, so that the
kernel says whose pid it is), `done`, `usage <cpu_s> <rss_bytes> <pids>`, `exit <reason> <wait status>`,
`fault <text>` (a fix may follow on a second line). When the control socket closes the harness is gone, and
so is everything here.

argv[2] is `confined` when this process is pid 1 of a pid namespace, which makes the learner unable to
signal it and its end the end of all; `plain` when it is an ordinary process that must hunt.
"""
# ruff: noqa: PTH100, PTH102, PTH115, PTH118, PTH120, PTH123, PTH208, PTH211
# `pathlib` would be the largest import here.

from __future__ import annotations

import _socket
import array
import contextlib
import ctypes
import errno
import marshal
import os
import resource
import select
import signal
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from graders.sandbox import probing
else:
    # Last of all: nothing here may stand in for a module of Python's own.
    sys.path.append(os.path.dirname(os.path.abspath(__file__)))
    import probing

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_CHILD_SUBREAPER = 1, 4, 36
_SAMPLE_S = 0.25
_HUNT_S = 5.0
_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = resource.getpagesize()
_RLIMITS = {
    "cpu_s": resource.RLIMIT_CPU,
    "data_bytes": resource.RLIMIT_DATA,
    "file_bytes": resource.RLIMIT_FSIZE,
    "open_files": resource.RLIMIT_NOFILE,
    "own_pids": resource.RLIMIT_NPROC,
    "core_bytes": resource.RLIMIT_CORE,
}


class Launcher:
    """The one object of this process."""

    def __init__(self, control: _socket.socket, confined: bool) -> None:
        self.control = control
        self.confined = confined
        self.child = 0
        self.limits: dict[str, float | None] = {}
        self.deadline: float | None = None
        self.seen: dict[tuple[int, int], int] = {}
        self.ticks = 0
        self.cpu_s = 0.0
        self.prctl = ctypes.CDLL(None, use_errno=True).prctl
        # The file belongs to root once this process is not dumpable, so it is opened before.
        self.oom = os.open("/proc/self/oom_score_adj", os.O_RDWR | os.O_CLOEXEC)
        self.oom_score = os.read(self.oom, 16)
        self.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
        if not confined:
            self.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
            # The hunt comes before the end, and the closing control socket starts it.
            self.prctl(_PR_SET_PDEATHSIG, 0, 0, 0, 0)

    def say(self, text: str) -> None:
        """Tell the harness."""
        self.control.send(text.encode())

    def obey(self) -> None:
        """Take one command from the harness."""
        try:
            message = self.control.recv(1 << 18)
        except ConnectionResetError:
            message = b""
        verb, _, rest = message.partition(b" ")
        if not message:
            self.end("killed-by-harness", signal.SIGKILL)
        elif verb == b"run":
            self.run(marshal.loads(rest))  # noqa: S302 - the sender is the harness
        elif verb == b"socket":
            self.hand_over(_socket.socket(_socket.AF_INET, _socket.SOCK_STREAM).detach(), verb)
        elif verb == b"folder":
            self.hand_over(os.open(rest, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC), verb)
        elif verb == b"signal":
            number, everyone = rest.split()
            self.send_signal(int(number), everyone == b"1")
            self.say("done")
        elif verb == b"kill":
            self.end(rest.decode(), signal.SIGKILL)

    def hand_over(self, descriptor: int, name: bytes) -> None:
        """Send a descriptor and keep none."""
        descriptors = array.array("i", [descriptor])
        self.control.sendmsg([name], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, descriptors)])
        os.close(descriptor)

    def run(self, job: dict[str, Any]) -> None:
        """Start the command."""
        self.limits = job["limits"]
        for source, target in job["copies"]:
            try:
                copy_tree(source, target)
            except OSError as error:
                self.say(f"fault {target} cannot be filled: {error.strerror}\nlet it hold more bytes")
                os._exit(1)
        # Under memory pressure the kernel takes the learner's processes first, never this one.
        os.write(self.oom, b"1000")
        self.child = os.fork()
        if not self.child:
            self.become(job)
        os.write(self.oom, self.oom_score)
        if self.limits["wall_s"] is not None:
            self.deadline = time.monotonic() + self.limits["wall_s"]

    def become(self, job: dict[str, Any]) -> None:
        """Turn this fresh child into the command."""
        try:
            os.setsid()
            if not self.confined:
                self.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            for number in (signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD):
                signal.signal(number, signal.SIG_DFL)
            os.umask(0o022)
            if lacking := self.probe(job):
                self.say(f"fault {lacking}")
                os._exit(125)
            self.say("started")
            start(job["command"], job["environment"])
        finally:
            os._exit(125)

    def probe(self, job: dict[str, Any]) -> str:
        """What this process, in the learner's place and under its limits, lacks; the harness owes it."""
        what = job["folder"]
        try:
            os.chdir(what)
            for name, kind in _RLIMITS.items():
                if job["limits"].get(name) is not None:
                    lower(kind, int(job["limits"][name]))
        except OSError as error:
            return f"{what} cannot be had in the sandbox: {error.strerror}"
        return probing.lacking(job)

    def send_signal(self, number: int, everyone: bool) -> None:
        """Signal the command, or every process but this one."""
        with contextlib.suppress(ProcessLookupError):
            if not self.child:
                return
            if not everyone:
                # A child not yet reaped keeps its pid, and only this process reaps it.
                os.kill(self.child, number)
            elif self.confined:
                os.kill(-1, number)
            else:
                self.signal_descendants(number)

    def signal_descendants(self, number: int) -> None:
        """One that forks meanwhile is met again in the next round."""
        done: set[tuple[int, int]] = set()
        while fresh := {row[:2] for row in self.processes() if row[2] != "Z"} - done:
            for pid, _ in fresh:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, number)
            done |= fresh

    def reap(self) -> None:
        """Reap what ended, orphans too; the end of the command is the end of everything."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            if pid == self.child:
                self.child = 0
                over = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU
                reason = "signalled" if os.WIFSIGNALED(status) else "exited"
                self.end("cpu" if over else reason, status)

    def processes(self) -> list[tuple[int, int, str, int, int, int, int]]:
        """Rows of pid, start, state, CPU ticks, ticks of reaped children, threads, pages; not this one."""
        rows, parents = [], {}
        for name in os.listdir("/proc"):
            if not name.isdigit():
                continue
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    text = file.read()
            except OSError:
                continue
            # The name stands in parentheses and is the learner's to choose, parentheses and all.
            part = text[text.rindex(b")") + 2 :].split()
            pid, parents[int(name)] = int(name), int(part[1])
            own, reaped = int(part[11]) + int(part[12]), int(part[13]) + int(part[14])
            rows.append((pid, int(part[19]), part[0].decode(), own, reaped, int(part[17]), int(part[21])))
        me = os.getpid()
        if self.confined:
            return [row for row in rows if row[0] != me]
        inside = {me}
        while more := {pid for pid, parent in parents.items() if parent in inside} - inside:
            inside |= more
        return [row for row in rows if row[0] in inside and row[0] != me]

    def measure(self) -> dict[str, float]:
        """Tell the harness what is used now."""
        rows = self.processes()
        # Two counts of CPU, for each misses something: a process that lets the kernel reap its children
        # hides what they used from their parents, one that lives for less than a sample from us.
        for row in rows:
            self.ticks += max(0, row[3] - self.seen.get(row[:2], 0))
        self.seen = {row[:2]: row[3] for row in rows}
        times = os.times()
        summed = sum(row[3] + row[4] for row in rows) / _TICK + times.children_user + times.children_system
        self.cpu_s = max(self.cpu_s, summed, self.ticks / _TICK)
        rss = sum(row[6] for row in rows) * _PAGE
        pids = sum(row[5] for row in rows)
        # Never waits, and never fails: a harness that is gone is noticed where its commands are read.
        with contextlib.suppress(OSError):
            self.control.send(f"usage {self.cpu_s:.3f} {rss} {pids}".encode(), _socket.MSG_DONTWAIT)
        return {"memory": rss, "cpu": self.cpu_s, "pids": pids}

    def sample(self) -> None:
        """Measure, and end what uses more than it may."""
        for name, used in self.measure().items():
            limit = self.limits[_LIMIT_OF[name]]
            if limit is not None and used > limit:
                self.end(name, signal.SIGKILL)
        if self.deadline is not None and time.monotonic() > self.deadline:
            self.end("wall", signal.SIGKILL)

    def end(self, reason: str, status: int) -> None:
        """Leave nothing behind, say how it ended, end."""
        self.measure()
        self.hunt()
        with contextlib.suppress(OSError):
            self.say(f"exit {reason} {int(status)}")
        os._exit(0)

    def hunt(self) -> None:
        """Kill descendants until none is left: orphans come to this process, whoever made them.

        The end of process 1 does that by itself.
        """
        if self.confined:
            return
        deadline = time.monotonic() + _HUNT_S
        while time.monotonic() < deadline:
            self.signal_descendants(signal.SIGKILL)
            try:
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            except ChildProcessError:
                return
            select.select([], [], [], 0.002)

    def watch(self) -> None:
        """Serve until the end; does not return."""
        wake, wakened = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wakened, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        poll = select.poll()
        poll.register(self.control, select.POLLIN)
        poll.register(wake, select.POLLIN)
        self.say("ready")
        due = time.monotonic()
        while True:
            left_s = max(0.0, due - time.monotonic()) if self.child else 3600.0
            ready = [number for number, _ in poll.poll(left_s * 1000)]
            if wake in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(wake, 4096)
                self.reap()
            if self.control.fileno() in ready:
                self.obey()
            if self.child and time.monotonic() >= due:
                self.sample()
                due = time.monotonic() + _SAMPLE_S


def start(command: list[str], environment: dict[str, str]) -> None:
    """Become the command; does not return. Where that is impossible, print why."""
    number = errno.ENOEXEC
    if not probing.ends_in_carriage_return(command[0]):
        try:
            os.execvpe(command[0], command, environment)  # noqa: S606
        except OSError as error:
            number = error.errno or number
    # Imported only here, for it is seldom needed.
    why = __import__("unstartable").why
    said = f"cannot start {command[0]!r}: {why(command[0], environment.get('PATH', ''), number)}\n"
    os.write(2, said.encode("utf-8", "replace"))
    os._exit(126 if number in (errno.EACCES, errno.EPERM) else 127)


_LIMIT_OF = {"memory": "memory_bytes", "cpu": "cpu_s", "pids": "pids"}


def lower(kind: int, value: int) -> None:
    """Set a limit, never above what the host allows already."""
    _, hard = resource.getrlimit(kind)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    # The kernel sends SIGXCPU at the soft limit; a program that catches it gets a little longer.
    top = value + 5 if kind == resource.RLIMIT_CPU and hard == resource.RLIM_INFINITY else value
    resource.setrlimit(kind, (value, top))


def copy_tree(source: str, target: str) -> None:
    """Copy files, folders and symbolic links as they are; nothing else is a submission's."""
    for entry in os.scandir(source):
        place = os.path.join(target, entry.name)
        if entry.is_symlink():
            os.symlink(os.readlink(entry.path), place)
        elif entry.is_dir():
            os.mkdir(place)
            copy_tree(entry.path, place)
        elif entry.is_file():
            mode = entry.stat().st_mode & 0o111 | 0o644
            with open(entry.path, "rb") as read, open(place, "wb") as write:
                while block := read.read(1 << 20):
                    write.write(block)
                os.fchmod(write.fileno(), mode)


def main() -> None:
    """Take over the control socket and serve it; tell the harness of our own faults."""
    control = _socket.socket(fileno=int(sys.argv[1]))
    os.set_inheritable(control.fileno(), False)
    launcher = Launcher(control, sys.argv[2] == "confined")
    try:
        launcher.watch()
    except Exception as error:
        with contextlib.suppress(OSError):
            control.send(f"fault {type(error).__name__}: {error}".encode()[:4096])
        launcher.hunt()
        os._exit(1)


if __name__ == "__main__":
    main()
