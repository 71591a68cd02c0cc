"""How jobs end, and what they leave."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graders.lab1.api import is_true, job_manifest, status_field
from graders.lab1.stage import Stage
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


def completion(stage: Stage) -> None:
    """Pods succeed one by one, other jobs fail half-way; then two are poked and a finished pod deleted."""
    namespace = stage.namespace()
    stage.create(job_manifest(namespace, "keeps", nodes=3))
    stage.create(job_manifest(namespace, "cleans", nodes=2, run_policy={"cleanPodPolicy": "All"}))
    for name, nodes in (("stops", 2), (SHRINKS, 3)):
        stage.create(job_manifest(namespace, name, nodes=nodes, run_policy={"cleanPodPolicy": "Running"}))
    for policy in FAILING:
        _create_failing(stage, policy)
    for job, nodes in {"keeps": 3, "cleans": 2, "stops": 2, SHRINKS: 3}.items():
        stage.wait_pods(namespace, job, nodes)
    halves = {policy: stage.wait_pods(namespace, failing(policy), 3) for policy in FAILING}
    stage.settle(namespace)
    for done, _, _ in halves.values():
        stage.end_pod(namespace, done, "0")
    for pod in stage.pod_names(namespace, SHRINKS)[:2]:
        stage.end_pod(namespace, pod, "0")
        wait_phase(stage, namespace, pod, "Succeeded")
    pods = stage.pod_names(namespace, "keeps")
    for number, pod in enumerate(pods[:-1], start=1):
        stage.end_pod(namespace, pod, "0")
        wait_phase(stage, namespace, pod, "Succeeded")
        stage.noticed(
            namespace,
            "keeps",
            f"{number} succeeded",
            lambda job, number=number: (
                is_true(job, "Complete")  # type: ignore[misc]
                or status_field(job, "replicaStatuses", "succeeded") == number
            ),
        )
        stage.settle(namespace)
        stage.mark("some-succeeded", namespace=namespace, job="keeps", succeeded=number)
    # Nothing is left to wait for but a pod that is one too many.
    stage.change(namespace, SHRINKS, {"spec": {"trainer": {"numNodes": 2}}}, "shrink")
    stage.mark("last-succeeds", namespace=namespace)
    stage.end_pod(namespace, pods[-1], "0")
    for job in ("cleans", "stops"):
        for pod in stage.pod_names(namespace, job):
            stage.end_pod(namespace, pod, "0")
    for _, victim, _ in halves.values():
        stage.end_pod(namespace, victim, "1")
    for job in ("keeps", "cleans", "stops"):
        stage.wait_job(namespace, job, "Complete is True", lambda job: is_true(job, "Complete"))
    stage.wait_pods(namespace, "cleans", 0)
    # Whether a failure ends a job is the business of other tracks.
    failed = [
        policy
        for policy in FAILING
        if stage.noticed(namespace, failing(policy), "Failed", lambda job: is_true(job, "Failed"))
    ]
    # So is whether a running job follows a change of its size.
    shrunk = stage.noticed(namespace, SHRINKS, "Complete", lambda job: is_true(job, "Complete"))
    stage.settle(namespace)
    stage.mark("failed", namespace=namespace, jobs={policy: failing(policy) for policy in failed})
    if shrunk:
        stage.mark("shrunk", namespace=namespace, job=SHRINKS)
    suspended = {"spec": {"runPolicy": {"suspend": True}}}
    generation = stage.change(namespace, "keeps", suspended, "changed-after-end")
    if "None" in failed:
        failed_generation = stage.change(namespace, failing("None"), suspended, "changed-after-failure")
        wait_observed(stage, namespace, failing("None"), failed_generation)
    grown = stage.change(namespace, "stops", {"spec": {"trainer": {"numNodes": 3}}}, "grown-after-end")
    wait_observed(stage, namespace, "keeps", generation)
    wait_observed(stage, namespace, "stops", grown)
    stage.settle(namespace)
    stage.delete_pod(namespace, pods[0])
    stage.wait("the deleted pod to go", lambda: _gone(stage, namespace, pods[0]))
    stage.settle(namespace)
    stage.mark("end", namespace=namespace)


def failing(policy: str) -> str:
    """The name of the job that fails under this cleanPodPolicy."""
    return f"fails-{policy.lower()}"


def _create_failing(stage: Stage, policy: str) -> None:
    ends = FAILING[policy]
    job = job_manifest(
        stage.namespace(),
        failing(policy),
        nodes=3,
        run_policy={**ends.get("run_policy", {}), "cleanPodPolicy": policy},
        restart_policy=ends.get("restart_policy"),
    )
    stage.create(job)


def _gone(stage: Stage, namespace: str, pod: str) -> None:
    if pod in stage.world.watches.objects("pods", namespace):
        raise NotYet(f"{pod} is still there")
