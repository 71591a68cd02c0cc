"""What a track of lab 1 acts with: its namespaces, its jobs, the kubelet's part, and waiting."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NoReturn, TypeVar

from graders.evidence.records import Object, Request, Wait
from graders.faults import InfraFault
from graders.kube.client import ApiRefused
from graders.lab1.api import (
    EXIT_CODE,
    INIT_EXIT_CODE,
    PLURAL,
    controller_uid,
    is_terminating,
    is_true,
    jobs_path,
    phase,
    placed,
    pods_path,
)
from graders.lab1.namespaces import create_namespaces
from graders.lab1.patience import SHORTEST_STRETCH_S, OperatorsClock, Patience
from graders.lab1.world import World
from graders.polling import NotYet, TimedOut, wait_for
from graders.progress import Task
from graders.scenario.tracks import Missed, RestartGate

T = TypeVar("T")


class Stage:
    """One track's own corner of the world."""

    def __init__(self, track: str, world: World, gate: RestartGate) -> None:
        self.track = track
        self.world = world
        self.gate = gate
        self.kube = world.kube
        self.deadline_s = world.deadline_s
        self._task: Task | None = None

    def attend(self, task: Task) -> None:
        """Tell `task` from now on what is being waited for."""
        self._task = task

    def namespace(self, part: str = "") -> str:
        """The namespace of this track, or of a named part of it."""
        return self.world.namespaces[f"{self.track}/{part}" if part else self.track]

    def open_namespaces(self, parts: Sequence[str]) -> None:
        """Make a namespace for each part of this track; their names tell nothing.

        Raises:
            InfraFault: the cluster does not get them ready.
        """
        dice = random.Random(self.namespace())  # noqa: S311  (names, not secrets)
        names = {part: f"{self.namespace()}-{dice.randrange(16**6):06x}" for part in parts}
        create_namespaces(self.kube, names.values(), self.deadline_s)
        for part, name in names.items():
            self.world.namespaces[f"{self.track}/{part}"] = name
            self.mark("namespace", namespace=name, part=part, cluster=self.world.cluster)

    def mark(self, name: str, **data: Any) -> float:
        """Set a mark and give its time."""
        return self.world.recording.mark(self.track, name, **data).t

    def now(self) -> float:
        """Seconds since the start of the run."""
        return self.world.recording.clock.now()

    # --- acting ----------------------------------------------------------------------------------

    def create(self, manifest: Mapping[str, Any]) -> None:
        """Create a job.

        Raises:
            Missed: the API server refused a valid job, so the learner's CRD is wrong; marked `refused`.
        """
        metadata = manifest["metadata"]
        path = jobs_path(metadata["namespace"])
        if self.world.guest is not None:
            manifest = placed(manifest, self.world.guest.pod)
        self.mark("create", namespace=metadata["namespace"], job=metadata["name"])
        self._act(f"creating the job {metadata['name']}", lambda: self.kube.create(path, manifest))

    def change(self, namespace: str, name: str, patch: Mapping[str, Any], mark: str, **data: Any) -> int:
        """Merge-patch a job and give the generation it has from then on; raises as `create`."""
        self.mark(mark, namespace=namespace, job=name, **data)
        changed = self._act(
            f"changing the job {name}", lambda: self.kube.patch(jobs_path(namespace, name), patch)
        )
        return int(changed["metadata"]["generation"])

    def delete_job(self, namespace: str, name: str) -> None:
        """Delete a job, background propagation."""
        self.mark("delete-job", namespace=namespace, job=name)
        self.kube.delete(jobs_path(namespace, name), propagationPolicy="Background")

    def end_pod(self, namespace: str, name: str, code: str, **own: str) -> None:
        """Let a running pod end: `"0"`, another exit code, or `"none"` for a node that was lost.

        `"evicted"` is what a kubelet does that is short of something: the pod stays. `own` are the codes of
        containers that end with another one.
        """
        self.mark("end-pod", namespace=namespace, pod=name, code=code, **({"own": own} if own else {}))
        self.annotate_pod(
            namespace, name, {EXIT_CODE: code, **{f"{EXIT_CODE}.{each}": own[each] for each in own}}
        )

    def fail_init(self, namespace: str, name: str, code: str) -> None:
        """Let a pod fail because its init containers end with `code`; no other container was started."""
        self.mark("end-pod", namespace=namespace, pod=name, code=code, init=True)
        self.annotate_pod(namespace, name, {EXIT_CODE: code, INIT_EXIT_CODE: code})

    def annotate_pod(self, namespace: str, name: str, annotations: Mapping[str, str | None]) -> None:
        """Tell the simulated kubelet something about a pod."""
        patch = {"metadata": {"annotations": dict(annotations)}}
        self._pod_act(lambda: self.kube.patch(pods_path(namespace, name), patch))

    def delete_pod(self, namespace: str, name: str) -> None:
        """Delete a pod as a person would."""
        self.mark("delete-pod", namespace=namespace, pod=name)
        self._pod_act(lambda: self.kube.delete(pods_path(namespace, name), gracePeriodSeconds=1))

    def evict_pod(self, namespace: str, name: str) -> None:
        """Evict a pod through the eviction API, as a drain does."""
        self.mark("evict-pod", namespace=namespace, pod=name)
        body = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": name, "namespace": namespace},
        }
        self._pod_act(lambda: self.kube.create(pods_path(namespace, name, "eviction"), body))

    def ask(self, name: str, method: str, path: str, **request: Any) -> Request:
        """Send a request whose answer is evidence, refused or not."""
        answer = self.kube.request(method, path, **request)
        record = Request(
            self.now(), self.track, name, method, path, answer.code, request.get("body"), answer.body,
            cluster=self.world.cluster,
        )  # fmt: skip
        self.world.recording.writer.add(record)
        return record

    def through_restart(
        self,
        *,
        before: Callable[[], None] = lambda: None,
        during: Callable[[], None] = lambda: None,
        after: Callable[[], None] = lambda: None,
    ) -> None:
        """Wait for the one restart of the operator that a run has; see `RestartGate.pass_through`."""
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

    @contextlib.contextmanager
    def watch_turn(self) -> Iterator[None]:
        """Be the only track that disturbs watches while the block runs."""
        with contextlib.ExitStack() as turn:
            with self._waiting("turn", "no other track to disturb the watches"):
                turn.enter_context(self.world.watch_turn)
            yield

    def miss(self, waiting_for: str, seen: str) -> NoReturn:
        """End the track: what it waited for cannot come; marked `missed`."""
        self.mark("missed", waiting_for=waiting_for, seen=seen)
        raise Missed(f"{waiting_for}: {seen}")

    # --- seeing ----------------------------------------------------------------------------------

    def job(self, namespace: str, name: str) -> Object | None:
        """The job as the grader's watch has it now."""
        return self.world.watches.objects(PLURAL, namespace).get(name)

    def the_job(self, namespace: str, name: str) -> Object:
        """The job, or `NotYet`."""
        job = self.job(namespace, name)
        if job is None:
            raise NotYet(f"there is no job {name}")
        return job

    def pods(self, namespace: str, job: str) -> dict[str, Object]:
        """The pods a job controls, by name, those that are being deleted left out."""
        owner = self.job(namespace, job)
        uid = owner["metadata"]["uid"] if owner is not None else ""
        found = self.world.watches.objects("pods", namespace)
        # A pod without a controller still counts as the job's when it has its name, so that one
        # missing owner reference costs its own criterion and not every other.
        return {
            name: pod
            for name, pod in found.items()
            if not is_terminating(pod)
            and (controller_uid(pod) == uid or (not controller_uid(pod) and _named_after(name, job)))
        }

    def pod_names(self, namespace: str, job: str) -> list[str]:
        """Their names, in order of index where the names have one."""
        return sorted(self.pods(namespace, job), key=lambda name: (len(name), name))

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

        A limit is stretched by what the machine is to blame for; see `Patience`. When the condition still
        does not hold, `control` looks whether the harness could have shown it at all, and says what is
        wrong if not.

        Raises:
            Missed: it did not in time and the harness was healthy; marked `missed`.
            InfraFault: it did not in time, and the harness was not healthy or the machine far too busy.
        """
        since = self.now()
        limit = timeout_s if timeout_s is not None else self.deadline_s
        patience = Patience(self.world, self.track, since, limit)
        try:
            with self._waiting("condition", what):
                return self._wait_fairly(probe, patience)
        except TimedOut as mismatch:
            self._blame(patience, control)
            ends = self.world.operator.ends_since(since)
            seen = f"{mismatch}; meanwhile {ends}" if ends else str(mismatch)
            self.mark("missed", waiting_for=what, within_s=round(limit, 1), seen=seen)
            raise Missed(f"{what}: {mismatch}") from mismatch

    def reached(self, what: str, probe: Callable[[], object]) -> bool:
        """Whether `probe` returns within T: for a step that is another track's business to demand.

        Raises:
            InfraFault: it did not, and the harness was not healthy.
        """
        patience = self._patience()
        try:
            with self._waiting("condition", what):
                self._wait_fairly(probe, patience)
        except TimedOut as mismatch:
            self._blame(patience, lambda: "")
            self.mark("not-reached", waiting_for=what, seen=str(mismatch))
            return False
        return True

    def wait_pods(
        self, namespace: str, job: str, count: int, *, phases: tuple[str, ...] = ("Running",)
    ) -> list[str]:
        """Wait until the job has exactly `count` pods, all in `phases`; gives their names."""

        def probe() -> list[str]:
            pods = self.pods(namespace, job)
            if len(pods) != count:
                raise NotYet(f"{len(pods)} pods: {', '.join(sorted(pods)) or 'none'}")
            waiting = {name: phase(pod) for name, pod in pods.items() if phase(pod) not in phases}
            if waiting:
                raise NotYet(
                    "pods " + ", ".join(f"{name} {state}" for name, state in sorted(waiting.items()))
                )
            return sorted(pods, key=lambda name: (len(name), name))

        what = f"{count} pods of {job}"
        return self.wait(f"{what}, {' or '.join(phases)}" if count else what, probe)

    def wait_running(self, namespace: str, job: str, count: int) -> None:
        """Wait for `count` pods that run, and give the operator the time to say that they do.

        Before, it still has to look at what happened; whatever happens next would be news with the rest.
        """
        self.wait_pods(namespace, job, count)
        self.noticed(namespace, job, "that it runs", lambda found: is_true(found, "Running"))

    def wait_job(self, namespace: str, name: str, what: str, condition: Callable[[Object], bool]) -> Object:
        """Wait until `condition` holds for the job as the watch has it; `what` says so in words."""

        def probe() -> Object:
            job = self.the_job(namespace, name)
            if not condition(job):
                raise NotYet(describe(job))
            return job

        return self.wait(f"the job {name}: {what}", probe)

    def noticed(self, namespace: str, name: str, what: str, condition: Callable[[Object], bool]) -> bool:
        """Whether the operator says within T that it saw `what`; to say so is another track's business."""

        def probe() -> None:
            job = self.the_job(namespace, name)
            if not condition(job):
                raise NotYet(describe(job))

        return self.reached(f"the job {name} to say {what}", probe)

    def settle(self, *namespaces: str, for_s: float | None = None) -> float:
        """Wait until the operator has not written in the namespaces for a while; sets mark `settled`.

        The while is of `for_s` seconds, else a moment, by the operator's own clock: whoever is not let run is
        not at rest. One that never rests is not this wait's business: after T it goes on, marked `restless`.
        """
        quiet_s = self.world.quiet_s if for_s is None else for_s
        clock, start = OperatorsClock(self.world), self.now()
        last, since = start, clock.now()

        def probe() -> None:
            nonlocal last, since
            writes = (self.world.audit.last_write(self.world.operator_user, each) for each in namespaces)
            latest = max(start, *(write if write is not None else start for write in writes))
            if latest > last:
                last, since = latest, clock.now()
            if clock.now() - since < quiet_s:
                raise NotYet(f"last write {self.now() - last:.2f} s ago")

        name = "settled"
        patience = Patience(self.world, self.track, start, self.deadline_s + (for_s or 0.0))
        try:
            with self._waiting("rest", "the operator to come to rest"):
                self._wait_fairly(probe, patience, interval_s=0.05)
        except TimedOut:
            name = "restless"
        return self.mark(name, namespace=namespaces[0])

    def await_notice(self, namespace: str, since: float) -> None:
        """Wait until the operator has written in the namespace after `since`: before that, rest is no answer.

        One that never does is the business of other waits: after T it goes on, marked `unnoticed`.
        """

        def probe() -> None:
            last = self.world.audit.last_write(self.world.operator_user, namespace)
            if last is None or last < since:
                raise NotYet("it has not written yet")

        try:
            with self._waiting("condition", "the operator to notice"):
                self._wait_fairly(probe, self._patience(), interval_s=0.05)
        except TimedOut:
            self.mark("unnoticed", namespace=namespace)

    def _patience(self) -> Patience:
        return Patience(self.world, self.track, self.now(), self.deadline_s)

    @contextlib.contextmanager
    def _waiting(self, kind: str, what: str) -> Iterator[None]:
        """Tell what the block waits for, and put on record how long it did."""
        self._tell(f"waiting for {what}")
        since = self.now()
        try:
            yield
        finally:
            self._record(Wait(since, self.now(), self.track, kind, what))

    def _record(self, wait: Wait) -> None:
        self.world.recording.writer.add(wait)

    def _tell(self, detail: str) -> None:
        if self._task is not None:
            self._task.update(detail=detail)

    def _act(self, what: str, action: Callable[[], Any]) -> Any:
        try:
            return action()
        except ApiRefused as refused:
            self.mark("missed", waiting_for=f"the API server to accept {what}", seen=refused.answer.message)
            raise Missed(str(refused)) from refused

    def _pod_act(self, action: Callable[[], object]) -> None:
        """A pod that is gone meanwhile is the operator's doing, and shows in what follows."""
        try:
            action()
        except ApiRefused as refused:
            if refused.answer.code != 404:
                raise InfraFault(str(refused)) from refused

    def _wait_fairly(self, probe: Callable[[], T], patience: Patience, *, interval_s: float = 0.25) -> T:
        """Wait, and go on for as long as the machine is to blame for."""
        left_s = patience.limit_s
        with self.world.recording.changes.listener() as bell:
            while True:
                try:
                    found = wait_for(probe, timeout_s=left_s, interval_s=interval_s, wake=bell)
                except TimedOut:
                    left_s = patience.left_s()
                    if left_s < SHORTEST_STRETCH_S:
                        raise
                else:
                    over_s = patience.over_s()
                    if over_s > 0:
                        self.mark("stretched", by_s=round(over_s, 2))
                    return found

    def _blame(self, patience: Patience, control: Callable[[], str]) -> None:
        if self.world.operator.fault is not None:
            raise InfraFault(f"the operator could not be started: {self.world.operator.fault}")
        world = self.world
        sickness = world.health.sickness(patience.since) or world.watches.problem or control()
        if sickness:
            raise InfraFault(f"a deadline passed while the harness was not healthy: {sickness}")
        if patience.in_vain():
            raise InfraFault(
                "a deadline passed, stretched as far as it goes, on a machine that is far too busy",
                fix="grade again when the machine has less to do, or fewer submissions at once",
            )


def describe(job: Object) -> str:
    """A job's status in a line, for a person."""
    status = job.get("status") or {}
    if not isinstance(status, Mapping) or not status:
        return "its status is empty"
    found = status.get("conditions")
    pairs = (
        [f"{c.get('type')}={c.get('status')}" for c in found if isinstance(c, Mapping)]
        if isinstance(found, list)
        else []
    )
    rest = {
        k: status[k]
        for k in ("observedGeneration", "replicaStatuses", "restarts", "startTime", "completionTime")
        if k in status
    }
    return (
        " ".join(pairs + [f"{key}: {value}" for key, value in rest.items()])[:600]
        or "its status says nothing known"
    )


def _named_after(pod: str, job: str) -> bool:
    return pod.startswith(f"{job}-") and pod.removeprefix(f"{job}-").isdigit()
