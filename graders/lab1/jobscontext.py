"""What a track of lab 1 acts with: its namespaces, its jobs, the kubelet's part, and waiting."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from graders.evidence.records import Object
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
    status_field,
)
from graders.lab1.environment import OperatorEnvironment
from graders.lab1.eviction import drain
from graders.polling import NotYet
from graders.scenario.context import TrackContext


class JobsContext(TrackContext[OperatorEnvironment]):
    """One track's own part of an environment, and the jobs and pods in it."""

    # --- acting ----------------------------------------------------------------------------------

    def create(self, manifest: Mapping[str, Any]) -> None:
        """Create a job.

        Raises:
            Missed: the API server refused a valid job, so the learner's CRD is wrong; marked `refused`.
        """
        metadata = manifest["metadata"]
        path = jobs_path(metadata["namespace"])
        if self.env.guest is not None:
            manifest = placed(manifest, self.env.guest.pod)
        self.mark("create", namespace=metadata["namespace"], job=metadata["name"])
        self._accepted(f"creating the job {metadata['name']}", lambda: self.kube.create(path, manifest))

    def change(self, namespace: str, name: str, patch: Mapping[str, Any], mark: str, **data: Any) -> int:
        """Merge-patch a job and give the generation it has from then on; raises as `create`."""
        self.mark(mark, namespace=namespace, job=name, **data)
        changed = self._accepted(
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
        """Evict a pod through the eviction API, as a drain does; `drain` says what where it may not."""
        self.mark("evict-pod", namespace=namespace, pod=name)
        if refusal := drain(self.kube, namespace, name):
            self.mark("eviction-refused", namespace=namespace, pod=name, why=refusal)

    @contextlib.contextmanager
    def watch_turn(self) -> Iterator[None]:
        """Be the only track that disturbs watches while the block runs."""
        with contextlib.ExitStack() as turn:
            with self._waiting("turn", "no other track to disturb the watches"):
                turn.enter_context(self.env.watch_turn)
            yield

    # --- seeing ----------------------------------------------------------------------------------

    def job(self, namespace: str, name: str) -> Object | None:
        """The job as the grader's watch has it now."""
        return self.env.watches.objects(PLURAL, namespace).get(name)

    def standing_job(self, namespace: str, name: str) -> Object:
        """The job, outside of any wait: one that an operator took away is missed within T."""
        return self.wait(f"the job {name} to be there", lambda: self.the_job(namespace, name))

    def the_job(self, namespace: str, name: str) -> Object:
        """The job, or `NotYet`: for what a wait probes."""
        job = self.job(namespace, name)
        if job is None:
            raise NotYet(f"there is no job {name}")
        return job

    def pods(self, namespace: str, job: str) -> dict[str, Object]:
        """The pods a job controls, by name, those that are being deleted left out."""
        owner = self.job(namespace, job)
        uid = owner["metadata"]["uid"] if owner is not None else ""
        found = self.env.watches.objects("pods", namespace)
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

    def pod(self, namespace: str, job: str, which: int = 0) -> tuple[str, str]:
        """Name and uid of one of the job's pods, by its place in their order; waits for one to be there.

        What was there a moment ago may be gone: an operator may take away what it has just made.
        """

        def probe() -> tuple[str, str]:
            pods = self.pods(namespace, job)
            names = sorted(pods, key=lambda name: (len(name), name))
            if not -len(names) <= which < len(names):
                raise NotYet(f"{len(names)} pods: {', '.join(names) or 'none'}")
            return names[which], str(pods[names[which]]["metadata"]["uid"])

        return self.wait(f"the pods of {job} to stay", probe)

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

    def looked_at(self, namespace: str, name: str) -> bool:
        """Whether observedGeneration says within T that a job was seen, after a change that means nothing."""
        far = 7200 + int(self.standing_job(namespace, name)["metadata"]["generation"])
        later = {"spec": {"runPolicy": {"activeDeadlineSeconds": far}}}
        generation = self.change(namespace, name, later, "changed-meanwhile")
        seen = f"observedGeneration {generation}"
        return self.noticed(
            namespace, name, seen, lambda job: bool(status_field(job, "observedGeneration") == generation)
        )

    def _pod_act(self, action: Callable[[], object]) -> None:
        """A pod that is gone meanwhile is the operator's doing, and shows in what follows."""
        try:
            action()
        except ApiRefused as refused:
            if refused.answer.code != 404:
                raise InfraFault(str(refused)) from refused


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
