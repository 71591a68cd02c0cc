"""When a loss comes: at a random phase between two backups, or just before the next one."""

from collections.abc import Callable

from graders.lab3.environment.lane import Lane
from graders.polling import NotYet, TimedOut, wait_for

_BEFORE_NEXT_S = 0.3
_BACKUPS = 2


def first_backups(lane: Lane) -> bool:
    """Begin the schedule, and wait for the first backups; whether they are sealed."""
    lane.mark("backups-begin")
    lane.look_at_objects("before")
    return more_backups(lane)


def more_backups(lane: Lane) -> bool:
    """Go on with the schedule until there are two more; whether they are sealed."""
    lane.tell("backups")
    sealed = len(lane.schedule.backups.sealed)
    lane.schedule.go()
    made = lane.await_backups(sealed + _BACKUPS)
    if not made:
        lane.mark("no-backup")
    return made


def anew(
    lane: Lane, moment: Callable[[Lane], None], prepare: Callable[[Lane], None] = lambda _: None
) -> bool:
    """Begin a new ledger, have it backed up, and wait for a moment; whether backups were sealed."""
    lane.next_ledger()
    prepare(lane)
    if not more_backups(lane):
        return False
    moment(lane)
    return True


def await_random_phase(lane: Lane) -> None:
    """Wait for a moment between two backups that the seed chooses."""
    lane.take_turn()
    every_s = lane.context.wanted.dr.every_s
    begun = lane.schedule.next_due - every_s
    lane.wait_until(begun + lane.context.dice.uniform(0.3, 0.9) * every_s)
    await_idle(lane)


def await_late(lane: Lane) -> None:
    """Wait until just before the next backup is due."""
    lane.take_turn()
    lane.wait_until(lane.schedule.next_due - _BEFORE_NEXT_S)


def await_idle(lane: Lane) -> None:
    """Wait until no backup is being made."""

    def idle() -> None:
        if not lane.schedule.idle:
            raise NotYet("a backup is being made")

    try:
        wait_for(idle, timeout_s=20.0 * lane.context.scale, interval_s=0.02)
    except TimedOut as mismatch:
        lane.mark("not-idle", why=str(mismatch))
