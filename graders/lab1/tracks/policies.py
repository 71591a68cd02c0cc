"""What the cluster's policies say of the learner's Deployment, and of pods made from a compliant template."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from graders.evidence.records import Object, Request
from graders.faults import InfraFault
from graders.kube.paths import resource_path
from graders.lab1.api import job_manifest, phase, pods_path
from graders.lab1.jobscontext import JobsContext
from graders.lab1.policies import (
    ENFORCED,
    POD_SECURITY,
    WARNED,
    admission_manifests,
    compliant_template,
    counter_examples,
    deployment,
    pod,
    policy_names,
)
from graders.polling import NotYet, TimedOut, wait_for

JOB = "gated"

MOST_PODS = 6
"""Of the operator's pods; more are made only by one that is lost anyway."""

_AUDITED = {
    "pod-security.kubernetes.io/audit": "restricted",
    "pod-security.kubernetes.io/warn": "restricted",
}
"""Admission judges each create in the job's own namespace and lets it pass, so nothing else is disturbed.

What it finds is in the audit log, and in a warning with the answer where that is out of reach."""

_CREATED = 201

_OF_THE_PLACE = frozenset({"nodeName", "priority", "schedulingGates"})
"""Fields of a pod's spec that somebody else sets, or that say nothing to a policy."""


def policy_gates(context: JobsContext) -> None:
    """Have all that is judged made, then ask the API server about each."""
    _label(context, context.namespace(), _AUDITED)
    _label(context, context.namespace("plain"), WARNED)
    _label(context, context.namespace("gated"), ENFORCED)
    with _policies(context):
        subjects = _submitted(context) | _made(context)
        for name, subject in subjects.items():
            _ask(context, f"admit/{name}", "gated", subject)
    context.mark("end", namespace=context.namespace())


def _label(context: JobsContext, namespace: str, labels: Mapping[str, str]) -> None:
    context.kube.patch(resource_path("v1", "namespaces", name=namespace), {"metadata": {"labels": labels}})


@contextlib.contextmanager
def _policies(context: JobsContext) -> Iterator[None]:
    """The course's policies in force, in the namespaces that are labelled for them and nowhere else."""
    manifests = admission_manifests()
    try:
        for manifest in manifests:
            answer = context.kube.apply(manifest)
            if not answer.ok:
                name = manifest["metadata"]["name"]
                raise InfraFault(f"the API server does not take the policy {name}: {answer.message}")
        for part in ("", "plain", "gated"):
            _account(context, part, "trainer")
        waiting = counter_examples()

        def in_force() -> None:
            for name, example in list(waiting.items()):
                if is_in_force(context, name, example):
                    del waiting[name]
            if waiting:
                raise NotYet(f"not yet in force: {', '.join(waiting)}")

        try:
            wait_for(in_force, timeout_s=6 * context.deadline_s, interval_s=0.2)
        except TimedOut as error:
            raise InfraFault(f"policies of the course: {error}") from error
        context.mark("policies-in-force", policies=policy_names())
        yield
    finally:
        for manifest in manifests:
            context.kube.delete(context.kube.path_for(manifest))


def is_in_force(context: JobsContext, name: str, example: Object) -> bool:
    """Whether the policy `name`, or Pod Security, refuses `example`, and warns of it where it should."""
    refused, warned = (_dry_run(context, part, "counter-example", example) for part in ("gated", "plain"))
    told = name == POD_SECURITY or any(f"'{name}'" in warning for warning in warned.warnings)
    return refused.code != _CREATED and name in str(refused.response) and told


def _submitted(context: JobsContext) -> dict[str, Object]:
    """Each Deployment as the API server would store it, and a pod of it."""
    subjects: dict[str, Object] = {}
    for number, given in enumerate(context.env.deployments):
        name, title = f"deployment-{number}", f"Deployment {given['metadata']['name']}"
        stored = _store(context, name, title, deployment(given["spec"], given["metadata"]))
        if stored is None:
            continue
        subjects[name] = stored
        template = stored["spec"]["template"]
        account = template["spec"].get("serviceAccountName") or "default"
        for part in ("plain", "gated"):
            _account(context, part, account)
        made = _store(
            context, f"{name}-pod", f"a pod of {title}", pod(template["spec"], template["metadata"])
        )
        if made is not None:
            subjects[f"{name}-pod"] = made
    return subjects


def _store(context: JobsContext, name: str, title: str, wanted: dict[str, Any], **more: str) -> Object | None:
    """`wanted` with all defaults, from a dry run where policies only warn; None where it is refused."""
    answer = _ask(context, f"store/{name}", "plain", wanted)
    context.mark("subject", subject=name, title=title, stored=answer.code == _CREATED, **more)
    if answer.code != _CREATED:
        return None
    stored = answer.response
    return (deployment if stored["kind"] == "Deployment" else pod)(stored["spec"], stored["metadata"])


def _made(context: JobsContext) -> dict[str, Object]:
    """Pods that the operator makes from a compliant template, the one after a failure among them."""
    namespace = context.namespace()
    job = job_manifest(namespace, JOB, nodes=2, restart_policy="OnFailure")
    job["spec"]["trainer"]["template"] = compliant_template()
    context.create(job)
    seen: dict[str, Object] = {}

    def look() -> dict[str, Object]:
        for each in context.env.watches.objects("pods", namespace).values():
            seen.setdefault(each["metadata"]["uid"], each)
        return {name: each for name, each in context.pods(namespace, JOB).items() if phase(each) == "Running"}

    def running() -> None:
        if len(look()) < 2:
            raise NotYet(f"{len(look())} pods of {JOB} run")

    if context.reached("two running pods of a compliant template", running) and (found := look()):
        victim = sorted(found)[0]
        before = len(seen)
        context.end_pod(namespace, victim, "137")

        def replaced() -> None:
            look()
            if len(seen) == before:
                raise NotYet(f"no pod in place of {victim}")

        context.reached("a pod in place of the failed one", replaced)
    subjects: dict[str, Object] = {}
    for number, each in enumerate(list(seen.values())[:MOST_PODS]):
        name, metadata = f"pod-{number}", each["metadata"]
        title = f"the operator's pod {metadata['name']}"
        spec = {key: value for key, value in each["spec"].items() if key not in _OF_THE_PLACE}
        stored = _store(context, name, title, pod(spec, metadata), uid=metadata["uid"])
        if stored is not None:
            subjects[name] = stored
    return subjects


def _account(context: JobsContext, part: str, name: str) -> None:
    """The ServiceAccount that a pod names must be there before any policy looks at the pod."""
    if name != "default":
        metadata = {"name": name, "namespace": context.namespace(part)}
        context.kube.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})


def _ask(context: JobsContext, name: str, part: str, subject: Object) -> Request:
    record = _dry_run(context, part, name, subject)
    context.env.recording.writer.add(record)
    return record


def _dry_run(context: JobsContext, part: str, name: str, subject: Object) -> Request:
    namespace = context.namespace(part)
    if subject["kind"] == "Deployment":
        path = resource_path("apps/v1", "deployments", namespace=namespace)
    else:
        path = pods_path(namespace)
    body = {**subject, "metadata": {**subject["metadata"], "name": name.rpartition("/")[2]}}
    answer = context.kube.request("POST", path, body=body, query={"dryRun": "All"})
    return Request(
        context.now(), context.track, name, "POST", path, answer.code, body, answer.body, answer.warnings
    )
