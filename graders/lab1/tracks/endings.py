"""How jobs end, and what they leave."""

from collections.abc import Mapping
from typing import Any

from graders.lab1.api import is_true, job_manifest, status_field
from graders.lab1.jobscontext import JobsContext
from graders.lab1.tracks.lifecycle import wait_observed, wait_phase
from graders.polling import NotYet

SHRINKS = "shrinks"
"""A job whose last pod that runs is taken from its size."""

FAILING: Mapping[str, Mapping[str, Any]] = {
    "None": {"restart_policy": "Never"},
    "Running": {"run_policy": {"backoffLimit": 0}},
    "All": {"restart_policy": "ExitCode"},
}
"""A job that fails at the first failure, for each cleanPodPolicy: each for another reason."""


def completion(context: JobsContext) -> None:
    """Pods succeed one by one, other jobs fail half-way; then two are poked and a finished pod deleted."""
    namespace = context.namespace()
    context.create(job_manifest(namespace, "keeps", nodes=3))
    context.create(job_manifest(namespace, "cleans", nodes=2, run_policy={"cleanPodPolicy": "All"}))
    for name, nodes in (("stops", 2), (SHRINKS, 3)):
        context.create(job_manifest(namespace, name, nodes=nodes, run_policy={"cleanPodPolicy": "Running"}))
    for policy in FAILING:
        _create_failing(context, policy)
    pods = context.wait_pods(namespace, "keeps", 3)
    for job, nodes in {"cleans": 2, "stops": 2, SHRINKS: 3}.items():
        context.wait_pods(namespace, job, nodes)
    halves = {policy: context.wait_pods(namespace, failing(policy), 3) for policy in FAILING}
    context.settle(namespace)
    for done, _, _ in halves.values():
        context.end_pod(namespace, done, "0")
    for pod in context.pod_names(namespace, SHRINKS)[:2]:
        context.end_pod(namespace, pod, "0")
        wait_phase(context, namespace, pod, "Succeeded")
    for number, pod in enumerate(pods[:-1], start=1):
        context.end_pod(namespace, pod, "0")
        wait_phase(context, namespace, pod, "Succeeded")
        context.noticed(
            namespace,
            "keeps",
            f"{number} succeeded",
            lambda job, number=number: (
                is_true(job, "Complete")  # type: ignore[misc]
                or status_field(job, "replicaStatuses", "succeeded") == number
            ),
        )
        context.settle(namespace)
        context.mark("some-succeeded", namespace=namespace, job="keeps", succeeded=number)
    # Nothing is left to wait for but a pod that is one too many.
    context.change(namespace, SHRINKS, {"spec": {"trainer": {"numNodes": 2}}}, "shrink")
    context.mark("last-succeeds", namespace=namespace)
    context.end_pod(namespace, pods[-1], "0")
    for job in ("cleans", "stops"):
        for pod in context.pod_names(namespace, job):
            context.end_pod(namespace, pod, "0")
    for _, victim, _ in halves.values():
        context.end_pod(namespace, victim, "1")
    for job in ("keeps", "cleans", "stops"):
        context.wait_job(namespace, job, "Complete is True", lambda job: is_true(job, "Complete"))
    context.wait_pods(namespace, "cleans", 0)
    # Whether a failure ends a job is the business of other tracks.
    failed = [
        policy
        for policy in FAILING
        if context.noticed(namespace, failing(policy), "Failed", lambda job: is_true(job, "Failed"))
    ]
    # So is whether a running job follows a change of its size.
    shrunk = context.noticed(namespace, SHRINKS, "Complete", lambda job: is_true(job, "Complete"))
    context.settle(namespace)
    context.mark("failed", namespace=namespace, jobs={policy: failing(policy) for policy in failed})
    if shrunk:
        context.mark("shrunk", namespace=namespace, job=SHRINKS)
    everything = {"runPolicy": {"suspend": True, "cleanPodPolicy": "All"}, "trainer": {"numNodes": 2}}
    generation = context.change(namespace, "keeps", {"spec": everything}, "changed-after-end")
    for policy in failed:
        # Each failed for another reason, and it is the second that a higher limit would have helped.
        later = {"backoffLimit": 9} if policy == "Running" else {"suspend": True}
        name, patch = failing(policy), {"spec": {"runPolicy": later}}
        wait_observed(
            context, namespace, name, context.change(namespace, name, patch, "changed-after-failure")
        )
    grown = context.change(namespace, "stops", {"spec": {"trainer": {"numNodes": 3}}}, "grown-after-end")
    wait_observed(context, namespace, "keeps", generation)
    wait_observed(context, namespace, "stops", grown)
    context.settle(namespace)
    context.delete_pod(namespace, pods[0])
    context.wait("the deleted pod to go", lambda: _gone(context, namespace, pods[0]))
    context.settle(namespace)
    context.mark("end", namespace=namespace)


def failing(policy: str) -> str:
    """The name of the job that fails under this cleanPodPolicy."""
    return f"fails-{policy.lower()}"


def _create_failing(context: JobsContext, policy: str) -> None:
    ends = FAILING[policy]
    job = job_manifest(
        context.namespace(),
        failing(policy),
        nodes=3,
        run_policy={**ends.get("run_policy", {}), "cleanPodPolicy": policy},
        restart_policy=ends.get("restart_policy"),
    )
    context.create(job)


def _gone(context: JobsContext, namespace: str, pod: str) -> None:
    if pod in context.env.watches.objects("pods", namespace):
        raise NotYet(f"{pod} is still there")
