"""What an operator must not touch, and what the API server must not accept."""

import copy
from typing import Any

from graders.kube.client import MERGE_PATCH
from graders.kube.paths import resource_path
from graders.lab1.api import (
    CRD,
    JOB_NAME,
    REPLICA_INDEX,
    container,
    controller_uid,
    job_manifest,
    jobs_path,
    pods_path,
)
from graders.lab1.jobscontext import JobsContext
from graders.lab1.tracks.lifecycle import snapshot, wait_finished, wait_phase
from graders.polling import NotYet


def crd_contract(context: JobsContext) -> None:
    """Read the CRD, store the smallest job, try the samples and everything that must be refused."""
    namespace, name = context.namespace(), "smallest"
    context.ask("crd", "GET", resource_path("apiextensions.k8s.io/v1", "customresourcedefinitions", name=CRD))
    smallest = job_manifest(namespace, name, nodes=None)
    context.ask("create-smallest", "POST", jobs_path(namespace), body=smallest, query={"dryRun": "All"})
    in_a_class = job_manifest(
        namespace, name, nodes=None, run_policy={"schedulingPolicy": {"priorityClass": "high"}}
    )
    context.ask("create-in-a-class", "POST", jobs_path(namespace), body=in_a_class, query={"dryRun": "All"})
    # Stored suspended, so that what the operator does with it is the business of other tracks.
    stored = job_manifest(
        namespace, name, nodes=None, run_policy={"suspend": True, "activeDeadlineSeconds": 3600}
    )
    metadata = {"labels": {"team": "research"}, "annotations": {"example.com/data-set": "digits"}}
    stored["spec"]["trainer"]["template"]["metadata"] = metadata
    context.ask("create-stored", "POST", jobs_path(namespace), body=stored)
    for case, body in bad_jobs(namespace).items():
        context.ask(f"bad-{case}", "POST", jobs_path(namespace), body=body, query={"dryRun": "All"})
    image: dict[str, Any] = {"containers": [{**container(), "image": "registry.example/other:2.0"}]}
    edits = {
        "image": {"spec": {"trainer": {"template": {"spec": image}}}},
        "label": {"spec": {"trainer": {"template": {"metadata": {"labels": {"added": "later"}}}}}},
        "placement": {"spec": {"trainer": {"template": {"spec": {"nodeSelector": {"pool": "other"}}}}}},
        "removal": {"spec": {"trainer": {"template": None}}},
    }
    for case, patch in edits.items():
        context.ask(
            f"edit-{case}",
            "PATCH",
            jobs_path(namespace, name),
            body=patch,
            content_type=MERGE_PATCH,
            query={"dryRun": "All"},
        )
    # With the status subresource on, a write to the main resource leaves the status alone.
    context.ask(
        "status-through-main",
        "PATCH",
        jobs_path(namespace, name),
        body={"status": {"restarts": 77}},
        content_type=MERGE_PATCH,
        query={"dryRun": "All"},
    )
    context.ask("status", "GET", jobs_path(namespace, name, "status"))
    _try_samples(context, namespace)


def _try_samples(context: JobsContext, namespace: str) -> None:
    """Have the API server look at what was handed in as samples, in whatever namespace they are meant for."""
    samples = context.env.samples
    places = [f"{each.file}:{each.line}" for each in samples.jobs]
    context.mark("samples", places=places, problem=samples.problem)
    for each, place in zip(samples.jobs, places, strict=True):
        metadata = each.data.get("metadata")
        body = each.data
        if isinstance(metadata, dict):
            body = {**body, "metadata": {**metadata, "namespace": namespace}}
        context.ask(f"sample {place}", "POST", jobs_path(namespace), body=body, query={"dryRun": "All"})


def bad_jobs(namespace: str) -> dict[str, dict[str, Any]]:
    """Jobs the API server must refuse with 422, by what is wrong with them."""
    good = job_manifest(namespace, "bad", nodes=1, run_policy={})

    def with_(path: str, value: object) -> dict[str, Any]:
        job = copy.deepcopy(good)
        *steps, last = path.split(".")
        target = job["spec"]
        for step in steps:
            target = target.setdefault(step, {})
        if value is None:
            del target[last]
        else:
            target[last] = value
        return job

    return {
        "zero-nodes": with_("trainer.numNodes", 0),
        "negative-backoff-limit": with_("runPolicy.backoffLimit", -1),
        "unknown-restart-policy": with_("trainer.restartPolicy", "Sometimes"),
        "unknown-clean-pod-policy": with_("runPolicy.cleanPodPolicy", "Most"),
        "no-template": with_("trainer.template", None),
        "zero-deadline": with_("runPolicy.activeDeadlineSeconds", 0),
        "negative-ttl": with_("runPolicy.ttlSecondsAfterFinished", -1),
    }


def isolation(context: JobsContext) -> None:
    """Twins in two namespaces, a decoy with the job's labels, and a job called as a twin's pod is."""
    here, there = context.namespace(), context.namespace("other")
    context.create(job_manifest(here, "twin", nodes=2, run_policy={"cleanPodPolicy": "All"}))
    context.create(job_manifest(there, "twin", nodes=2))
    context.create(job_manifest(here, "twin-1", nodes=1))
    for namespace in (here, there):
        context.wait_pods(namespace, "twin", 2)
    context.wait_pods(here, "twin-1", 1)
    _create_decoy(context, here)
    context.settle(here, there)
    context.mark("before", here=snapshot(context, here, "twin"), there=_others(context))
    context.end_pod(here, "decoy", "1")
    context.settle(here)
    context.mark("decoy-failed", namespace=here)
    # Whoever cleans up by label takes the decoy along.
    for pod in context.pod_names(here, "twin"):
        context.end_pod(here, pod, "0")
    wait_finished(context, here, "twin")
    context.settle(here)
    context.delete_job(here, "twin")

    def gone() -> None:
        if context.job(here, "twin") is not None:
            raise NotYet("the job is still there")

    context.wait("the deleted job to go", gone)
    context.settle(here, there)
    context.mark("end", there=_others(context))


def _others(context: JobsContext) -> dict[str, Any]:
    """The twin in the other namespace, with the pod of the job that is called as a twin's pod."""
    found: dict[str, Any] = snapshot(context, context.namespace("other"), "twin")
    beside: dict[str, Any] = snapshot(context, context.namespace(), "twin-1")
    found["pods"] |= beside["pods"]
    return found


def stranger(context: JobsContext) -> None:
    """Two pods of nobody's have the names of children, one of them its labels too; later they leave."""
    namespace, name = context.namespace(), "blocked"
    labels = {"blocked-1": {"app": "stranger"}, "blocked-2": {JOB_NAME: name, REPLICA_INDEX: "2"}}
    for pod, own in labels.items():
        _create_pod(context, namespace, pod, own, [])
    created = context.now()
    context.create(job_manifest(namespace, name, nodes=3))
    context.await_notice(namespace, created)
    # Whoever takes it for its own has a failure to make good.
    context.end_pod(namespace, "blocked-2", "1")
    wait_phase(context, namespace, "blocked-2", "Failed")
    context.settle(namespace)
    context.mark("stranger-leaves", namespace=namespace)
    for pod in labels:
        context.kube.delete(pods_path(namespace, pod), gracePeriodSeconds=0)
    # The job itself is touched, too: that a pod which is not its own has gone need not be news to it.
    poke = {"metadata": {"annotations": {"kubeproof.dev/poke": "stranger-left"}}}
    context.change(namespace, name, poke, "poke")

    def own_pods() -> None:
        uid = context.the_job(namespace, name)["metadata"]["uid"]
        own = [pod for pod in context.pods(namespace, name).values() if controller_uid(pod) == uid]
        if len(own) != 3:
            raise NotYet(f"{len(own)} pods of its own")

    context.wait("three pods of the job's own, once the strangers are gone", own_pods)
    context.settle(namespace)
    context.mark("end", namespace=namespace)


def _create_decoy(context: JobsContext, namespace: str) -> None:
    """A pod with the labels of the job's replica 0 and a ConfigMap for its controller."""
    owner = context.kube.create(
        resource_path("v1", "configmaps", namespace=namespace),
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "other-owner"}},
    )
    reference = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "name": "other-owner",
        "uid": owner["metadata"]["uid"],
        "controller": True,
    }
    _create_pod(context, namespace, "decoy", {JOB_NAME: "twin", REPLICA_INDEX: "0"}, [reference])


def _create_pod(
    context: JobsContext, namespace: str, name: str, labels: dict[str, str], owners: list[dict[str, Any]]
) -> None:
    body = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels, "ownerReferences": owners},
        "spec": {"restartPolicy": "Never", "containers": [container()]},
    }
    created = context.kube.create(pods_path(namespace), body)
    context.mark("foreign-pod", namespace=namespace, pod=name, uid=created["metadata"]["uid"])

    def running() -> None:
        found = context.env.watches.objects("pods", namespace).get(name)
        if found is None or found["status"].get("phase") != "Running":
            raise NotYet(f"{name} is not running yet")

    context.wait(f"the grader's own pod {name} to run", running)
