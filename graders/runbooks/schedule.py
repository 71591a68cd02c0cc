"""The schedule by which a runbook backs up."""

import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from graders.evidence.recording import Recording
from graders.polling import NotYet
from graders.runbooks.scripts import Scripts
from graders.runbooks.sealed import SealedBackup, SealedBackups

KILLED_AFTER_S = 15.0


class BackupSchedule:
    """Makes a backup every `every_s` from the last start, never two at a time, while its block runs."""

    def __init__(
        self,
        scripts: Scripts,
        recording: Recording,
        command: tuple[str, ...],
        every_s: float,
        backups: SealedBackups,
        scale: float,
    ) -> None:
        self.backups = backups
        self.every_s = every_s
        self.tries = 0
        self._scripts = scripts
        self._recording = recording
        self._command = command
        self._scale = scale
        self._over = threading.Event()
        self._going = threading.Event()
        self._cut = threading.Event()
        self._changed = threading.Condition()
        self._running = False
        self._last_start = -float("inf")
        self._thread = threading.Thread(target=self._run, name="backups", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._cut.set()
        self._going.set()
        with self._changed:
            self._changed.notify_all()
        self._thread.join(30.0)

    @property
    def next_due(self) -> float:
        """When the next backup is to begin, in seconds of the run."""
        return self._last_start + self.every_s

    @property
    def idle(self) -> bool:
        """Whether no backup is being made just now."""
        return not self._running

    def go(self) -> None:
        """Make backups from now on."""
        self._cut.clear()
        self._going.set()

    @contextmanager
    def halted(self) -> Iterator[None]:
        """No backup begins while the block runs, and none that had begun goes on."""
        self._going.clear()
        self._cut.set()
        try:
            yield
        finally:
            with self._changed:
                self._changed.wait_for(lambda: not self._running, timeout=30.0)

    def has_made(self, count: int, most_tries: int) -> None:
        """See that `count` are sealed, or that so many were tried in vain.

        Raises:
            NotYet: neither.
        """
        if len(self.backups.sealed) < count and self.tries < most_tries:
            raise NotYet(f"{len(self.backups.sealed)} of {count} backups are sealed")

    def _run(self) -> None:
        clock = self._recording.clock
        while True:
            self._going.wait()
            if self._over.wait(max(0.0, self.next_due - clock.now())):
                return
            if self._going.is_set():
                self._make()

    def _make(self) -> None:
        began = self._last_start = self._recording.clock.now()
        self._running = True
        id = secrets.token_hex(8)
        try:
            ended = self._scripts.make_backup(
                self._command,
                KILLED_AFTER_S * self._scale,
                purpose="schedule",
                seal_in=self.backups.folder,
                id=id,
                stop=self._cut,
            )
        finally:
            with self._changed:
                self.tries += 1
                self._running = False
                self._changed.notify_all()
        if ended.code == 0:
            self.backups.sealed.append(SealedBackup(id, began, self._recording.clock.now()))
            self._recording.changes.notify()
