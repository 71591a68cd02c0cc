"""What the track inside a real cluster acts with: namespaces, jobs, pods that really run, and waiting.

Unlike in the simulated world nobody stands between the operator and the API server, and a pod takes as long
to start as containers do; what that is was measured when the cluster came up.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from graders.evidence.records import Object
from graders.faults import InfraFault
from graders.kube.client import ApiRefused
from graders.lab1.api import EXIT_CODE, PLURAL, controller_uid, is_terminating, jobs_path, pods_path
from graders.lab1.eviction import drain
from graders.lab1.incluster.environment import RealPodsEnvironment
from graders.lab1.incluster.podlogs import keep_logs
from graders.lab1.jobscontext import describe
from graders.polling import NotYet, TimedOut, wait_for
from graders.scenario.trackmarks import TrackMarks

T = TypeVar("T")


class RealPodsContext(TrackMarks):
    """One track's corner of a cluster with real nodes."""

    def __init__(self, track: str, env: RealPodsEnvironment) -> None:
        super().__init__(track, env.recording)
        self.env = env
        self.kube = env.kube

    @property
    def namespace(self) -> str:
        """Where jobs are."""
        return self.env.namespace

    # --- acting ----------------------------------------------------------------------------------

    def create(self, job: Mapping[str, Any]) -> None:
        """Create a job.

        Raises:
            Missed: the API server refused a valid job.
        """
        name = job["metadata"]["name"]
        self.mark("create", namespace=self.namespace, job=name)
        self._accepted(f"the job {name}", lambda: self.kube.create(jobs_path(self.namespace), job))

    def end_pod(self, name: str, how: str) -> None:
        """Tell a pod how to end: an exit code, or `oom`."""
        self.mark("end-pod", namespace=self.namespace, pod=name, how=how)
        self._to_pod(name, {"metadata": {"annotations": {EXIT_CODE: how}}})

    def evict_pod(self, name: str) -> None:
        """Evict a pod through the eviction API, as a drain does; `drain` says what where it may not."""
        self.mark("evict-pod", namespace=self.namespace, pod=name)
        if refusal := drain(self.kube, self.namespace, name):
            self.mark("eviction-refused", namespace=self.namespace, pod=name, why=refusal)

    # --- seeing ----------------------------------------------------------------------------------

    def the_job(self, name: str) -> Object:
        """The job, or `NotYet`."""
        job = self.env.watches.objects(PLURAL, self.namespace).get(name)
        if job is None:
            raise NotYet(f"there is no job {name}")
        return job

    def pods(self, job: str) -> dict[str, Object]:
        """The pods a job controls, by name, those that are being deleted left out."""
        owner = self.env.watches.objects(PLURAL, self.namespace).get(job)
        if owner is None:
            return {}
        uid = owner["metadata"]["uid"]
        found = self.env.watches.objects("pods", self.namespace)
        return {
            name: pod for name, pod in found.items() if controller_uid(pod) == uid and not is_terminating(pod)
        }

    def operator_pods(self) -> dict[str, Object]:
        """The pods in the operator's namespace that run as the operator, those being deleted left out."""
        _, _, namespace, account = self.env.user.split(":")
        found = self.env.watches.objects("pods", namespace)
        return {
            name: pod
            for name, pod in found.items()
            if pod["spec"].get("serviceAccountName") == account and not is_terminating(pod)
        }

    def keep_logs(self, namespace: str, pods: Mapping[str, Object]) -> str:
        """Put what pods printed into the bundle; gives the end of the last that printed anything."""
        folder = self.env.recording.writer.folder / "logs"
        return keep_logs(self.kube, namespace, pods, folder, self.track)

    # --- waiting ---------------------------------------------------------------------------------

    def wait(
        self,
        what: str,
        probe: Callable[[], T],
        *,
        timeout_s: float | None = None,
        said_by: Callable[[], str] = lambda: "",
    ) -> T:
        """Wait until `probe` returns instead of raising `NotYet`.

        `said_by` is asked for the log to keep when it does not.

        Raises:
            Missed: it did not in time and the harness was healthy; marked `missed`.
            InfraFault: it did not in time, and the harness was not healthy.
        """
        since, limit_s = self.now(), timeout_s if timeout_s is not None else self.env.deadline_s
        try:
            return self._wait(what, probe, limit_s)
        except TimedOut as mismatch:
            self._blame(since)
            self.miss(what, str(mismatch), within_s=round(limit_s, 1), log=said_by())

    def harness(self, what: str, probe: Callable[[], T], timeout_s: float) -> T:
        """Wait for what the cluster alone has to do; `what` begins with "to".

        Raises:
            InfraFault: it did not.
        """
        try:
            return self._wait(f"the cluster {what}", probe, timeout_s)
        except (TimedOut, ApiRefused) as mismatch:
            raise InfraFault(f"the cluster did not do its part, {what}: {mismatch}") from mismatch

    def wait_job(self, name: str, what: str, condition: Callable[[Object], bool]) -> Object:
        """Wait until `condition` holds for the job as the watch has it; `what` says so in words."""

        def probe() -> Object:
            job = self.the_job(name)
            if not condition(job):
                raise NotYet(describe(job))
            return job

        return self.wait(f"the job {name}: {what}", probe, said_by=self._operator_said)

    def wait_pods(self, job: str, what: str, condition: Callable[[dict[str, Object]], str]) -> None:
        """Wait until `condition`, which says what is missing, is content with the pods of a job."""

        def probe() -> None:
            if missing := condition(self.pods(job)):
                raise NotYet(missing)

        self.wait(f"{job}: {what}", probe, said_by=self._operator_said)

    def _operator_said(self) -> str:
        namespace = self.env.user.split(":")[2]
        return self.keep_logs(namespace, self.operator_pods())

    def _wait(self, what: str, probe: Callable[[], T], limit_s: float) -> T:
        with self._waiting("condition", what), self._recording.changes.listener() as bell:
            return wait_for(probe, timeout_s=limit_s, interval_s=0.5, wake=bell)

    def _blame(self, since: float) -> None:
        sickness = self.env.health.sickness(since) or self.env.watches.problem
        sickness = sickness or self.env.control_pod()
        if sickness:
            raise InfraFault(f"a deadline passed while the harness was not healthy: {sickness}")

    def _to_pod(self, name: str, patch: Mapping[str, Any]) -> None:
        """A pod that is gone meanwhile is the operator's doing, and shows in what follows."""
        answer = self.kube.request(
            "PATCH",
            pods_path(self.namespace, name),
            body=patch,
            content_type="application/merge-patch+json",
        )
        if not answer.ok and answer.code != 404:
            raise InfraFault(f"the API server does not change pod {name}: {answer.message}")
