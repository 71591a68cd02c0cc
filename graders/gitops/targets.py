"""Where objects of the hub lead: to the fleet's repository and clusters, to no system namespace; pure."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from graders.documents.document import Location
from graders.gitops.manifests import Misfit
from graders.gitops.seam import FleetShape

_OURS = re.compile(r"\$\{LAB_GIT_URL\}|http://127\.0\.0\.1:[0-9]+/")
"""As it is handed in, and with the grader's value in its place."""
_TEMPLATE = "{{"
_IN_CLUSTER = "https://kubernetes.default.svc"
_HUB = "in-cluster"
_SYSTEM = "kube-"
_ASKING = ("scmProvider", "pullRequest", "plugin")
"""Generators of an ApplicationSet that ask somebody else, at an address of their own."""


def elsewhere(item: Mapping[str, Any], shape: FleetShape) -> Misfit | None:
    """The first place of an object that leads out of the fleet; what a template fills in is not known yet.

    An AppProject only says what would be allowed.
    """
    if item.get("kind") == "AppProject":
        return None
    if item.get("kind") == "GitRepository":
        return _address(("spec", "url"), (item.get("spec") or {}).get("url"))
    return next((found for at, each in _mappings(item, ()) if (found := _leads_out(at, each, shape))), None)


def _leads_out(at: Location, item: Mapping[str, Any], shape: FleetShape) -> Misfit | None:
    return (
        _repository(at, item)
        or _generator(at, item)
        or _kubeconfig(at, item, shape)
        or _destination(at, item, shape)
    )


def _repository(at: Location, item: Mapping[str, Any]) -> Misfit | None:
    return _address((*at, "repoURL"), item.get("repoURL"))


def _generator(at: Location, item: Mapping[str, Any]) -> Misfit | None:
    if (
        at[-2:-1] != ("generators",)
        or (asking := next((each for each in _ASKING if each in item), None)) is None
    ):
        return None
    return (
        f"the generator {asking} asks somebody who cannot be reached",
        (*at, asking),
        "make the Applications of list, git or clusters, or of matrix and merge of these",
    )


def _address(at: Location, url: Any) -> Misfit | None:
    if not isinstance(url, str) or _TEMPLATE in url or _OURS.match(url):
        return None
    return (
        f"{url[:100]!r} is not the fleet's repository, and nothing else can be reached",
        at,
        "write ${LAB_GIT_URL}, and copy what is needed into the submission",
    )


def _kubeconfig(at: Location, item: Mapping[str, Any], shape: FleetShape) -> Misfit | None:
    if at != ("spec",) or (config := item.get("kubeConfig")) is None:
        return None
    names = [f"{name}-kubeconfig" for name in shape.environments]
    secret = config.get("secretRef") if isinstance(config, Mapping) else None
    named = secret.get("name") if isinstance(secret, Mapping) else None
    if named in names:
        return None
    return (
        f"{str(named)[:100]!r} leads to no cluster of the fleet" if named else "kubeConfig names no Secret",
        (*at, "kubeConfig", *(("secretRef", "name") if named else ())),
        f"write kubeConfig: {{secretRef: {{name: …}}}}, with one of {', '.join(names)}",
    )


def _destination(at: Location, item: Mapping[str, Any], shape: FleetShape) -> Misfit | None:
    if str(item.get("targetNamespace", "")).startswith(_SYSTEM):
        return _system(str(item["targetNamespace"]), (*at, "targetNamespace"), shape)
    destination = item.get("destination")
    if not isinstance(destination, Mapping):
        return None
    clusters = (*shape.environments, _HUB)
    for key, known in (("name", clusters), ("server", (_IN_CLUSTER,))):
        named = str(destination.get(key, ""))
        if named and _TEMPLATE not in named and named not in known:
            return (
                f"{named[:100]!r} is no cluster of the fleet",
                (*at, "destination", key),
                f"name one of {', '.join(clusters)}",
            )
    namespace = str(destination.get("namespace", ""))
    if namespace.startswith(_SYSTEM):
        return _system(namespace, (*at, "destination", "namespace"), shape)
    return None


def _system(namespace: str, at: Location, shape: FleetShape) -> Misfit:
    return (
        f"the namespace {namespace[:100]!r} is the cluster's own",
        at,
        f"deploy to {shape.namespace}: the engine may write in no other namespace",
    )


def _mappings(item: Any, at: Location) -> Iterator[tuple[Location, Mapping[str, Any]]]:
    if isinstance(item, Mapping):
        yield at, item
        for key, value in item.items():
            yield from _mappings(value, (*at, key))
    elif isinstance(item, list):
        for index, value in enumerate(item):
            yield from _mappings(value, (*at, index))
