"""Attempts against the spokes, directly and past the preflight through the engine."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import product

from graders.kube.client import Answer, ApiRefused, Kube
from graders.kube.paths import resource_path
from graders.lab2.accessreviews import questions
from graders.lab2.attempts import Attempt, against_restricted, breaking, near_misses, unsigned
from graders.lab2.extras import Manifest, deployment, extra_files, pod, service, without_extras
from graders.lab2.images import NOT_OURS, WEB, digest_of
from graders.lab2.names import BAD_SERVICE, BAD_WORKLOAD, ELSEWHERE, ENGINE, ENVIRONMENTS, INTRUDER, NAMESPACE
from graders.lab2.records import AttemptAnswer
from graders.lab2.stage import FleetContext
from graders.lab2.tracks.drift import STRATEGIC
from graders.polling import NotYet

GOOD = "lab-good"
"""A pod and a Service that break nothing, for attempts that change or extend one."""
_PODS_WITHIN_S = 5.0
"""A workload's pods would be there by then."""
_RESOURCES = {
    "Pod": "pods", "Service": "services", "Deployment": "deployments", "StatefulSet": "statefulsets",
    "Job": "jobs",
}  # fmt: skip


def direct(context: FleetContext) -> None:
    """What breaks a rule, what breaks none, and what breaks *restricted*, on every spoke at once."""
    context.settle()
    places = list(product(ENVIRONMENTS, (NAMESPACE, ELSEWHERE)))
    with ThreadPoolExecutor(len(places)) as pool:
        made = [each for found in pool.map(lambda place: _try_all(context, *place), places) for each in found]
        context.rest("pods that must not come", _PODS_WITHIN_S)
        context.check_judges()
        context.mark("looked")
        list(pool.map(lambda each: each[0].request("DELETE", each[1], query=_GONE), made))
    context.settle("the fleet to settle after the attempts")


_GONE = {"propagationPolicy": "Background", "gracePeriodSeconds": 0}


def _try_all(context: FleetContext, environment: str, namespace: str) -> list[tuple[Kube, str]]:
    """Try everything in one namespace; gives what is there now, by path."""
    stage = context.stage
    kube = Kube(stage.spokes[environment].cluster.identities[INTRUDER])
    image = f"{stage.values.registry}/{WEB}@{digest_of(stage.wanted)}"
    cache = stage.values.cache_image
    tries: list[tuple[str, Attempt]] = [
        ("direct", each) for each in breaking(stage.values.registry, image, namespace)
    ]
    tries += [("admits", each) for each in near_misses(image, cache, namespace)]
    if namespace == NAMESPACE:
        for name in NOT_OURS:
            bad = f"{stage.values.registry}/{WEB}@{digest_of(name)}"
            tries += [("signing", each) for each in unsigned(name, bad, image, namespace)]
        tries += [("restricted", each) for each in against_restricted(image, namespace)]
    goods = [pod(GOOD, image, namespace), service(GOOD, namespace=namespace)]
    made = [(kube, _path(each)) for each in goods if kube.request("POST", _collection(each), body=each).ok]
    for group, attempt in tries:
        answer, path = tried(kube, attempt, namespace)
        kind = str(attempt.object.get("kind", ""))
        name = str((attempt.object.get("metadata") or {}).get("name", GOOD))
        context.stage.recording.writer.add(
            AttemptAnswer(
                context.now(), environment, context.track, f"{group}/{attempt.case}", attempt.rule, INTRUDER,
                kind, namespace, name, answer.code, answer.message if not answer.ok else "",
            )
        )  # fmt: skip
        if answer.ok and attempt.how == "create":
            made.append((kube, path))
    return made


def tried(kube: Kube, attempt: Attempt, namespace: str) -> tuple[Answer, str]:
    """Make an attempt; gives the answer, and the path of the object it is about."""
    if attempt.how == "create":
        return kube.request("POST", _collection(attempt.object), body=attempt.object), _path(attempt.object)
    resource = "services" if attempt.rule == "R4" else "pods"
    path = resource_path("v1", resource, namespace=namespace, name=GOOD)
    if attempt.how == "ephemeral":
        path += "/ephemeralcontainers"
    return kube.request("PATCH", path, body=attempt.object, content_type=STRATEGIC), path


def collection_of(api_version: str, resource: str) -> str:
    """The path of a resource in the namespace of web."""
    return resource_path(api_version, resource, namespace=NAMESPACE)


def _collection(item: Manifest) -> str:
    namespace = item["metadata"]["namespace"]
    return resource_path(item["apiVersion"], _RESOURCES[item["kind"]], namespace=namespace)


def _path(item: Manifest) -> str:
    return f"{_collection(item)}/{item['metadata']['name']}"


def through_git(context: FleetContext) -> None:
    """A Deployment without bounds and an exposed Service in every extra/, then taken back."""
    context.settle()
    stage, promises = context.stage, context.promises
    bad = deployment(BAD_WORKLOAD, stage.values.cache_image)
    bad["spec"]["template"]["spec"]["containers"][0]["resources"] = {}
    exposed = service(BAD_SERVICE, type="NodePort")
    files: dict[str, bytes | None] = {}
    for environment in ENVIRONMENTS:
        files |= extra_files(environment, {"load.yaml": bad, "service.yaml": exposed})
    commit = context.change("Add what breaks the rules", files)
    context.mark("added", commit=commit)
    context.reached("the engine to try", lambda: _was_tried(context), promises.sync_s)
    context.rest("objects that must not come", _PODS_WITHIN_S)
    context.check_judges()
    context.mark("looked")
    context.change("Take it back", without_extras(files))
    context.mark("reverted")
    context.wait("the fleet to settle again", context.settled_probe(), promises.promote_s)
    context.mark("end")
    if not context.reached("what was added to go", lambda: _gone(context), promises.sync_s):
        for live in stage.spokes.values():
            for resource, name in (("deployments", BAD_WORKLOAD), ("services", BAD_SERVICE)):
                version = "apps/v1" if resource == "deployments" else "v1"
                path = resource_path(version, resource, namespace=NAMESPACE, name=name)
                live.kube.request("DELETE", path)


def _was_tried(context: FleetContext) -> None:
    stage = context.stage
    for environment in ENVIRONMENTS:
        stored = context.deployment(environment, BAD_WORKLOAD)
        if stored is None and not stage.setup.tried(stage.hub, environment, (BAD_WORKLOAD, BAD_SERVICE)):
            raise NotYet(f"{ENGINE} has not tried in {environment}")


def _gone(context: FleetContext) -> None:
    for environment in ENVIRONMENTS:
        if context.deployment(environment, BAD_WORKLOAD) is not None:
            raise NotYet(f"{BAD_WORKLOAD} is still in {environment}")


def rights(context: FleetContext) -> None:
    """Ask each spoke what the engine may do there."""
    for environment, live in context.stage.spokes.items():
        context.mark("asking", environment=environment)
        for question in questions():
            try:
                answered = live.kube.create(
                    "/apis/authorization.k8s.io/v1/subjectaccessreviews", question.review(ENGINE)
                )
            except ApiRefused as refused:
                context.miss("an answer to an access review", str(refused))
            context.stage.recording.writer.add(question.answered(context.now(), environment, answered))
    context.mark("asked")
