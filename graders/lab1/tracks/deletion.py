"""Jobs whose deletion somebody else holds up."""

from graders.faultproxy import Respond, RuleAnswer, writes_in
from graders.faults import InfraFault
from graders.kube.client import ApiRefused
from graders.lab1.api import is_terminating, job_manifest, jobs_path
from graders.lab1.jobscontext import JobsContext
from graders.lab1.tracks.steadiness import let_pass
from graders.polling import NotYet, TimedOut, wait_for
from graders.scenario.environment import QUIET_S

NODES = 2

HOLD = "example.org/hold"
"""A finalizer that is none of the operator's business."""
NOTICED_S = 1.2
"""A create that begins within a second after the deletion may have been under way."""
LOOK_S = 3.0
"""For so long the pods that a deleted job has lost are left to the operator."""
CONFLICT = 409
FAILURES = 2
"""So often an operator fails to clean up before it may let go of its own finalizer."""

_FAILED = RuleAnswer(500, "InternalError", "etcdserver: leader changed")


def finalizers(context: JobsContext) -> None:
    """Two jobs that somebody else keeps: one is deleted while the operator runs, one while it is down.

    A third is kept by nobody but, if it wants, the operator; what it does about the deletion fails twice.
    """
    namespace, own = context.namespace(), context.namespace("own")
    context.create(job_manifest(own, "troubled", nodes=NODES))
    for name in ("watched", "unwatched"):
        manifest = job_manifest(namespace, name, nodes=NODES)
        manifest["metadata"]["finalizers"] = [HOLD]
        context.create(manifest)
        context.mark("held", job=name, finalizer=HOLD)
    for name in ("watched", "unwatched"):
        context.wait_running(namespace, name, NODES)
    context.wait_running(own, "troubled", NODES)
    context.settle(namespace, own)
    deleted_while_cleaning_up_fails(context, own, "troubled")
    deleted_while_it_runs(context, namespace, "watched")
    deleted_while_it_is_down(context, namespace, "unwatched")
    context.mark("end", namespace=namespace)


def deleted_while_cleaning_up_fails(context: JobsContext, namespace: str, name: str) -> None:
    """Delete a job that the operator itself may hold; what it writes then is refused at first."""
    held = context.standing_job(namespace, name)["metadata"].get("finalizers")
    # Without a finalizer there is no cleaning up that could fail, and the job goes at once.
    rule = Respond("finalizers", writes_in(namespace), _FAILED, times=FAILURES if held else 0)
    with context.env.proxy.disturb(rule):
        _delete(context, namespace, name)
        _wait_gone(context, namespace, name, "its own cleanup failed twice" if held else "nobody holds it")
    context.mark("troubled", job=name, failures=rule.applied, held=bool(held))


def deleted_while_it_runs(context: JobsContext, namespace: str, name: str) -> None:
    """Delete a job that stays, take its pods away, and let it go at last."""
    _delete(context, namespace, name)
    let_pass(context, "a deleted job to be noticed", NOTICED_S)
    _take_pods(context, namespace, name)
    _look_on(context, namespace)
    _release(context, namespace, name)


def deleted_while_it_is_down(context: JobsContext, namespace: str, name: str) -> None:
    """The same, with nobody there at the deletion."""

    def act() -> None:
        _delete(context, namespace, name)
        _take_pods(context, namespace, name)

    context.through_restart(during=act)
    _look_on(context, namespace)
    _release(context, namespace, name)


def _delete(context: JobsContext, namespace: str, name: str) -> None:
    uid = context.standing_job(namespace, name)["metadata"]["uid"]
    context.delete_job(namespace, name)

    def probe() -> None:
        job = context.job(namespace, name)
        # Whoever makes the job anew at once makes another one.
        if job is not None and job["metadata"]["uid"] == uid and not is_terminating(job):
            raise NotYet(f"the job {name} is not being deleted yet")

    try:
        wait_for(probe, timeout_s=context.deadline_s, interval_s=0.05)
    except TimedOut as mismatch:
        raise InfraFault(str(mismatch)) from mismatch


def _take_pods(context: JobsContext, namespace: str, name: str) -> None:
    """Lose one pod and fail another: whoever does not see the deletion replaces them."""
    pods = context.pod_names(namespace, name)
    for pod in pods[:1]:
        context.end_pod(namespace, pod, "137")
    for pod in pods[1:]:
        context.delete_pod(namespace, pod)


def _look_on(context: JobsContext, namespace: str) -> None:
    let_pass(context, "whether a deleted job gets pods again", LOOK_S * context.env.quiet_s / QUIET_S)
    context.settle(namespace)


def _release(context: JobsContext, namespace: str, name: str) -> None:
    """Take away the finalizer that held the job, and wait for the job to go."""
    path = jobs_path(namespace, name)
    context.mark("release", namespace=namespace, job=name)

    def released() -> None:
        job = context.kube.find(path)
        held = job["metadata"].get("finalizers") or [] if job else []
        if job is None or HOLD not in held:
            return
        metadata = {
            "finalizers": [each for each in held if each != HOLD],
            "resourceVersion": job["metadata"]["resourceVersion"],
        }
        try:
            context.kube.patch(path, {"metadata": metadata})
        except ApiRefused as refused:
            if refused.answer.code != CONFLICT:
                raise InfraFault(str(refused)) from refused
            raise NotYet("somebody else writes to the job") from refused

    try:
        wait_for(released, timeout_s=context.deadline_s, interval_s=0.05)
    except TimedOut as mismatch:
        context.mark("not-released", job=name, seen=str(mismatch))
    _wait_gone(context, namespace, name, "nobody else holds it any more")


def _wait_gone(context: JobsContext, namespace: str, name: str, when: str) -> None:
    def gone() -> None:
        job = context.job(namespace, name)
        if job is not None:
            raise NotYet(f"its finalizers are {job['metadata'].get('finalizers')}")

    context.wait(f"the deleted job {name} to go, when {when}", gone)
