"""What a mesh's manifests are to say of web and cache: who may call them, and that it is encrypted; pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from graders.kube.meshes import (
    MeshCaller,
    MeshWorkload,
    Objects,
    istio_allows,
    istio_denies_all,
    linkerd_allows,
    mtls_modes,
    namespace_of,
    of_kind,
    overridden_ports,
    spec_of,
)
from graders.lab2.names import CACHE, NAMESPACE, WEB

_PORTS = {WEB: 8080, CACHE: 6379}
_NAMES = ("http", "redis")
PAIRS = {("gateway", "gateway", WEB), ("web", "web", CACHE)}
"""Who may call whom: namespace and ServiceAccount of the caller, and the workload."""
CALLERS = (
    ("gateway", "gateway"), ("web", "web"), ("web", "cache"), ("web", "default"), ("gateway", "default"),
    ("dev-tools", "web"), ("dev-tools", "gateway"), ("lab-elsewhere", "gateway"), ("", ""),
)  # fmt: skip
"""Whose calls are tried; the last has no identity."""
_DEFAULT_INBOUND = "config.linkerd.io/default-inbound-policy"
_EXPORTED = "mirror.linkerd.io/exported"


def mesh_problems(mesh: str, objects: Objects) -> Iterator[tuple[str, str]]:
    """What is wrong with the manifests of a mesh: expected and observed."""
    yield from (_istio(objects) if mesh == "istio" else _linkerd(objects))


def misshapen(mesh: str, objects: Objects) -> str:
    """Which manifest has a field that is of another type than any reader of it expects; empty where none has.

    A dash or a key too few makes one, and nobody has asked an API server what it says of these manifests.
    """
    if not (problem := _unreadable(mesh, objects)):
        return ""
    for each in objects:
        if own := _unreadable(mesh, [each]):
            return f"{each['kind']} {each['metadata']['name']}: {own}"
    return problem


def _unreadable(mesh: str, objects: Objects) -> str:
    try:
        list(mesh_problems(mesh, objects))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        return f"a field is of another type: {str(error)[:200]}"
    return ""


def _workload(name: str, port: int | None = None) -> MeshWorkload:
    labels = {"app.kubernetes.io/name": name}
    return MeshWorkload(NAMESPACE, labels, _PORTS[name] if port is None else port, _NAMES)


def _istio(objects: Objects) -> Iterator[tuple[str, str]]:
    for name, port in _PORTS.items():
        modes = mtls_modes(objects, _workload(name))
        if modes != {"STRICT"}:
            yield f"mutual TLS of {name}:{port} is STRICT", f"it is {' or '.join(sorted(modes))}"
        for other in overridden_ports(objects, _workload(name)) - {port}:
            if (odd := mtls_modes(objects, _workload(name, other))) != {"STRICT"}:
                yield f"mutual TLS of {name}:{other} is STRICT", f"it is {' or '.join(sorted(odd))}"
    if not istio_denies_all(objects, NAMESPACE):
        yield f"an AuthorizationPolicy in {NAMESPACE} that allows nothing", "there is none"
    yield from _callers(objects, istio_allows)
    servers: list[Mapping[str, Any]] = [
        server
        for each in of_kind(objects, "Gateway", "networking.istio.io/")
        for server in spec_of(each).get("servers") or ()
    ]
    through = [each for each in servers if (each.get("tls") or {}).get("mode") == "AUTO_PASSTHROUGH"]
    if not any(_for_web(host) for each in through for host in each.get("hosts") or ()):
        yield "a Gateway server with AUTO_PASSTHROUGH for web", "there is none"


def _for_web(host: Any) -> bool:
    return fnmatchcase(f"{WEB}.{NAMESPACE}.svc.cluster.local", str(host).rpartition("/")[2])


def _linkerd(objects: Objects) -> Iterator[tuple[str, str]]:
    spaces = [each for each in of_kind(objects, "Namespace", "v1") if each["metadata"]["name"] == NAMESPACE]
    noted = {((each["metadata"].get("annotations")) or {}).get(_DEFAULT_INBOUND) for each in spaces}
    if noted != {"deny"}:
        yield f"{_DEFAULT_INBOUND}: deny on the namespace {NAMESPACE}", f"it is {next(iter(noted), None)}"
    yield from _callers(objects, linkerd_allows)
    for each in of_kind(objects, "Service", "v1"):
        labels = each["metadata"].get("labels") or {}
        if (namespace_of(each), each["metadata"]["name"]) == (NAMESPACE, WEB) and labels.get(_EXPORTED):
            return
    yield f"Service {WEB} exported by the label {_EXPORTED}", "it is not"


def _callers(
    objects: Objects, allows: Callable[[Objects, MeshCaller, MeshWorkload], bool]
) -> Iterator[tuple[str, str]]:
    for name, port in _PORTS.items():
        for namespace, account in CALLERS:
            wanted = (namespace, account, name) in PAIRS
            if allows(objects, MeshCaller(namespace, account), _workload(name)) is not wanted:
                who = f"{account} of {namespace}" if account else "somebody without an identity"
                verb = "may" if wanted else "may not"
                yield f"{who} {verb} call {name}:{port}", "it may" if not wanted else "it may not"
