"""A started sandbox as the harness holds it: one thread per sandbox reads its messages and its log."""

import contextlib
import os
import queue
import select
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Self

from graders.faults import InfraFault
from graders.process import kill_group
from graders.sandbox.channel import Channel, Message
from graders.sandbox.collecting import collect_folder
from graders.sandbox.protocol import ExitStatus, Limits, Reason, Usage, View

_ANSWER_S = 30.0
_KILL_S = 15.0
_DRAIN_S = 2.0
_TO_ALL = {signal.SIGSTOP, signal.SIGCONT}


class SandboxedProcess:
    """A started command and everything it starts; a context manager that stops it. Thread-safe.

    Only leaving it lets go of the writable mounts, so that they can be collected after `stop`.
    """

    def __init__(self, channel: Channel, view: View, limits: Limits, confined: bool) -> None:
        self.view = view
        self.pid = 0
        """Of the learner's own command, as the host counts."""
        self.doors: Mapping[str, socket.socket] = {}
        """Accept here to serve what the learner sees at `view.doors`. `stop` closes them, which does not wake
        a thread that waits in accept(): use a selector, or a duplicate with an end of its own."""
        self.log_path: Path = channel.log.path
        """Standard output and error, first and last part, complete once the process has ended."""
        self._channel = channel
        self._limits = limits
        self._folders: dict[str, int] = {}
        self._confined = confined
        self._launcher: int | None = None
        self._closing = threading.Lock()
        self._exit: ExitStatus | None = None
        self._verdict: tuple[Reason, int] | None = None
        self._at = 0.0
        self._killed: Reason | None = None
        self._fault = ""
        self._usage = Usage()
        self._answers: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._asking = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._supervise, name="sandbox", daemon=True)

    # What a caller uses.

    @property
    def exit(self) -> ExitStatus | None:
        """How it ended; None while it runs."""
        return self._exit

    @property
    def usage(self) -> Usage:
        """Measured four times a second."""
        return self._usage

    def listen(self, port: int) -> socket.socket:
        """A listening socket on 127.0.0.1:`port` of the sandbox.

        Raises:
            OSError: something listens there already, or the sandbox has ended.
        """
        listener = self._socket()
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", port))
            listener.listen(128)
        except OSError:
            listener.close()
            raise
        return listener

    def dial(self, port: int, timeout_s: float) -> socket.socket:
        """A connection to what listens on 127.0.0.1:`port` inside.

        Raises:
            ConnectionRefusedError: nothing does, or the sandbox has ended.
            TimeoutError: nothing accepted within `timeout_s`.
        """
        connection = self._socket()
        try:
            connection.settimeout(timeout_s)
            connection.connect(("127.0.0.1", port))
        except OSError:
            connection.close()
            raise
        return connection

    def signal(self, number: int) -> None:
        """Send a signal, pending at every receiver when this returns; no error if all has ended.

        SIGKILL, SIGSTOP and SIGCONT go to every process inside; others to the command alone.
        """
        if number == signal.SIGKILL:
            self._kill(Reason.HARNESS)
            self._ended.wait(_KILL_S)
            return
        with contextlib.suppress(ConnectionRefusedError):
            self._ask(f"signal {int(number)} {int(number in _TO_ALL)}".encode())

    def wait(self, timeout_s: float) -> ExitStatus | None:
        """How it ended, or None if it still runs after `timeout_s`."""
        self._ended.wait(timeout_s)
        return self._exit

    def stop(self, grace_s: float = 0.0) -> ExitStatus:
        """SIGTERM to the command, `grace_s` later SIGKILL to all; nothing is left on return.

        Raises:
            InfraFault: the sandbox does not go away.
        """
        for door in self.doors.values():
            door.close()
        if grace_s and not self._exit:
            self.signal(signal.SIGTERM)
            self._ended.wait(grace_s)
        steps: list[Callable[[], object]] = [
            lambda: self._kill(Reason.HARNESS),
            self._kill_launcher,
            lambda: kill_group(self._channel.process),
        ]
        for step in steps:
            if self._exit:
                return self._exit
            step()
            self._ended.wait(_KILL_S)
        if not self._exit:
            raise InfraFault(
                f"sandbox process {self._channel.process.pid} does not end on SIGKILL",
                fix="look for a hung disk or file system, then restart this machine",
            )
        return self._exit

    def collect(self, target: str, destination: Path, *, most_bytes: int) -> None:
        """Copy what was left in the writable mount at `target` to the new folder `destination`.

        Files and folders are copied, of their modes only whether a file can be executed; links and special
        files are left behind. Each name counts as whole pages of 4096 bytes, one at least: so what is
        collected fits a writable mount of `most_bytes`.

        Raises:
            BadSubmission: it is more than `most_bytes`, or nested deeper than can be handled.
            InfraFault: the copy cannot be written.
            KeyError: no writable mount is there, or the sandbox was left.
            RuntimeError: something inside may still run.
        """
        if not self._exit:
            raise RuntimeError(f"{target} is collected once nothing runs: stop the sandbox first")
        collect_folder(self._folders[target], target, destination, most_bytes)

    def log_tail(self, lines: int = 20) -> str:
        """The last lines printed, without escape sequences, undecodable bytes replaced."""
        return self._channel.log.tail(lines)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.stop()
        finally:
            while self._folders:
                os.close(self._folders.popitem()[1])

    # What starts it uses.

    def watch(self) -> None:
        """Begin to read messages and the log."""
        self._thread.start()

    def await_launcher(self, timeout_s: float) -> None:
        """Return once the launcher answers.

        Raises:
            InfraFault: it does not.
        """
        sender = self._answer("ready", timeout_s).sender
        with self._closing:
            self._launcher = os.pidfd_open(sender)

    def open_doors(self, ports: Mapping[str, int]) -> None:
        """Listen at the port of each door; port 0 takes a free one."""
        doors: dict[str, socket.socket] = {}
        self.doors = doors
        for name, port in ports.items():
            doors[name] = self.listen(port)
        addresses = {name: listener.getsockname() for name, listener in doors.items()}
        shown = {name: f"{host}:{bound}" for name, (host, bound) in addresses.items()}
        self.view = replace(self.view, doors=shown)

    def hold_folders(self, paths: Mapping[str, str]) -> None:
        """Keep hold of folders in the view, by target, beyond the end of what runs there."""
        for target, path in paths.items():
            self._folders[target] = self._ask(b"folder " + os.fsencode(path)).descriptors[0]

    def run(self, job: bytes, timeout_s: float) -> None:
        """Let the launcher start the command.

        Raises:
            InfraFault: it cannot.
        """
        with self._asking:
            self._send(b"run " + job)
            self.pid = self._answer("started", timeout_s).sender

    # Questions to the launcher.

    def _socket(self) -> socket.socket:
        if not self._confined:
            return socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        return socket.socket(fileno=self._ask(b"socket").descriptors[0])

    def _ask(self, message: bytes) -> Message:
        with self._asking:
            self._send(message)
            try:
                answer = self._answers.get(timeout=_ANSWER_S)
            except queue.Empty:
                # A late answer would be taken for that to the next question: nothing works from here.
                self._kill(Reason.HARNESS)
                raise InfraFault(
                    f"the sandbox gave no answer in {_ANSWER_S:.0f} s",
                    fix="run fewer gradings side by side on this machine",
                ) from None
        if answer is None:
            self._answers.put(None)
            raise ConnectionRefusedError("the sandbox has ended")
        return answer

    def _send(self, message: bytes) -> None:
        try:
            self._channel.control.send(message)
        except OSError as error:
            raise ConnectionRefusedError("the sandbox has ended") from error

    def _answer(self, expected: str, timeout_s: float) -> Message:
        try:
            answer = self._answers.get(timeout=timeout_s)
        except queue.Empty:
            answer = None
        if answer is None or answer.text != expected:
            self._ended.wait(_DRAIN_S)
            said, _, fix = self._fault.partition("\n")
            said = said or self.log_tail(5).strip() or "it gave no reason"
            raise InfraFault(
                f"the sandbox did not start: {said}", fix=fix or "see what `kubeproof doctor` says"
            )
        return answer

    def _kill(self, reason: Reason) -> None:
        self._killed = self._killed or reason
        with contextlib.suppress(OSError):
            self._channel.control.send(f"kill {self._killed}".encode())

    def _kill_launcher(self) -> None:
        """For one that no longer listens."""
        with self._closing, contextlib.suppress(ProcessLookupError):
            if self._launcher is not None:
                signal.pidfd_send_signal(self._launcher, signal.SIGKILL)

    # The thread.

    def _supervise(self) -> None:
        try:
            self._read()
        finally:
            self._finish()

    def _read(self) -> None:
        """Read until both ends are closed; once the control socket is, the rest of the log is near."""
        control, out = self._channel.control.fileno(), self._channel.out
        poll = select.poll()
        for descriptor in (control, out):
            poll.register(descriptor, select.POLLIN)
        waiting, deadline = {control, out}, float("inf")
        while waiting and (left_s := deadline - time.monotonic()) > 0:
            for descriptor, _ in poll.poll(min(left_s, 3600) * 1000):
                going = self._hear() if descriptor == control else self._drain()
                if not going:
                    poll.unregister(descriptor)
                    waiting.discard(descriptor)
            if control not in waiting:
                deadline = min(deadline, time.monotonic() + _DRAIN_S)

    def _drain(self) -> bool:
        data = os.read(self._channel.out, 1 << 18)
        self._channel.log.write(data)
        if self._channel.log.total_bytes > self._limits.log_bytes and not self._killed:
            self._kill(Reason.LOG)
        return bool(data)

    def _hear(self) -> bool:
        message = self._channel.receive()
        if message is None:
            return False
        verb, _, rest = message.text.partition(" ")
        if verb == "usage":
            self._note_usage(rest)
        elif verb == "exit":
            self._at = time.monotonic()
            reason, status = rest.split()
            self._verdict = Reason(reason), int(status)
        elif verb == "fault":
            self._fault = rest
        else:
            self._answers.put(message)
        return True

    def _note_usage(self, text: str) -> None:
        cpu_s, rss, pids = text.split()
        before = self._usage
        self._usage = Usage(
            cpu_s=float(cpu_s),
            rss_bytes=int(rss),
            pids=int(pids),
            peak_rss_bytes=max(before.peak_rss_bytes, int(rss)),
            peak_pids=max(before.peak_pids, int(pids)),
        )

    def _finish(self) -> None:
        """The launcher is gone: reap what enclosed it, close everything, tell everybody."""
        with contextlib.ExitStack() as last:
            last.callback(self._tell)
            last.callback(self._channel.resources.close)
            last.callback(self._channel.log.close)
            last.callback(os.close, self._channel.out)
            last.callback(self._channel.control.close)
            last.callback(self._forget_launcher)
            last.callback(self._kill_enclosure)

    def _tell(self) -> None:
        self._usage = replace(self._usage, rss_bytes=0, pids=0)
        self._exit = self._status()
        self._answers.put(None)
        self._ended.set()

    def _forget_launcher(self) -> None:
        with self._closing:
            if self._launcher is not None:
                os.close(self._launcher)
                self._launcher = None

    def _kill_enclosure(self) -> None:
        try:
            # It ends when the last process inside is gone, which is what everybody waits for.
            self._channel.process.wait(_KILL_S)
        except subprocess.TimeoutExpired:
            kill_group(self._channel.process)

    def _status(self) -> ExitStatus:
        at = self._at or time.monotonic()
        if self._verdict is None:
            return ExitStatus(self._killed or Reason.LOST, at, signal=signal.SIGKILL, detail=self._fault)
        reason, status = self._verdict
        if os.WIFSIGNALED(status):
            return ExitStatus(reason, at, signal=os.WTERMSIG(status))
        return ExitStatus(reason, at, code=os.WEXITSTATUS(status))
