"""The life of a job: its conditions, its size, its pauses."""

from collections.abc import Sequence

from graders.lab1.api import (
    DIES,
    LINGERS,
    UNREADY,
    index_of,
    is_finished,
    is_terminating,
    is_true,
    job_manifest,
    phase,
    replica_counts,
    status_field,
)
from graders.lab1.jobscontext import JobsContext, describe
from graders.lab1.tracks.rooms import POOL, PoolNode, cordon, create_pool, uncordon
from graders.polling import NotYet


def conditions(context: JobsContext) -> None:
    """One job through start, a spec change, a failure, a loss and its end, all status writes on record."""
    namespace, name = context.namespace(), "watched"
    nodes = create_pool(context, PoolNode("zone-a", 0))
    job = job_manifest(namespace, name, nodes=1)
    job["spec"]["trainer"]["template"]["spec"]["nodeSelector"] = {POOL: namespace}
    context.create(job)
    context.wait_pods(namespace, name, 1)
    _wait_counted(context, namespace, name, "Running", {"active": 1, "ready": 1, "succeeded": 0})
    context.settle(namespace)
    patch = {"spec": {"runPolicy": {"activeDeadlineSeconds": 3600}}}
    first, _ = context.pod(namespace, name)
    context.mark("unready", namespace=namespace, pod=first)
    context.annotate_pod(namespace, first, {UNREADY: "true"})
    _wait_counted(context, namespace, name, "Running", {"active": 1, "ready": 0, "succeeded": 0})
    context.settle(namespace)
    generation = context.change(namespace, name, patch, "spec-changed")
    wait_observed(context, namespace, name, generation)
    context.settle(namespace)
    first, uid = context.pod(namespace, name)
    cordon(context, nodes)
    context.mark("failing", namespace=namespace, job=name)
    context.end_pod(namespace, first, "137")
    _replace(context, name, uid, nodes, restarting=True)
    _linger(context, name, nodes)
    for pod in context.pod_names(namespace, name):
        context.end_pod(namespace, pod, "0")
    _wait_counted(context, namespace, name, "Complete", {"active": 0, "ready": 0, "succeeded": 1})
    context.settle(namespace)


def _replace(context: JobsContext, name: str, uid: str, nodes: Sequence[str], *, restarting: bool) -> None:
    """The pod in place of that of this uid finds no place until the operator is at rest."""
    namespace = context.namespace()

    def another() -> None:
        pods = context.pods(namespace, name)
        if len(pods) != 1 or any(pod["metadata"]["uid"] == uid for pod in pods.values()):
            raise NotYet(f"pods: {', '.join(sorted(pods)) or 'none'}, and none of them a new one")

    context.wait(f"{name}: a new pod in place of the lost one", another)
    context.mark("waits", namespace=namespace, job=name, restarting=restarting)
    _wait_counted(context, namespace, name, "Created", {"active": 1, "ready": 0, "succeeded": 0})
    context.settle(namespace)
    context.mark("finds-a-place", namespace=namespace, job=name)
    uncordon(context, nodes)
    wait_replaced(context, namespace, name, uid, 1)
    _wait_counted(context, namespace, name, "Running", {"active": 1, "ready": 1, "succeeded": 0})
    context.settle(namespace)


def _linger(context: JobsContext, name: str, nodes: Sequence[str]) -> None:
    """The pod is deleted and runs on for a while, as real ones do in their grace period."""
    namespace = context.namespace()
    victim, uid = context.pod(namespace, name)
    cordon(context, nodes)
    context.annotate_pod(namespace, victim, {LINGERS: "true"})
    context.mark("lingers", namespace=namespace, pod=victim)
    try:
        context.delete_pod(namespace, victim)
        # Whether Running is True meanwhile is the operator's to say.
        _wait_counted(context, namespace, name, "Created", {"active": 0, "ready": 0, "failed": 0})
        context.settle(namespace)
        context.mark("lingered", namespace=namespace, pod=victim)
    finally:
        context.annotate_pod(namespace, victim, {LINGERS: None})
    _replace(context, name, uid, nodes, restarting=False)


def _wait_counted(
    context: JobsContext, namespace: str, name: str, condition: str, counts: dict[str, int]
) -> None:
    """Wait for a condition and the counts that go with it; an operator may tell them in two writes."""
    told = ", ".join(f"{key} {value}" for key, value in counts.items())
    context.wait_job(
        namespace,
        name,
        f"{condition} is True and replicaStatuses says {told}",
        lambda job: is_true(job, condition) and replica_counts(job, counts) == counts,
    )


def scaling(context: JobsContext) -> None:
    """Eleven, three, five: as names, 10 comes before 2. The last pod fails on its way out."""
    namespace, name = context.namespace(), "elastic"
    context.create(job_manifest(namespace, name, nodes=11))
    dying = context.wait_pods(namespace, name, 11)[-1]
    context.annotate_pod(namespace, dying, {DIES: "143"})
    for nodes in (3, 5):
        context.settle(namespace)
        context.mark("before-scale", **snapshot(context, namespace, name))
        context.change(namespace, name, {"spec": {"trainer": {"numNodes": nodes}}}, "scale", nodes=nodes)
        context.wait_pods(namespace, name, nodes)
        if dying in context.env.watches.objects("pods", namespace):
            wait_died(context, namespace, name, dying)
            context.annotate_pod(namespace, dying, {DIES: None})
    context.settle(namespace)
    context.mark("end", **snapshot(context, namespace, name))


def suspend(context: JobsContext) -> None:
    """Pause a running job and resume it; pause one that has a finished pod; and one is born paused."""
    namespace, name = context.namespace(), "paused"
    context.create(job_manifest(namespace, "born-suspended", run_policy={"suspend": True}))
    context.create(job_manifest(namespace, name, nodes=3))
    context.create(job_manifest(namespace, "partly", nodes=2))
    context.wait_pods(namespace, name, 3)
    first, second = context.wait_pods(namespace, "partly", 2)
    uid = context.pods(namespace, "partly").get(second, {}).get("metadata", {}).get("uid")
    context.end_pod(namespace, first, "0")
    wait_phase(context, namespace, first, "Succeeded")
    # Whether a failure is made good and counted is the business of other tracks.
    context.end_pod(namespace, second, "1")
    context.reached("a pod in place of the failed one", lambda: _replaced(context, namespace, "partly", uid))
    context.settle(namespace)
    pausing = {"spec": {"runPolicy": {"suspend": True}}}
    slow, _ = context.pod(namespace, name)
    dying, _ = context.pod(namespace, name, 1)
    context.annotate_pod(namespace, slow, {LINGERS: "true"})
    context.annotate_pod(namespace, dying, {DIES: "143"})
    try:
        context.change(namespace, name, pausing, "suspend")
        context.wait_job(
            namespace,
            name,
            f"Suspended is True, though {slow} is still being deleted",
            lambda job: is_true(job, "Suspended"),
        )
        wait_died(context, namespace, name, dying)
    finally:
        context.annotate_pod(namespace, dying, {DIES: None})
        context.annotate_pod(namespace, slow, {LINGERS: None})
    # One that took the first success for the end has lost that by the completion track, and is over.
    if not is_finished(context.standing_job(namespace, "partly")):
        context.change(namespace, "partly", pausing, "suspend-partly")
        context.wait_pods(namespace, "partly", 0)
    context.wait_pods(namespace, name, 0)
    context.wait_job(
        namespace,
        name,
        "Suspended is True, Running is not, startTime is empty",
        lambda job: (
            is_true(job, "Suspended") and not is_true(job, "Running") and not status_field(job, "startTime")
        ),
    )
    context.wait_job(namespace, "born-suspended", "Suspended is True", lambda job: is_true(job, "Suspended"))
    limit = {"spec": {"runPolicy": {"backoffLimit": 5}}}
    generation = context.change(namespace, "born-suspended", limit, "changed-while-suspended")
    wait_observed(context, namespace, "born-suspended", generation)
    context.settle(namespace)
    context.mark("suspended", namespace=namespace, job=name)
    resuming = {"spec": {"runPolicy": {"suspend": False}}}
    context.change(namespace, name, resuming, "resume")
    if not is_finished(context.standing_job(namespace, "partly")):
        context.change(namespace, "partly", resuming, "resume-partly")
        context.wait_pods(namespace, "partly", 2)
    context.wait_pods(namespace, name, 3)
    context.wait_job(
        namespace,
        name,
        "Suspended is not True, startTime is set",
        lambda job: not is_true(job, "Suspended") and bool(status_field(job, "startTime")),
    )
    context.settle(namespace)
    context.mark("end", namespace=namespace)


def wait_died(context: JobsContext, namespace: str, name: str, pod: str) -> None:
    """Wait until a pod that is being deleted has failed, and for what the operator makes of it.

    A change that means nothing to the job tells that it was looked at since.
    """

    def failed() -> None:
        found = context.env.watches.objects("pods", namespace).get(pod)
        if found is not None and is_terminating(found) and phase(found) != "Failed":
            raise NotYet(f"{pod} is {phase(found)}")

    context.wait(f"{pod} to fail while it is being deleted", failed)
    context.looked_at(namespace, name)
    context.settle(namespace)


def wait_replaced(context: JobsContext, namespace: str, job: str, uid: str, count: int) -> None:
    """Wait until the job has `count` pods running or succeeded and none of them has `uid`.

    Raises:
        Missed: not within T. InfraFault: the harness was not healthy.
    """

    def probe() -> None:
        pods = context.pods(namespace, job)
        states = ", ".join(f"{name} {phase(pod)}" for name, pod in sorted(pods.items())) or "none"
        if any(pod["metadata"]["uid"] == uid for pod in pods.values()):
            raise NotYet(f"the old pod is still there; pods: {states}")
        if len(pods) != count or any(phase(pod) not in ("Running", "Succeeded") for pod in pods.values()):
            owner = context.job(namespace, job)
            raise NotYet(f"pods: {states}; job: {describe(owner) if owner else 'gone'}")

    context.wait(f"{job}: a new pod in place of the lost one, {count} in all", probe)


def _replaced(context: JobsContext, namespace: str, job: str, uid: str | None) -> None:
    pods = context.pods(namespace, job).values()
    waiting = [pod for pod in pods if phase(pod) not in ("Running", "Succeeded")]
    if waiting or not pods or any(pod["metadata"]["uid"] == uid for pod in pods):
        raise NotYet(", ".join(phase(pod) for pod in pods) or "no pods")


def snapshot(context: JobsContext, namespace: str, job: str) -> dict[str, object]:
    """Who is there now: uid and index by name, for a mark."""
    pods = context.pods(namespace, job)
    return {
        "namespace": namespace,
        "job": job,
        "pods": {name: {"uid": pod["metadata"]["uid"], "index": index_of(pod)} for name, pod in pods.items()},
    }


def wait_finished(context: JobsContext, namespace: str, name: str) -> None:
    """Wait until the job is Complete or Failed; raises as `TrackContext.wait`."""
    context.wait_job(namespace, name, "Complete or Failed is True", is_finished)


def wait_observed(context: JobsContext, namespace: str, name: str, generation: int) -> None:
    """Wait for this very generation: the watch may still show the job as it was before the change."""
    context.wait_job(
        namespace,
        name,
        f"observedGeneration is {generation}, as its generation",
        lambda job: bool(status_field(job, "observedGeneration") == generation),
    )


def wait_phase(context: JobsContext, namespace: str, pod: str, wanted: str) -> None:
    """Wait until the pod is in that phase, or gone; raises as `TrackContext.wait`."""

    def probe() -> None:
        found = context.env.watches.objects("pods", namespace).get(pod)
        if found is not None and phase(found) != wanted:
            raise NotYet(f"{pod} is {phase(found)}")

    context.wait(f"the pod {pod} to be {wanted}", probe)
