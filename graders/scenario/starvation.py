"""The control of the processor: a little work every half second, and how late it was done."""

import hashlib
import time

from graders.background import BackgroundThread
from graders.evidence.recording import Recording
from graders.recovery.records import StarvationSample
from graders.recovery.voids import CONTROL_EVERY_S

WORK_S = 0.05
_BLOCK = bytes(1 << 20)


class StarvationControl(BackgroundThread):
    """Takes a sample in each slot and puts it on record; a context manager."""

    def __init__(self, recording: Recording) -> None:
        super().__init__("starvation-control")
        self._recording = recording
        self.samples: list[StarvationSample] = []

    def _run(self) -> None:
        clock = self._recording.clock
        due = clock.now()
        while not self._stop.wait(max(0.0, due - clock.now())):
            t = clock.now()
            _work()
            sample = StarvationSample(t, clock.now(), round(due, 6), WORK_S)
            self.samples.append(sample)
            self._recording.writer.add(sample)
            # A slot that is missed altogether is missing from the record, and counts as late there.
            due += CONTROL_EVERY_S
            while due + CONTROL_EVERY_S < clock.now():
                due += CONTROL_EVERY_S


def _work() -> None:
    """Compute for `WORK_S` of processor time; digests of large blocks leave the interpreter to others."""
    end = time.thread_time() + WORK_S
    while time.thread_time() < end:
        hashlib.sha256(_BLOCK).digest()
