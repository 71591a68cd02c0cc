"""Attempts against the spokes, directly and past the preflight through the engine."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import product

from graders.admission.attempts import against_restricted
from graders.admission.exemptions import exempting_labels
from graders.admission.reviews import questions, single_names
from graders.admission.specimens import deployment, service
from graders.admission.trying import Intruder
from graders.gitops.rights import access_objects
from graders.kube.client import MERGE_PATCH, ApiRefused, Kube
from graders.kube.paths import resource_path
from graders.lab2.attempts import breaking, near_misses, one_of_each, unsigned
from graders.lab2.context import FleetContext
from graders.lab2.engines import SHAPE
from graders.lab2.extras import extra_files, without_extras
from graders.lab2.images import NOT_OURS
from graders.lab2.names import (
    BAD_SERVICE,
    BAD_WORKLOAD,
    BESIDE,
    ELSEWHERE,
    ENGINE,
    ENVIRONMENTS,
    FOREIGN_NAMESPACES,
    INTRUDER,
    LABELLED,
    NAMESPACE,
)
from graders.polling import NotYet

_LABELS_KNOWN_S = 1.0
"""Who judges hears of a namespace's labels by then."""
_PODS_WITHIN_S = 5.0
"""A workload's pods would be there by then."""


def direct(context: FleetContext) -> None:
    """What breaks a rule, what breaks none, and what breaks *restricted*, on every spoke at once."""
    context.settle()
    # So many at a time as clusters and namespaces of much: more would be a trial of whoever judges.
    places = list(product(ENVIRONMENTS, ((NAMESPACE,), (ELSEWHERE, *BESIDE))))
    labels = {environment: _label(context, environment) for environment in ENVIRONMENTS}
    context.rest("labels that policies may leave out", _LABELS_KNOWN_S)
    with ThreadPoolExecutor(len(places)) as pool:

        def one_by_one(place: tuple[str, tuple[str, ...]]) -> list[tuple[Kube, str]]:
            environment, namespaces = place
            tried = (_try_all(context, environment, each, labels[environment]) for each in namespaces)
            return [each for found in tried for each in found]

        made = [each for found in pool.map(one_by_one, places) for each in found]
        context.rest("pods that must not come", _PODS_WITHIN_S)
        context.check_judges()
        context.mark("looked")
        list(pool.map(lambda each: each[0].request("DELETE", each[1], query=_GONE), made))
    for environment in ENVIRONMENTS:
        _set_labels(context, environment, dict.fromkeys(labels[environment]))
    context.settle("the fleet to settle after the attempts")


def _label(context: FleetContext, environment: str) -> dict[str, str]:
    """Label a namespace with what selectors of the fleet's policies leave out; gives the labels."""
    watches = context.fleet.spokes[environment].watches
    labels = exempting_labels(
        item
        for kind in context.fleet.kinds
        for item in watches.objects(kind.resource, NAMESPACE if kind.namespaced else "").values()
    )
    _set_labels(context, environment, labels)
    return labels


def _set_labels(context: FleetContext, environment: str, labels: Mapping[str, str | None]) -> None:
    if labels:
        path = resource_path("v1", "namespaces", name=LABELLED)
        body = {"metadata": {"labels": labels}}
        context.fleet.spokes[environment].kube.request("PATCH", path, body=body, content_type=MERGE_PATCH)


_GONE = {"propagationPolicy": "Background", "gracePeriodSeconds": 0}


def intruder(context: FleetContext, environment: str, namespace: str = NAMESPACE) -> Intruder:
    """Who tries in a namespace of a spoke what is to be denied there, as an administrator."""
    kube = Kube(context.fleet.spokes[environment].cluster.identities[INTRUDER])
    return Intruder(INTRUDER, kube, environment, namespace, context.track, context.fleet.recording)


def _try_all(
    context: FleetContext, environment: str, namespace: str, labels: Mapping[str, str]
) -> list[tuple[Kube, str]]:
    """Try everything in one namespace; gives what is there now, by path."""
    values, image = context.fleet.values, context.image_of(context.fleet.wanted)
    if namespace in BESIDE:
        given = labels if namespace == LABELLED else {}
        tries = [("direct", each) for each in one_of_each(values.registry, image, namespace, given)]
    else:
        tries = [("direct", each) for each in breaking(values.registry, image, namespace)]
        tries += [("admits", each) for each in near_misses(image, values.cache_image, namespace)]
    if namespace == NAMESPACE:
        for name in NOT_OURS:
            bad = context.image_of(name)
            tries += [("signing", each) for each in unsigned(name, bad, image, namespace)]
        tries += [("restricted", each) for each in against_restricted(image, namespace)]
    by = intruder(context, environment, namespace)
    made = [] if namespace in BESIDE else by.bring_good(image)
    for group, attempt in tries:
        answer, path = by.attempt(group, attempt)
        if answer.ok and attempt.how == "create":
            made.append(path)
    return [(by.kube, path) for path in made]


def through_git(context: FleetContext) -> None:
    """A Deployment without bounds and an exposed Service in every extra/, then taken back."""
    context.settle()
    fleet, promises = context.fleet, context.promises
    bad = deployment(BAD_WORKLOAD, fleet.values.cache_image, NAMESPACE)
    bad["spec"]["template"]["spec"]["containers"][0]["resources"] = {}
    exposed = service(BAD_SERVICE, namespace=NAMESPACE, type="NodePort")
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
        for live in fleet.spokes.values():
            for resource, name in (("deployments", BAD_WORKLOAD), ("services", BAD_SERVICE)):
                version = "apps/v1" if resource == "deployments" else "v1"
                path = resource_path(version, resource, namespace=NAMESPACE, name=name)
                live.kube.request("DELETE", path)


def _was_tried(context: FleetContext) -> None:
    fleet = context.fleet
    for environment in ENVIRONMENTS:
        stored = context.deployment(environment, BAD_WORKLOAD)
        if stored is None and not fleet.setup.tried(fleet.hub, environment, (BAD_WORKLOAD, BAD_SERVICE)):
            raise NotYet(f"{ENGINE} has not tried in {environment}")


def _gone(context: FleetContext) -> None:
    for environment in ENVIRONMENTS:
        if context.deployment(environment, BAD_WORKLOAD) is not None:
            raise NotYet(f"{BAD_WORKLOAD} is still in {environment}")


def rights(context: FleetContext) -> None:
    """Ask each spoke what the engine may do there."""
    with context.in_git():
        access = access_objects(context.fleet.manager.checkout(), SHAPE)
    for environment, live in context.fleet.spokes.items():
        context.mark("asking", environment=environment)
        for question in questions(NAMESPACE, FOREIGN_NAMESPACES, single_names(access[environment])):
            try:
                answered = live.kube.create(
                    "/apis/authorization.k8s.io/v1/subjectaccessreviews", question.review(ENGINE)
                )
            except ApiRefused as refused:
                context.miss("an answer to an access review", str(refused))
            context.fleet.recording.writer.add(question.answered(context.now(), environment, answered))
    context.mark("asked")
