"""The operator dies after every single write, its answer delivered or lost, and starts again.

One story is told in as many namespaces as there are crash points. In each, the API server takes no more
writes after the k-th; when all have come that far, one SIGKILL ends the operator for all of them. So the
cluster has every crash point in it when the operator comes back, at the price of one restart.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from graders.faultproxy import CrashPoint, writes_in
from graders.lab1.api import is_true, job_manifest, phase, replica_counts, status_field
from graders.lab1.jobscontext import JobsContext
from graders.lab1.names import MORTAL_JOB, UNDISTURBED
from graders.lab1.outcome import outcome
from graders.polling import NotYet
from graders.scenario.tracks import Missed

NODES = 2
MOST_WRITES = 16
"""Operators that write more than this are killed after the first so many."""

VARIANTS = ("answered", "swallowed")


class _Crashed(Exception):
    """The crash point is reached: nothing moves until the operator is killed."""


@dataclass
class _Tale:
    """One namespace's way through the story; `step` is where it goes on."""

    context: JobsContext
    part: str
    rule: CrashPoint | None = None
    step: int = 0
    victim_uid: str = ""
    missed: Missed | None = None
    steps: tuple[Callable[[], None], ...] = field(init=False)

    def __post_init__(self) -> None:
        self.namespace = self.context.namespace(self.part)
        self.steps = (
            self._create, self._running, self._fail, self._replaced, self._succeed_first, self._one_done,
            self._succeed_rest, self._complete,
        )  # fmt: skip

    @property
    def title(self) -> str:
        """Which telling this is, for a person."""
        return self.part or "before any death"

    def tell(self) -> None:
        """Go on until the end, the crash point, or a deadline."""
        try:
            while self.step < len(self.steps):
                self.steps[self.step]()
                self.step += 1
        except _Crashed:
            return
        except Missed as missed:
            self.missed = missed

    def _create(self) -> None:
        manifest = job_manifest(self.namespace, MORTAL_JOB, nodes=NODES)
        self.context.create(manifest)

    def _running(self) -> None:
        self._wait_pods("2 pods Running, the job Running", "", 0)

    def _fail(self) -> None:
        victim, self.victim_uid = self.context.pod(self.namespace, MORTAL_JOB)
        self.context.end_pod(self.namespace, victim, "137")

    def _replaced(self) -> None:
        self._wait_pods("a new pod for the failed one, the job Running, restarts 1", self.victim_uid, 1)

    def _succeed_first(self) -> None:
        for pod in self.context.pod_names(self.namespace, MORTAL_JOB)[:1]:
            self.context.end_pod(self.namespace, pod, "0")

    def _one_done(self) -> None:
        """One at a time, so that the way to the end is the same in each telling."""

        def probe() -> None:
            self._look()
            job = self.context.the_job(self.namespace, MORTAL_JOB)
            if not is_true(job, "Complete") and not status_field(job, "replicaStatuses", "succeeded"):
                raise NotYet("replicaStatuses.succeeded is 0")

        self.context.reached(f"{self.title}: one pod counted as succeeded", probe)

    def _succeed_rest(self) -> None:
        for pod in self.context.pod_names(self.namespace, MORTAL_JOB)[1:]:
            self.context.end_pod(self.namespace, pod, "0")

    def _complete(self) -> None:
        def probe() -> None:
            self._look()
            if not is_true(self.context.the_job(self.namespace, MORTAL_JOB), "Complete"):
                raise NotYet("Complete is not True")

        self.context.wait(f"{self.title}: Complete is True", probe)

    def _wait_pods(self, what: str, without: str, restarts: int) -> None:
        def probe() -> None:
            self._look()
            pods = self.context.pods(self.namespace, MORTAL_JOB)
            job = self.context.the_job(self.namespace, MORTAL_JOB)
            states = ", ".join(f"{name} {phase(pod)}" for name, pod in sorted(pods.items())) or "none"
            counted = status_field(job, "restarts") or 0
            if (
                len(pods) != NODES
                or any(phase(pod) != "Running" or pod["metadata"]["uid"] == without for pod in pods.values())
                or not is_true(job, "Running")
                or counted != restarts
            ):
                raise NotYet(f"pods: {states}; restarts: {counted}; Running: {is_true(job, 'Running')}")

        self.context.wait(f"{self.title}: {what}", probe)

    def _look(self) -> None:
        if self.rule is not None and self.rule.reached.is_set():
            raise _Crashed


def crash_points(context: JobsContext) -> None:
    """Tell the story once undisturbed, then once for each write and each way of dying after it."""
    calm = _Tale(context, UNDISTURBED)
    calm.tell()
    if calm.missed is not None:
        raise calm.missed
    context.settle(calm.namespace)
    writes = context.env.audit.writes(context.env.user, calm.namespace)
    context.mark("undisturbed", writes=writes, outcome=_outcome(context, calm.namespace))
    if context.env.at is not None and context.env.at > writes:
        context.miss(f"a write number {context.env.at}", f"the undisturbed run has {writes} writes")
    tales = list(_tales(context, min(writes, MOST_WRITES)))
    with ExitStack() as disturbing, ThreadPoolExecutor(max(1, len(tales))) as pool:
        disturbing.enter_context(context.env.proxy.disturb(*(tale.rule for tale in tales if tale.rule)))

        def reach() -> None:
            list(pool.map(_Tale.tell, tales))
            for tale in tales:
                assert tale.rule is not None
                context.mark(
                    "crash-point", part=tale.part, k=tale.rule.k, swallow=tale.rule.swallow,
                    reached=tale.rule.reached.is_set(), step=tale.step,
                )  # fmt: skip

        context.through_restart(before=reach, during=disturbing.close)
        for tale in tales:
            tale.rule = None
        list(pool.map(_Tale.tell, tales))
    context.settle(*(tale.namespace for tale in tales))
    for tale in tales:
        missed = str(tale.missed) if tale.missed else ""
        context.mark("told", part=tale.part, missed=missed, outcome=_outcome(context, tale.namespace))
    context.mark("end")


def _outcome(context: JobsContext, namespace: str) -> dict[str, Any]:
    job = context.job(namespace, MORTAL_JOB)
    if job is None:
        return {}
    return {**outcome(job), "Complete": is_true(job, "Complete"), **replica_counts(job, ("succeeded",))}


def _tales(context: JobsContext, writes: int) -> Iterator[_Tale]:
    chosen = [k for k in range(1, writes + 1) if context.env.at in (None, k)]
    points = {f"{variant}-{k}": (variant, k) for k in chosen for variant in VARIANTS}
    context.open_namespaces(tuple(points))
    for part, (variant, k) in points.items():
        meant = writes_in(context.namespace(part))
        rule = CrashPoint(f"crash-points: {part}", meant, k, swallow=variant == "swallowed")
        yield _Tale(context, part, rule)
