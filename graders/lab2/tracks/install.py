"""The fleet comes up from Git: the hub's objects are applied once, all else is the engine's."""

from __future__ import annotations

from typing import Any

from graders.faults import BadSubmission
from graders.lab2.deployments import is_ready
from graders.lab2.images import digest_of
from graders.lab2.manifests import engine_namespace
from graders.lab2.names import CACHE, ENVIRONMENTS, HUB
from graders.lab2.policykinds import kind_of, namespace_of
from graders.lab2.stage import FleetContext
from graders.polling import NotYet

INSTALLED_WITHIN_S = 60.0
"""So much longer than a promotion may the first one take."""


def install(context: FleetContext) -> None:
    """Apply hub/, and wait until every spoke has everything.

    Raises:
        BadSubmission: the hub's API server refuses an object of hub/.
    """
    stage, namespace = context.stage, engine_namespace(context.stage.manifest.engine)
    context.mark("applied")
    for item in sorted(stage.hub_objects, key=lambda each: each["kind"] != "AppProject"):
        metadata: dict[str, Any] = {"namespace": namespace, **item["metadata"]}
        answer = stage.hub.kube.apply({**item, "metadata": metadata})
        if not answer.ok:
            raise BadSubmission(
                f"the hub refuses {item['kind']} {metadata.get('name')}: {answer.message}",
                file=HUB, fix="mend what it says",
            )  # fmt: skip
    context.wait("the fleet", lambda: _told(context), context.promises.promote_s + INSTALLED_WITHIN_S)
    context.mark("installed")
    stage.came_up.set()
    context.settle()


def _told(context: FleetContext) -> None:
    """As `_installed`, with what the engine itself says of it."""
    try:
        _installed(context)
    except NotYet as mismatch:
        said = context.stage.setup.complaint(context.stage.hub)
        raise NotYet(f"{mismatch}; {said}" if said else str(mismatch)) from mismatch


def _installed(context: FleetContext) -> None:
    for environment in ENVIRONMENTS:
        context.ready(environment, digest_of("v1"))
        cache = context.deployment(environment, CACHE)
        if cache is None or not is_ready(cache):
            raise NotYet(f"cache in {environment} is not ready")
        watches = context.stage.spokes[environment].watches
        for policy in context.stage.declared["policies"]:
            kind, name = kind_of(policy, context.stage.kinds), policy["metadata"]["name"]
            if kind is not None and name not in watches.objects(kind.resource, namespace_of(policy, kind)):
                raise NotYet(f"{policy['kind']} {name} is not in {environment}")
