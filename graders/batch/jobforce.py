"""A workforce of pods: an Indexed Job of the instructor's cluster does a plan's work."""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graders.batch.distributed import EndedIndex
from graders.batch.executor import Batch
from graders.batch.indexedjob import PLACE_LABEL, PLAN_LABEL, PodOptions, indexed_job, job_name, place_label
from graders.batch.plan import BatchPlan
from graders.batch.podfates import cannot_start, held_by_dead_node, index_of, indexes, waits_for, why_failed
from graders.faults import InfraFault
from graders.kube.client import ApiRefused, Kube
from graders.kube.paths import resource_path
from graders.polling import NotYet, TimedOut, wait_for
from graders.progress import Progress, Task

STARTS_WITHIN_S = 180.0
"""So long pods may fail to start before it is said that none ever will."""
ANSWERS_WITHIN_S = 600.0
"""So long the API server may be away."""

_GOES_WITHIN_S = 120.0
_MOST_PODS = 500


@dataclass(frozen=True)
class JobWorkforce:
    """The pods of one namespace that work with one place for objects."""

    kube: Kube
    options: PodOptions
    looks_every_s: float = 2.0

    @property
    def title(self) -> str:
        """Where."""
        return "in pods of a cluster"

    def at_work(self) -> Sequence[str]:
        """The plans of Jobs that have not finished."""
        selector = f"{PLACE_LABEL}={place_label(self.options.objects)}"
        found = _told(lambda: self.kube.get(self._path("batch/v1", "jobs"), labelSelector=selector))
        return [
            str(job["metadata"]["labels"].get(PLAN_LABEL, "")) for job in found["items"] if not _end(job)[0]
        ]

    def work(self, plan: BatchPlan, batch: Batch, progress: Progress) -> Iterator[EndedIndex]:
        """As `Workforce.work` says; a Job of another image is replaced."""
        name = job_name(plan.name)
        path = self._path("batch/v1", "jobs", name)
        job = _told(lambda: self.kube.find(path))
        if job is not None and (_end(job)[0] or _image(job) != self.options.image):
            self._remove(path)
            job = None
        if job is None:
            wanted = indexed_job(self.options, plan.name, len(plan.works), batch.jobs, batch.most_s)
            jobs = self._path("batch/v1", "jobs")
            _told(lambda: self.kube.create(jobs, wanted, fieldValidation="Strict"))
        where = f"{self.options.namespace} {name}"
        progress.say(
            f"Job {name}: it goes on whatever ends this command, and the same command collects; "
            f"to end it: kubectl delete job -n {where}"
        )
        with progress.task(f"Job {name}", len(plan.works)) as task:
            yield from _Watch(self, path, name, task, progress).ended()

    def pods(self, job: str) -> list[dict[str, Any]]:
        """The pods of a Job that have not succeeded: those at work, waiting or failed."""
        found = self.kube.get(
            self._path("v1", "pods"),
            labelSelector=f"batch.kubernetes.io/job-name={job}",
            fieldSelector="status.phase!=Succeeded",
            limit=_MOST_PODS,
        )
        return list(found["items"])

    def _remove(self, path: str) -> None:
        """Have no Job there, and no pods of it."""

        def gone() -> None:
            if self.kube.find(path) is not None:
                raise NotYet("it is still there")

        _told(lambda: self.kube.delete(path, propagationPolicy="Foreground"))
        try:
            wait_for(gone, timeout_s=_GOES_WITHIN_S, interval_s=self.looks_every_s)
        except TimedOut as error:
            raise InfraFault(f"{path} does not go: {error}", fix="see what holds its pods") from error

    def _path(self, version: str, plural: str, name: str = "") -> str:
        return resource_path(version, plural, namespace=self.options.namespace, name=name)


@dataclass
class _Watch:
    """Follows one Job to its end."""

    force: JobWorkforce
    path: str
    name: str
    task: Task
    progress: Progress
    _given: set[int] = field(default_factory=set)
    _told: set[str] = field(default_factory=set)
    _answered: float = field(default_factory=time.monotonic)
    _stuck_since: float = math.inf

    def ended(self) -> Iterator[EndedIndex]:
        """Each index when it needs no other worker, until none is left."""
        over = False
        while not over:
            news, over = wait_for(self._news, timeout_s=math.inf, interval_s=self.force.looks_every_s)
            yield from news

    def _news(self) -> tuple[list[EndedIndex], bool]:
        """What is new since the last look, and whether the Job is over."""
        try:
            job, pods = self.force.kube.find(self.path), self.force.pods(self.name)
        except (InfraFault, ApiRefused) as error:
            if time.monotonic() - self._answered > ANSWERS_WITHIN_S:
                raise InfraFault(
                    f"the cluster of Job {self.name} does not answer: {error}",
                    fix="run the same command again when it does: the Job goes on, and its results wait",
                ) from error
            self.task.update(detail="the cluster does not answer")
            raise NotYet(str(error)) from error
        self._answered = time.monotonic()
        if job is None:
            raise InfraFault(
                f"Job {self.name} is gone: somebody deleted it",
                fix="run the same command again: what was graded is collected, and the rest graded",
            )
        over, reason, message = _end(job)
        news = self._newly_ended(job["status"], pods)
        if not over:
            self._see_that_pods_start(pods)
        self.task.update(done=len(self._given), detail=_detail(job, pods))
        if news:
            return news, False
        if over and reason == "PodFailurePolicy":
            raise InfraFault(
                f"Job {self.name} was ended ({_first_failure(pods) or message})",
                fix=f"build {self.force.options.image} from this checkout, with the Python of this command",
            )
        if over:
            return [], True
        raise NotYet("nothing new")

    def _newly_ended(self, status: Mapping[str, Any], pods: Sequence[Mapping[str, Any]]) -> list[EndedIndex]:
        failed = {index_of(pod): why_failed(pod) for pod in pods if pod["status"].get("phase") == "Failed"}
        found = [EndedIndex(index) for index in indexes(status.get("completedIndexes", ""))]
        for index in indexes(status.get("failedIndexes", "")):
            found.append(EndedIndex(index, failed.get(index) or "its pods failed, and are gone"))
        new = [one for one in found if one.index not in self._given]
        self._given.update(one.index for one in new)
        return new

    def _see_that_pods_start(self, pods: Sequence[Mapping[str, Any]]) -> None:
        """Say what holds pods up; where none starts, and none ever did, end it all before it costs more.

        Raises:
            InfraFault: no pod can start.
        """
        for node in {held_by_dead_node(pod) for pod in pods} - {""} - self._told:
            self._told.add(node)
            self.progress.say(
                f"node {node} is gone, and does not say that its pods are: others take their place after "
                f"kubectl delete node {node} (a cloud's controller does so by itself)"
            )
        whys = [(why, never) for why, never in map(cannot_start, pods) if why]
        started = self._given or any(pod["status"].get("phase") in ("Running", "Failed") for pod in pods)
        if not whys or started:
            self._stuck_since = math.inf
            return
        self._stuck_since = min(self._stuck_since, time.monotonic())
        why, never = whys[0]
        if never or time.monotonic() - self._stuck_since > STARTS_WITHIN_S:
            self.force._remove(self.path)
            raise InfraFault(
                f"no pod of Job {self.name} can start: {why}; it was removed, and nothing was graded",
                fix=f"see that nodes can pull {self.force.options.image}, that what --secret and --claim "
                "name is there, and that pods get user namespaces (Linux 6.3, containerd 2.0, runc 1.2)",
            )


def _end(job: Mapping[str, Any]) -> tuple[bool, str, str]:
    """Whether a Job is over, and what its condition says of why."""
    for condition in job.get("status", {}).get("conditions", ()):
        if condition["type"] in ("Complete", "Failed") and condition["status"] == "True":
            return True, str(condition.get("reason", "")), str(condition.get("message", ""))
    return False, "", ""


def _image(job: Mapping[str, Any]) -> str:
    """What a Job's pods are made from: one that was left with an image of no use is no Job to go on with."""
    return str(job["spec"]["template"]["spec"]["containers"][0]["image"])


def _detail(job: Mapping[str, Any], pods: Sequence[Mapping[str, Any]]) -> str:
    if job["spec"].get("suspend"):
        return "waits in its queue"
    waiting = [why for why in map(waits_for, pods) if why] or [
        why for why, _ in map(cannot_start, pods) if why
    ]
    active = job["status"].get("active", 0)
    return f"{active} pods" + (f", some wait: {waiting[0]}" if waiting else "")


def _first_failure(pods: Sequence[Mapping[str, Any]]) -> str:
    return next((why_failed(pod) for pod in pods if pod["status"].get("phase") == "Failed"), "")


def _told(request: Any) -> Any:
    """What the API server answers; where it refuses, that is told as the cluster's fault."""
    try:
        return request()
    except ApiRefused as error:
        raise InfraFault(
            f"the cluster refuses it: {error}",
            fix="see that the namespace is there, and that you may create, get, list and delete jobs there, "
            "and list pods",
        ) from error
