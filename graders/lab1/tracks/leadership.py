"""Two replicas: which of them writes, and who goes on when it stops."""

import contextlib
from collections import Counter
from dataclasses import replace

from graders.faultproxy import Delay, Match, Rule, RuleAnswer, writes_in
from graders.faultproxy.rules import InFlight
from graders.faults import InfraFault
from graders.lab1.api import PLURAL, job_manifest
from graders.lab1.jobscontext import JobsContext
from graders.lab1.leaderelection import (
    LOCKS,
    MOST_LEASE_S,
    LeaseWrite,
    holder_of,
    lease_s,
    read_lease_writes,
    replica_of,
)
from graders.polling import NotYet, TimedOut, wait_for
from graders.scenario.learnerprocess import LearnerProcess

NODES = 2
GRACE_S = 0.2
"""A write that a stopped process had decided on may still come for so long after it goes on."""
MOST_GRACE_S = 3.0
MOST_ASKING = 256
"""Requests that are never answered are forgotten, the oldest first."""
SLOW_S = 0.25
"""Added to each write of the leader, so that one who does not ask who leads gets something to do."""


def leader(context: JobsContext) -> None:
    """Stop the leader past its lease and let it go on; kill the one who leads then."""
    namespace = context.namespace()
    running, standby = context.env.operator, context.env.standby
    if standby is None:
        raise InfraFault("there is no second replica")
    observer = LeaseObserver(context)
    slow = Slow(observer, namespace)
    with context.env.proxy.disturb(observer):
        _wait_standby(context, observer, standby)
        _wait_claim(context, observer)
        context.mark("begin", namespace=namespace, replicas=[running.name, standby.name])
        with context.env.proxy.disturb(slow):
            _work(context, "both", "both-again")

        first = _leading(context, observer, (running, standby))
        second = running if first is standby else standby
        duration_s = _lease(observer, first)
        with contextlib.ExitStack() as stopped:
            # Whatever happens, it goes on: one that is stopped cannot end in good order.
            stopped.callback(first.resume)
            first.pause()
            context.mark("stopped", instance=first.instance, lease_s=duration_s)
            _takeover(context, second, "while-stopped", "stopped", duration_s)
            context.wait_pods(namespace, "while-stopped", NODES)
            with context.env.proxy.disturb(slow):
                context.create(job_manifest(namespace, "at-return", nodes=NODES))
                stopped.close()
                _let_come_to(context, first)
                _work(context, "after-return", under_way=("at-return",))

        last = _leading(context, observer, (running, standby))
        other = running if last is standby else standby
        duration_s = _lease(observer, last)
        instance = last.instance
        last.kill_for_good()
        context.mark("killed", instance=instance, lease_s=duration_s)
        _takeover(context, other, "after-kill", "killed", duration_s)
        context.wait_pods(namespace, "after-kill", NODES)
        context.mark("end", namespace=namespace)


class LeaseObserver(Rule):
    """Changes nothing; knows who asked for what, and marks each claim to lead."""

    def __init__(self, context: JobsContext) -> None:
        super().__init__("lease-observer", Match())
        self._stage = context
        self._writes = writes_in(context.namespace())
        self.lease_writes: list[LeaseWrite] = []
        self.writes: Counter[str] = Counter()
        """Accepted writes to the track's jobs and their children so far, by instance."""
        self.last_request: dict[str, float] = {}
        """When an instance last asked for anything but a lock."""
        self.waiting: set[str] = set()
        """Instances that have asked for a lock, if only to read it."""
        self.watching: set[str] = set()
        """Instances that have asked for a watch of jobs."""
        self._asking: dict[int, tuple[InFlight, list[LeaseWrite]]] = {}
        """Claims of requests under way: once a request is forwarded its body is gone."""

    async def before(self, request: InFlight) -> RuleAnswer | None:
        """Note who is there."""
        if request.info.resource not in LOCKS:
            self.last_request[request.instance] = request.t
        else:
            self.waiting.add(request.instance)
        if request.info.resource in LOCKS and request.info.is_write:
            while len(self._asking) >= MOST_ASKING:
                del self._asking[next(iter(self._asking))]
            lease_writes = read_lease_writes(request.info, request.body, request.instance, request.t)
            self._asking[id(request)] = (request, lease_writes)
        if request.info.verb == "watch" and request.info.resource == PLURAL:
            self.watching.add(request.instance)
            self._stage.env.recording.changes.notify()
        return None

    async def after(self, request: InFlight, code: int) -> RuleAnswer | None:
        """Note what was accepted."""
        _, lease_writes = self._asking.pop(id(request), (request, []))
        if not 200 <= code < 300 or not request.info.is_write:
            return None
        if lease_writes:
            self._take(lease_writes)
        elif self._writes.covers(request.info):
            self.writes[request.instance] += 1
        return None

    def _take(self, lease_writes: list[LeaseWrite]) -> None:
        for asked in lease_writes:
            write = replace(asked, t=self._stage.now())
            self.lease_writes.append(write)
            self._stage.mark(
                "claim",
                instance=write.instance,
                lock=write.lock[:300],
                holder=write.holder[:200],
                lasts_s=write.lasts_s,
                priority=write.priority,
                gone=write.gone,
            )
        self._stage.env.recording.changes.notify()

    def not_at_work(self, replica: str, now: float, quiet_s: float) -> str:
        """Why a replica that does not lead is not ready to take over; empty if it is."""
        asked = [t for name, t in self.last_request.items() if replica_of(name) == replica]
        if not asked and not any(replica_of(name) == replica for name in self.waiting):
            return "it has not asked the API server for anything"
        watching = any(replica_of(name) == replica for name in self.watching)
        if not watching and asked and now - max(asked) < quiet_s:
            return "it is still starting"
        return ""

    def holders(self) -> set[str]:
        """The instances that hold a lock now."""
        lease_writes, now = list(self.lease_writes), self._stage.now()
        return {holder_of(lease_writes, lock, now) for lock in {write.lock for write in lease_writes}} - {""}


class Slow(Delay):
    """Writes to jobs and their children take longer for who holds a lock; all others are as fast as ever."""

    def __init__(self, observer: LeaseObserver, namespace: str) -> None:
        super().__init__("slow-leader", writes_in(namespace), SLOW_S)
        self._witness = observer

    async def before(self, request: InFlight) -> RuleAnswer | None:
        """Wait, if it is the leader's."""
        return await super().before(request) if request.instance in self._witness.holders() else None


def _wait_standby(context: JobsContext, observer: LeaseObserver, standby: LearnerProcess) -> None:
    """Wait until the second replica is at work: it watches jobs, or it has asked and now asks no more.

    One that asks for nothing but the lock, until it has it, is at work too.
    """

    def probe() -> None:
        if standby.fault is not None:
            raise InfraFault(f"the second replica could not be started: {standby.fault}")
        if why := observer.not_at_work(standby.name, context.now(), 2 * context.env.quiet_s):
            raise NotYet(why)

    context.wait("the second replica to be at work", probe, timeout_s=2 * context.deadline_s)


def _wait_claim(context: JobsContext, observer: LeaseObserver) -> None:
    """Wait until somebody renews a Lease, as its holder does before it runs out; or both, their peering."""

    def probe() -> None:
        lease_writes = list(observer.lease_writes)
        peers = {write.replica for write in lease_writes if write.is_peering}
        if not lease_writes:
            raise NotYet("two replicas run, and neither has written a Lease or a kopf peering")
        if len(peers) == 1:
            raise NotYet(f"of two replicas only {peers.pop()} has renewed its entry in the kopf peering")
        if not observer.holders():
            raise NotYet("two replicas run, and by their Leases and kopf peerings neither of them leads")

    what = "one of two replicas to take or renew a Lease (or both a kopf peering), to say who leads"
    context.wait(what, probe, timeout_s=MOST_LEASE_S + context.deadline_s)


def _work(context: JobsContext, *jobs: str, under_way: tuple[str, ...] = ()) -> None:
    """Give the leader jobs to do, and wait until they and those under way are done."""
    namespace = context.namespace()
    for job in jobs:
        context.create(job_manifest(namespace, job, nodes=NODES))
    for job in (*under_way, *jobs):
        context.wait_pods(namespace, job, NODES)
    context.settle(namespace)


def _leading(
    context: JobsContext, observer: LeaseObserver, replicas: tuple[LearnerProcess, LearnerProcess]
) -> LearnerProcess:
    """The replica that holds a lock; where that does not tell, the one that did the work just now."""
    held = {replica_of(instance) for instance in observer.holders()}
    candidates = [replica for replica in replicas if replica.name in held] or list(replicas)
    recent = _recent(observer, candidates)
    context.mark("leading", replica=recent.name, instance=recent.instance, writes=dict(observer.writes))
    observer.writes.clear()
    return recent


def _recent(observer: LeaseObserver, candidates: list[LearnerProcess]) -> LearnerProcess:
    def done(replica: LearnerProcess) -> int:
        return sum(n for name, n in observer.writes.items() if replica_of(name) == replica.name)

    return max(candidates, key=done)


def _lease(observer: LeaseObserver, replica: LearnerProcess) -> float:
    """For how long the other has to wait, as the lock says."""
    found = lease_s(list(observer.lease_writes), replica.instance)
    return MOST_LEASE_S if found is None else found


def _takeover(context: JobsContext, replica: LearnerProcess, job: str, why: str, duration_s: float) -> None:
    """Create a job that only the other replica can do, and wait until it has its pods."""
    namespace = context.namespace()
    context.create(job_manifest(namespace, job, nodes=NODES))

    def probe() -> None:
        if replica.fault is not None:
            raise InfraFault(f"a replica could not be started again: {replica.fault}")
        pods = context.pod_names(namespace, job)
        if len(pods) != NODES:
            raise NotYet(f"it created {len(pods)} pods of {NODES}")

    what = (
        f"the other replica to take over from a leader that was {why}, and create the pods of a new job "
        f"(its lease lasts {duration_s:g} s)"
    )
    context.wait(what, probe, timeout_s=duration_s + context.deadline_s)
    context.mark("taken-over", job=job, namespace=namespace)


def _let_come_to(context: JobsContext, replica: LearnerProcess) -> None:
    """Set mark `continued`, and after the grace the mark `awake`: time without a processor does not count."""
    start, kept_s = context.mark("continued", instance=replica.instance), replica.scheduled().waited_s

    def probe() -> None:
        if context.now() - start - max(0.0, replica.scheduled().waited_s - kept_s) < GRACE_S:
            raise NotYet("it has just been let go on")

    with contextlib.suppress(TimedOut):
        wait_for(probe, timeout_s=MOST_GRACE_S, interval_s=0.02)
    context.mark("awake", instance=replica.instance)
