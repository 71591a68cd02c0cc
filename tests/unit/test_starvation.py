"""How long a program ran, and was ready to run and was not let."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from graders.polling import NotYet, wait_for
from graders.sandbox.starvation import Scheduled, scheduled

BUSY = "import time\nwhile True: pass"


def test_a_program_that_shares_its_processor_has_waited() -> None:
    """Two programs that never rest on one processor: each waits for the other."""
    processor = min(os.sched_getaffinity(0))
    both = [subprocess.Popen(["taskset", "-c", str(processor), sys.executable, "-c", BUSY]) for _ in range(2)]

    def has_waited() -> None:
        of_each = [scheduled(each.pid) for each in both]
        if not all(each.waited_s > 0.2 and each.ran_s > 0.2 for each in of_each):
            raise NotYet(str(of_each))

    try:
        wait_for(has_waited, timeout_s=60.0)
    finally:
        for each in both:
            each.kill()
            each.wait()


def test_what_its_children_ran_counts_with_it() -> None:
    script = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BUSY!r}])"
    parent = subprocess.Popen([sys.executable, "-c", script], start_new_session=True)

    def has_run() -> None:
        if scheduled(parent.pid).ran_s < 1.0:
            raise NotYet("its child has not run for long")

    try:
        wait_for(has_run, timeout_s=60.0)
    finally:
        os.killpg(parent.pid, signal.SIGKILL)
        parent.wait()


def test_a_program_that_is_gone_waits_for_nothing() -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert scheduled(gone.pid) == Scheduled()
