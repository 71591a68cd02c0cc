"""What a track acts with: marks, requests that are evidence, and waits with adaptive deadlines."""

import random
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from graders.evidence.records import Request, Wait
from graders.faults import InfraFault
from graders.polling import NotYet, TimedOut, wait_for
from graders.scenario.deadlines import SHORTEST_STRETCH_S, AdaptiveDeadline, LearnerClock
from graders.scenario.environment import Environment
from graders.scenario.namespaces import create_namespaces
from graders.scenario.trackmarks import TrackMarks
from graders.scenario.tracks import RestartGate

T = TypeVar("T")
E = TypeVar("E", bound=Environment)


class TrackContext(TrackMarks, Generic[E]):
    """One track's own part of an environment."""

    def __init__(self, track: str, environment: E, gate: RestartGate) -> None:
        super().__init__(track, environment.recording)
        self.env = environment
        self.gate = gate
        self.kube = environment.kube
        self.deadline_s = environment.deadline_s

    def namespace(self, part: str = "") -> str:
        """The namespace of this track, or of a named part of it."""
        return self.env.namespaces[f"{self.track}/{part}" if part else self.track]

    def open_namespaces(self, parts: Sequence[str]) -> None:
        """Make a namespace for each part of this track; their names tell nothing.

        Raises:
            InfraFault: the cluster does not get them ready.
        """
        dice = random.Random(self.namespace())  # noqa: S311  (names, not secrets)
        names = {part: f"{self.namespace()}-{dice.randrange(16**6):06x}" for part in parts}
        create_namespaces(self.kube, names.values(), self.deadline_s)
        for part, name in names.items():
            self.env.namespaces[f"{self.track}/{part}"] = name
            self.mark("namespace", namespace=name, part=part, cluster=self.env.cluster)

    def ask(self, name: str, method: str, path: str, **request: Any) -> Request:
        """Send a request whose answer is evidence, refused or not."""
        answer = self.kube.request(method, path, **request)
        record = Request(
            self.now(), self.track, name, method, path, answer.code, request.get("body"), answer.body,
            cluster=self.env.cluster,
        )  # fmt: skip
        self.env.recording.writer.add(record)
        return record

    def through_restart(
        self,
        *,
        before: Callable[[], None] = lambda: None,
        during: Callable[[], None] = lambda: None,
        after: Callable[[], None] = lambda: None,
    ) -> None:
        """Wait for the one restart of the program that a run has; see `RestartGate.pass_through`."""
        self._tell("waiting for other tracks to end, then for the operator to be restarted")
        since, opened = self.now(), 0.0

        def gathered() -> None:
            nonlocal opened
            opened = self.now()
            last, what = self.gate.opened_by, "the other tracks to be ready"
            self._record(Wait(since, opened, self.track, "others", what, released_by=last))
            before()

        try:
            self.gate.pass_through(self.track, before=gathered, during=during, after=after)
        finally:
            if opened:
                what = "the operator to be restarted"
                self._record(Wait(opened, self.now(), self.track, "restart", what))

    # --- waiting ---------------------------------------------------------------------------------

    def wait(
        self,
        what: str,
        probe: Callable[[], T],
        *,
        timeout_s: float | None = None,
        control: Callable[[], str] = lambda: "",
    ) -> T:
        """Wait until `probe` returns instead of raising `NotYet`; T unless `timeout_s` says otherwise.

        A limit is stretched by what the machine is to blame for; see `AdaptiveDeadline`. When the condition
        still does not hold, `control` looks whether the harness could have shown it at all, and says what is
        wrong if not.

        Raises:
            Missed: it did not in time and the harness was healthy; marked `missed`.
            InfraFault: it did not in time, and the harness was not healthy or the machine far too busy.
        """
        since = self.now()
        limit = timeout_s if timeout_s is not None else self.deadline_s
        deadline = AdaptiveDeadline(self.env, self.track, since, limit)
        try:
            with self._waiting("condition", what):
                return self._wait_fairly(probe, deadline)
        except TimedOut as mismatch:
            self._blame(deadline, control)
            ends = self.env.ends_since(since)
            seen = f"{mismatch}; meanwhile {ends}" if ends else str(mismatch)
            self.miss(what, seen, within_s=round(limit, 1))

    def reached(self, what: str, probe: Callable[[], object]) -> bool:
        """Whether `probe` returns within T: for a step that is another track's business to demand.

        Raises:
            InfraFault: it did not, and the harness was not healthy.
        """
        deadline = self._deadline()
        try:
            with self._waiting("condition", what):
                self._wait_fairly(probe, deadline)
        except TimedOut as mismatch:
            self._blame(deadline, lambda: "")
            self.mark("not-reached", waiting_for=what, seen=str(mismatch))
            return False
        return True

    def settle(self, *namespaces: str, for_s: float | None = None) -> float:
        """Wait until the learner's program has not written there for a while; sets mark `settled`.

        The while is of `for_s` seconds, else a moment, by the program's own clock: what is not let run is
        not at rest. One that never rests is not this wait's business: after T it goes on, marked `restless`.
        """
        quiet_s = self.env.quiet_s if for_s is None else for_s
        clock, start = LearnerClock(self.env), self.now()
        last, since = start, clock.now()

        def probe() -> None:
            nonlocal last, since
            writes = (self.env.audit.last_write(self.env.user, each) for each in namespaces)
            latest = max(start, *(write if write is not None else start for write in writes))
            if latest > last:
                last, since = latest, clock.now()
            if clock.now() - since < quiet_s:
                raise NotYet(f"last write {self.now() - last:.2f} s ago")

        name = "settled"
        deadline = AdaptiveDeadline(self.env, self.track, start, self.deadline_s + (for_s or 0.0))
        try:
            with self._waiting("rest", "the operator to come to rest"):
                self._wait_fairly(probe, deadline, interval_s=0.05)
        except TimedOut:
            name = "restless"
        return self.mark(name, namespace=namespaces[0])

    def await_notice(self, namespace: str, since: float) -> None:
        """Wait until the program has written in the namespace after `since`: before that, rest is no answer.

        One that never does is the business of other waits: after T it goes on, marked `unnoticed`.
        """

        def probe() -> None:
            last = self.env.audit.last_write(self.env.user, namespace)
            if last is None or last < since:
                raise NotYet("it has not written yet")

        try:
            with self._waiting("condition", "the operator to notice"):
                self._wait_fairly(probe, self._deadline(), interval_s=0.05)
        except TimedOut:
            self.mark("unnoticed", namespace=namespace)

    def _deadline(self) -> AdaptiveDeadline:
        return AdaptiveDeadline(self.env, self.track, self.now(), self.deadline_s)

    def _wait_fairly(
        self, probe: Callable[[], T], deadline: AdaptiveDeadline, *, interval_s: float = 0.25
    ) -> T:
        """Wait, and go on for as long as the machine is to blame for."""
        left_s = deadline.limit_s
        with self.env.recording.changes.listener(self.env.elsewhere(self.track)) as bell:
            while True:
                try:
                    found = wait_for(probe, timeout_s=left_s, interval_s=interval_s, wake=bell)
                except TimedOut:
                    left_s = deadline.left_s()
                    if left_s < SHORTEST_STRETCH_S:
                        raise
                else:
                    over_s = deadline.over_s()
                    if over_s > 0:
                        self.mark("stretched", by_s=round(over_s, 2))
                    return found

    def _blame(self, deadline: AdaptiveDeadline, control: Callable[[], str]) -> None:
        if (fault := self.env.process_fault()) is not None:
            raise InfraFault(f"the operator could not be started: {fault}")
        sickness = self.env.health.sickness(deadline.since) or self.env.watches.problem or control()
        if sickness:
            raise InfraFault(f"a deadline passed while the harness was not healthy: {sickness}")
        if deadline.starved():
            raise InfraFault(
                "a deadline passed, stretched as far as it goes, on a machine that is far too busy",
                fix="grade again when the machine has less to do, or fewer submissions at once",
            )
