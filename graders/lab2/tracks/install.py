"""The fleet comes up from Git: the hub's objects are applied once, all else is the engine's."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from graders.admission.kinds import kind_of, namespace_of
from graders.faults import BadSubmission
from graders.gitops.hub import HUB_FOLDER
from graders.gitops.manifests import refused, written
from graders.kube.paths import resource_path
from graders.kube.workloads import is_ready, why_without_pods
from graders.lab2.context import FleetContext
from graders.lab2.engines import TOKEN
from graders.lab2.images import digest_of
from graders.lab2.names import CACHE, ENVIRONMENTS, NAMESPACE, SERVING
from graders.polling import NotYet
from graders.scenario.fleet import LiveCluster
from graders.scenario.tracks import Missed

MOST_DEPLOYED = 100
"""Objects of the hub that have the engine deploy: more would be a trial of the machine."""
_DEPLOY = ("applications", "kustomizations")
_MAKER = "ApplicationSet"
_SEALED = resource_path("bitnami.com/v1alpha1", "sealedsecrets", namespace=NAMESPACE, name=TOKEN.name)
INSTALLED_WITHIN_S = 60.0
"""So much longer than a promotion may the first one take."""


def install(context: FleetContext) -> None:
    """Apply hub/, and wait until every spoke has everything.

    Raises:
        BadSubmission: the hub's API server refuses an object of hub/.
    """
    fleet, namespace = context.fleet, context.fleet.setup.namespace
    context.mark("applied")
    for item in sorted(fleet.hub_objects, key=lambda each: each["kind"] != "AppProject"):
        metadata: dict[str, Any] = {"namespace": namespace, **item["metadata"]}
        answer = fleet.hub.kube.apply({**item, "metadata": metadata})
        if not answer.ok:
            raise refused(fleet.manager.checkout(), HUB_FOLDER, item, "the hub", answer.message)
    complaints = [""]
    limit_s, began = context.promises.promote_s + INSTALLED_WITHIN_S, context.now()
    try:
        context.wait(SERVING, lambda: _told(context, _serving, complaints), limit_s)
    except Missed as missed:
        fleet.lacking.append(str(missed).removeprefix(f"{SERVING}: "))
        raise
    fleet.came_up.set()
    left_s = max(1.0, limit_s - (context.now() - began) / fleet.scale)
    if context.reached("everything on every spoke", lambda: _told(context, _complete, complaints), left_s):
        context.mark("installed")
    context.settle()


def _told(context: FleetContext, probe: Callable[[FleetContext], None], complaints: list[str]) -> None:
    """As `probe`, with what the engine itself says of it, or said last: between two tries it says nothing."""
    fleet = context.fleet
    check_number(fleet.hub.watches.everything, fleet.setup.watches, fleet.manager.checkout)
    try:
        probe(context)
    except NotYet as mismatch:
        said = context.fleet.setup.complaint(context.fleet.hub) or complaints[-1]
        complaints[:] = [said]
        raise NotYet(f"{mismatch}; {said}" if said else str(mismatch)) from mismatch


def check_number(
    objects: Callable[[str], Sequence[Mapping[str, Any]]], watched: Collection[str], root: Callable[[], Path]
) -> None:
    """See that what is in hub/ does not make too many of itself; `objects` gives those of a resource.

    Raises:
        BadSubmission: it does; names the ApplicationSet that makes the most, where `root` has it.
    """
    for resource in _DEPLOY:
        there = objects(resource) if resource in watched else ()
        if len(there) <= MOST_DEPLOYED:
            continue
        problem = f"makes {len(there)} {resource} or more, and {MOST_DEPLOYED} may be on the hub"
        fix = "look at the generators of ApplicationSets, or at what Kustomizations of the hub hold"
        makers = Counter(
            owner["name"]
            for each in there
            for owner in each.get("metadata", {}).get("ownerReferences") or ()
            if owner["kind"] == _MAKER
        )
        for name, number in makers.most_common(1):
            maker = {"kind": _MAKER, "metadata": {"name": name}}
            for document in written(root(), HUB_FOLDER, maker):
                problem = f"{_MAKER} {name} makes {number} of {problem.removeprefix('makes ')}"
                raise document.refusal(problem, ("spec", "generators"), fix=fix)
        raise BadSubmission(problem, file=HUB_FOLDER, fix=fix)


def _serving(context: FleetContext) -> None:
    for environment in ENVIRONMENTS:
        context.ready(environment, digest_of("v1"))
        cache = context.deployment(environment, CACHE)
        if cache is None or not is_ready(cache):
            raise NotYet(f"cache in {environment} is not ready{why_without_pods(cache)}")


def _complete(context: FleetContext) -> None:
    for environment in ENVIRONMENTS:
        live = context.fleet.spokes[environment]
        declared = context.fleet.declared["policies"]
        for policy in declared:
            kind, name = kind_of(policy, context.fleet.kinds), policy["metadata"]["name"]
            there = (
                live.watches.objects(kind.resource, namespace_of(policy, kind, NAMESPACE)) if kind else {name}
            )
            # A chart may call them after its release, which the grader's rendering does not know.
            as_many = len(there) >= sum(1 for each in declared if each["kind"] == policy["kind"])
            if name not in there and not as_many:
                raise NotYet(f"{policy['kind']} {name} is not in {environment}")
        if live.kube.find(resource_path("v1", "secrets", namespace=NAMESPACE, name=TOKEN.name)) is None:
            raise NotYet(f"Secret {TOKEN.name} is not in {environment}{_why_sealed(live)}")


def _why_sealed(live: LiveCluster) -> str:
    """What the controller of SealedSecrets says against it; empty where that is nothing."""
    sealed = live.kube.find(_SEALED) or {}
    for each in (sealed.get("status") or {}).get("conditions") or ():
        if each.get("status") == "False":
            return f": the SealedSecret {TOKEN.name} cannot be opened: {each.get('message')}"
    return ""
