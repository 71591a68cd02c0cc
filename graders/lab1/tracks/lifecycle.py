"""The life of a job: its conditions, its size, its pauses."""

from __future__ import annotations

from graders.lab1.api import (
    UNREADY,
    index_of,
    is_finished,
    is_true,
    job_manifest,
    phase,
    replica_counts,
    status_field,
)
from graders.lab1.stage import Stage, describe
from graders.polling import NotYet


def conditions(stage: Stage) -> None:
    """One job through start, a spec change, a failure and its end, with all its status writes on record."""
    namespace, name = stage.namespace(), "watched"
    stage.create(job_manifest(namespace, name, nodes=1))
    stage.wait_pods(namespace, name, 1)
    _wait_counted(stage, namespace, name, "Running", {"active": 1, "ready": 1, "succeeded": 0})
    stage.settle(namespace)
    patch = {"spec": {"runPolicy": {"activeDeadlineSeconds": 3600}}}
    first = stage.pod_names(namespace, name)[0]
    stage.mark("unready", namespace=namespace, pod=first)
    stage.annotate_pod(namespace, first, {UNREADY: "true"})
    _wait_counted(stage, namespace, name, "Running", {"active": 1, "ready": 0, "succeeded": 0})
    stage.settle(namespace)
    generation = stage.change(namespace, name, patch, "spec-changed")
    wait_observed(stage, namespace, name, generation)
    stage.settle(namespace)
    first = stage.pod_names(namespace, name)[0]
    uid = stage.pods(namespace, name)[first]["metadata"]["uid"]
    stage.mark("failing", namespace=namespace, job=name)
    stage.end_pod(namespace, first, "137")
    wait_replaced(stage, namespace, name, uid, 1)
    _wait_counted(stage, namespace, name, "Running", {"active": 1, "ready": 1, "succeeded": 0})
    stage.settle(namespace)
    for pod in stage.pod_names(namespace, name):
        stage.end_pod(namespace, pod, "0")
    _wait_counted(stage, namespace, name, "Complete", {"active": 0, "ready": 0, "succeeded": 1})
    stage.settle(namespace)


def _wait_counted(stage: Stage, namespace: str, name: str, condition: str, counts: dict[str, int]) -> None:
    """Wait for a condition and the counts that go with it; an operator may tell them in two writes."""
    told = ", ".join(f"{key} {value}" for key, value in counts.items())
    stage.wait_job(
        namespace,
        name,
        f"{condition} is True and replicaStatuses says {told}",
        lambda job: is_true(job, condition) and replica_counts(job, counts) == counts,
    )


def scaling(stage: Stage) -> None:
    """Four, two, four."""
    namespace, name = stage.namespace(), "elastic"
    stage.create(job_manifest(namespace, name, nodes=4))
    stage.wait_pods(namespace, name, 4)
    for nodes in (2, 4):
        stage.settle(namespace)
        stage.mark("before-scale", **snapshot(stage, namespace, name))
        stage.change(namespace, name, {"spec": {"trainer": {"numNodes": nodes}}}, "scale", nodes=nodes)
        stage.wait_pods(namespace, name, nodes)
    stage.settle(namespace)
    stage.mark("end", **snapshot(stage, namespace, name))


def suspend(stage: Stage) -> None:
    """Pause a running job and resume it; pause one that has a finished pod; and one is born paused."""
    namespace, name = stage.namespace(), "paused"
    stage.create(job_manifest(namespace, "born-suspended", run_policy={"suspend": True}))
    stage.create(job_manifest(namespace, name, nodes=3))
    stage.create(job_manifest(namespace, "partly", nodes=2))
    stage.wait_pods(namespace, name, 3)
    first, second = stage.wait_pods(namespace, "partly", 2)
    uid = stage.pods(namespace, "partly").get(second, {}).get("metadata", {}).get("uid")
    stage.end_pod(namespace, first, "0")
    wait_phase(stage, namespace, first, "Succeeded")
    # Whether a failure is made good and counted is the business of other tracks.
    stage.end_pod(namespace, second, "1")
    stage.reached("a pod in place of the failed one", lambda: _replaced(stage, namespace, "partly", uid))
    stage.settle(namespace)
    pausing = {"spec": {"runPolicy": {"suspend": True}}}
    stage.change(namespace, name, pausing, "suspend")
    # One that took the first success for the end has lost that by the completion track, and is over.
    if not is_finished(stage.the_job(namespace, "partly")):
        stage.change(namespace, "partly", pausing, "suspend-partly")
        stage.wait_pods(namespace, "partly", 0)
    stage.wait_pods(namespace, name, 0)
    stage.wait_job(
        namespace,
        name,
        "Suspended is True, Running is not, startTime is empty",
        lambda job: (
            is_true(job, "Suspended") and not is_true(job, "Running") and not status_field(job, "startTime")
        ),
    )
    stage.wait_job(namespace, "born-suspended", "Suspended is True", lambda job: is_true(job, "Suspended"))
    stage.settle(namespace)
    stage.mark("suspended", namespace=namespace, job=name)
    resuming = {"spec": {"runPolicy": {"suspend": False}}}
    stage.change(namespace, name, resuming, "resume")
    if not is_finished(stage.the_job(namespace, "partly")):
        stage.change(namespace, "partly", resuming, "resume-partly")
        stage.wait_pods(namespace, "partly", 2)
    stage.wait_pods(namespace, name, 3)
    stage.wait_job(
        namespace,
        name,
        "Suspended is not True, startTime is set",
        lambda job: not is_true(job, "Suspended") and bool(status_field(job, "startTime")),
    )
    stage.settle(namespace)
    stage.mark("end", namespace=namespace)


def wait_replaced(stage: Stage, namespace: str, job: str, uid: str, count: int) -> None:
    """Wait until the job has `count` pods running or succeeded and none of them has `uid`.

    Raises:
        Missed: not within T. InfraFault: the harness was not healthy.
    """

    def probe() -> None:
        pods = stage.pods(namespace, job)
        states = ", ".join(f"{name} {phase(pod)}" for name, pod in sorted(pods.items())) or "none"
        if any(pod["metadata"]["uid"] == uid for pod in pods.values()):
            raise NotYet(f"the old pod is still there; pods: {states}")
        if len(pods) != count or any(phase(pod) not in ("Running", "Succeeded") for pod in pods.values()):
            owner = stage.job(namespace, job)
            raise NotYet(f"pods: {states}; job: {describe(owner) if owner else 'gone'}")

    stage.wait(f"{job}: a new pod in place of the lost one, {count} in all", probe)


def _replaced(stage: Stage, namespace: str, job: str, uid: str | None) -> None:
    pods = stage.pods(namespace, job).values()
    waiting = [pod for pod in pods if phase(pod) not in ("Running", "Succeeded")]
    if waiting or not pods or any(pod["metadata"]["uid"] == uid for pod in pods):
        raise NotYet(", ".join(phase(pod) for pod in pods) or "no pods")


def snapshot(stage: Stage, namespace: str, job: str) -> dict[str, object]:
    """Who is there now: uid and index by name, for a mark."""
    pods = stage.pods(namespace, job)
    return {
        "namespace": namespace,
        "job": job,
        "pods": {name: {"uid": pod["metadata"]["uid"], "index": index_of(pod)} for name, pod in pods.items()},
    }


def wait_finished(stage: Stage, namespace: str, name: str) -> None:
    """Wait until the job is Complete or Failed; raises as `Stage.wait`."""
    stage.wait_job(namespace, name, "Complete or Failed is True", is_finished)


def wait_observed(stage: Stage, namespace: str, name: str, generation: int) -> None:
    """Wait for this very generation: the watch may still show the job as it was before the change."""
    stage.wait_job(
        namespace,
        name,
        f"observedGeneration is {generation}, as its generation",
        lambda job: bool(status_field(job, "observedGeneration") == generation),
    )


def wait_phase(stage: Stage, namespace: str, pod: str, wanted: str) -> None:
    """Wait until the pod is in that phase, or gone; raises as `Stage.wait`."""

    def probe() -> None:
        found = stage.world.watches.objects("pods", namespace).get(pod)
        if found is not None and phase(found) != wanted:
            raise NotYet(f"{pod} is {phase(found)}")

    stage.wait(f"the pod {pod} to be {wanted}", probe)
