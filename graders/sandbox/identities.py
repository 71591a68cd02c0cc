"""User ids for sandboxes started by root: each running sandbox has one of its own.

What the kernel counts or permits by user (processes, signals, queues) then never crosses from one
sandbox to another. A lock file per id, held as long as the sandbox lives, keeps two harness processes
from giving out the same one; the kernel drops the lock with its holder.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from graders.faults import InfraFault

SLOTS = 4096
_LOCKS = Path("/run/kubeproof-uids")
_UID_MAP = Path("/proc/self/uid_map")
_BASES = (2_000_000_000, 50_000)
"""No distribution gives these out; the second is for containers that map few ids."""


@contextmanager
def identity(locks: Path = _LOCKS, uid_map: Path = _UID_MAP) -> Iterator[int]:
    """A user id (and group id) nobody else has while this is open.

    Raises:
        InfraFault: every id is taken, or this container maps none of them.
    """
    base = _base(uid_map)
    locks.mkdir(mode=0o700, parents=True, exist_ok=True)
    for slot in range(SLOTS):
        lock = os.open(locks / str(slot), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            continue
        try:
            yield base + slot
        finally:
            os.close(lock)
        return
    raise InfraFault(f"{SLOTS} sandboxes run already", fix="wait until some have ended")


def _base(uid_map: Path) -> int:
    ranges = [
        (int(first), int(count))
        for first, _, count in (line.split() for line in uid_map.read_text().splitlines())
    ]
    for base in _BASES:
        if any(first <= base and base + SLOTS <= first + count for first, count in ranges):
            return base
    raise InfraFault(
        f"this container maps no user ids from {_BASES[-1]} on, and root never runs learner code",
        fix="run kubeproof as an ordinary user, or in a container with 65536 ids",
    )
