"""What a track acts with: releases, commits, and waits that the machine stretches."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from graders.faults import InfraFault
from graders.gitops.releasemanager import Obstructed
from graders.kube.workloads import digest_in, is_ready, why_without_pods
from graders.lab2.images import digest_of
from graders.lab2.livefleet import LiveFleet
from graders.lab2.names import ENGINE, ENVIRONMENTS, NAMESPACE, NAMESPACES, QUIET_S, WEB
from graders.polling import NotYet, TimedOut, wait_for
from graders.scenario.trackmarks import TrackMarks

T = TypeVar("T")


class FleetContext(TrackMarks):
    """One track's own part of the fleet."""

    def __init__(self, track: str, fleet: LiveFleet) -> None:
        super().__init__(track, fleet.recording)
        self.fleet = fleet
        self.promises = fleet.manifest.promises

    def release(self, version: str, *, tell: bool = True) -> float:
        """Commit a version; gives the time of the mark `released`, just after the commit was there.

        The engine is told of it, as a Git server tells who asked for that, unless `tell` is false: then it
        finds out by itself.
        """
        fleet = self.fleet
        if fleet.promoter is not None:
            fleet.promoter.on_push = fleet.engine.tell if tell else _tell_nobody
        with self.in_git():
            commit = fleet.manager.release(version, fleet.manifest.release)
        fleet.live.append(version)
        at = self.mark("released", version=version, digest=digest_of(version), commit=commit)
        if tell:
            fleet.engine.tell()
        return at

    def image_of(self, version: str) -> str:
        """An image of web as manifests name it, with its digest."""
        return self.fleet.values.image_of(version)

    def change(self, subject: str, files: Mapping[str, bytes | None]) -> str:
        """Commit files, None for one that goes, and tell the engine; gives the commit."""
        with self.in_git():
            commit = self.fleet.manager.change(subject, files)
        self.fleet.engine.tell()
        return commit

    @contextmanager
    def in_git(self) -> Iterator[None]:
        """The release manager works, for one track at a time.

        Where it cannot, for what the learner pushed, the track ends.
        """
        try:
            with self.fleet.git:
                yield
        except Obstructed as obstructed:
            self.miss("a repository that others can commit to", str(obstructed))

    def wait(self, what: str, probe: Callable[[], T], limit_s: float, *, without: tuple[str, ...] = ()) -> T:
        """Wait until `probe` returns instead of raising `NotYet`, for `limit_s`, stretched by the machine.

        `without` are clusters whose API server is meant to be away.

        Raises:
            Missed: it did not in time, and the harness was well. InfraFault: it was not.
        """
        since = self.now()
        try:
            return self._polled(what, probe, limit_s)
        except TimedOut as mismatch:
            self.blame(since, without)
            self.miss(what, str(mismatch), within_s=round(limit_s * self.fleet.scale, 1))

    def reached(
        self, what: str, probe: Callable[[], object], limit_s: float, *, without: tuple[str, ...] = ()
    ) -> bool:
        """Whether `probe` returns in time; marked `not-reached` where it does not.

        Raises:
            InfraFault: it does not, and the harness was not well.
        """
        since = self.now()
        try:
            self._polled(what, probe, limit_s)
        except TimedOut as mismatch:
            self.blame(since, without)
            self.mark("not-reached", waiting_for=what, seen=str(mismatch))
            return False
        return True

    def rest(self, what: str, for_s: float) -> None:
        """Let time pass, stretched by the machine, in which something must not happen."""
        with self._waiting("rest", what):
            threading.Event().wait(for_s * self.fleet.scale)

    def settle(self, what: str = "the fleet to settle") -> float:
        """Wait until every environment is ready at what is wanted and the engine is quiet; marked `settled`.

        Raises:
            Missed: it is not within promote and a half more. InfraFault: the harness was not well.
        """
        if self.fleet.promoter is not None:
            with self.in_git():
                self.fleet.manager.restore()
                self.fleet.manager.keep(self.fleet.wanted, self.fleet.manifest.release)
        self.wait(what, self.settled_probe(), 1.5 * self.promises.promote_s + QUIET_S)
        return self.mark("settled", version=self.fleet.wanted)

    def settled_probe(self) -> Callable[[], None]:
        """Raises `NotYet` while an environment is not ready at what is wanted, or is being written to."""
        digest = digest_of(self.fleet.wanted)

        def probe() -> None:
            for environment in ENVIRONMENTS:
                self.ready(environment, digest)
                last = self.last_write(environment)
                if last is not None and self.now() - last < QUIET_S:
                    raise NotYet(f"{environment} was written to {self.now() - last:.1f} s ago")

        return probe

    def ready(self, environment: str, digest: str) -> None:
        """Raise `NotYet` unless web runs `digest` there and is ready."""
        deployment = self.deployment(environment)
        if deployment is None or digest_in(deployment, WEB) != digest:
            raise NotYet(f"web in {environment} is at {digest_in(deployment, WEB) or 'nothing'}")
        if not is_ready(deployment):
            raise NotYet(f"web in {environment} is not ready{why_without_pods(deployment)}")

    def applied(self, environment: str, digest: str) -> None:
        """Raise `NotYet` unless web is to run `digest` there."""
        found = digest_in(self.deployment(environment), WEB)
        if found != digest:
            raise NotYet(f"web in {environment} is at {found or 'nothing'}")

    def deployment(self, environment: str, name: str = WEB) -> Mapping[str, Any] | None:
        """A Deployment of the environment as the grader's watch has it."""
        return self.fleet.spokes[environment].watches.objects("deployments", NAMESPACE).get(name)

    def last_write(self, environment: str) -> float | None:
        """When the engine last wrote to a spoke."""
        audit = self.fleet.spokes[environment].audit
        writes = [audit.last_write(ENGINE, place) for place in ("", *NAMESPACES)]
        return max((each for each in writes if each is not None), default=None)

    def check_judges(self, without: tuple[str, ...] = ()) -> None:
        """See that what judges by policies runs: a spoke without it denies everything.

        Raises:
            InfraFault: it does not run, and nobody killed it.
        """
        self.fleet.check_judges(without)

    def blame(self, since: float, without: tuple[str, ...] = ()) -> None:
        """See that it was not the harness that something did not come.

        Raises:
            InfraFault: it was.
        """
        fleet = self.fleet
        fleet.check_services(without)
        if fleet.readiness.problem:
            raise InfraFault(fleet.readiness.problem)
        for keeper in (fleet.readiness, fleet.promoter):
            if keeper is not None and keeper.problem:
                raise InfraFault(keeper.problem)
        for live in (fleet.hub, *fleet.spokes.values()):
            if live.name not in without and (sick := live.health.sickness(since) or live.watches.problem):
                raise InfraFault(f"a deadline passed while {live.name} was not healthy: {sick}")

    def _polled(self, what: str, probe: Callable[[], T], limit_s: float) -> T:
        with self._waiting("condition", what), self._recording.changes.listener() as bell:
            return wait_for(probe, timeout_s=limit_s * self.fleet.scale, interval_s=0.25, wake=bell)


def _tell_nobody() -> None:
    return None
