"""Mesh policy, computed from manifests: who may call whom, and whether what they say is encrypted; pure.

Istio by the API reference of security.istio.io: PeerAuthentication from the workload to the namespace to
the mesh, AuthorizationPolicy with DENY before ALLOW. Linkerd by policy.linkerd.io: Server,
AuthorizationPolicy, MeshTLSAuthentication; the default of the namespace is not among what is asked here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from graders.kube.networkpolicies import matches

Objects = Sequence[Mapping[str, Any]]

ROOT_NAMESPACE = "istio-system"
_ISTIO, _LINKERD = "security.istio.io/", "policy.linkerd.io/"
_ROUTES = ("HTTPRoute", "GRPCRoute")


@dataclass(frozen=True)
class MeshWorkload:
    """What is called: pods of a namespace by their labels, on a port that may have names."""

    namespace: str
    labels: Mapping[str, str]
    port: int
    port_names: tuple[str, ...] = ()


@dataclass(frozen=True)
class MeshCaller:
    """Who calls: a ServiceAccount; without an `account`, somebody who has no identity."""

    namespace: str
    account: str


def mtls_modes(objects: Objects, workload: MeshWorkload) -> set[str]:
    """Istio's effective modes of the port: one, unless two policies of one reach contradict each other."""
    reaches: list[list[Mapping[str, Any]]] = [[], [], []]
    for each in of_kind(objects, "PeerAuthentication", _ISTIO):
        namespace, selector = namespace_of(each), spec_of(each).get("selector")
        if namespace == workload.namespace and selector and matches(selector, workload.labels):
            reaches[0].append(each)
        elif namespace == workload.namespace and not selector:
            reaches[1].append(each)
        elif namespace == ROOT_NAMESPACE and not selector:
            reaches[2].append(each)
    for nth, policies in enumerate(reaches):
        found = {_mode(each, workload.port if nth == 0 else None) for each in policies} - {""}
        if found:
            return found
    return {"PERMISSIVE"}


def overridden_ports(objects: Objects, workload: MeshWorkload) -> set[int]:
    """The ports for which Istio has a mode of their own."""
    found = set()
    for each in of_kind(objects, "PeerAuthentication", _ISTIO):
        if namespace_of(each) == workload.namespace and matches(
            spec_of(each).get("selector"), workload.labels
        ):
            found |= {int(key) for key in spec_of(each).get("portLevelMtls") or {} if str(key).isdecimal()}
    return found


def istio_denies_all(objects: Objects, namespace: str) -> bool:
    """Whether an AuthorizationPolicy of the namespace, or of the mesh, allows nothing at all."""
    for each in _of_workloads(objects):
        spec = spec_of(each)
        everywhere = namespace_of(each) in (namespace, ROOT_NAMESPACE) and not spec.get("selector")
        if everywhere and str(spec.get("action", "ALLOW")).upper() == "ALLOW" and not spec.get("rules"):
            return True
    return False


def istio_allows(objects: Objects, caller: MeshCaller, workload: MeshWorkload) -> bool:
    """Whether Istio lets a call through."""
    acting: dict[str, list[Mapping[str, Any]]] = {}
    for each in _of_workloads(objects):
        spec, inside = spec_of(each), namespace_of(each) in (workload.namespace, ROOT_NAMESPACE)
        if inside and matches(spec.get("selector"), workload.labels):
            acting.setdefault(str(spec.get("action", "ALLOW")).upper(), []).append(each)

    def hit(policy: Mapping[str, Any]) -> bool:
        rules = spec_of(policy).get("rules") or ()
        return any(_rule_hits(rule or {}, caller, workload.port) for rule in rules)

    if any(hit(each) for each in acting.get("DENY", ())):
        return False
    allowing = acting.get("ALLOW", ())
    return not allowing or any(hit(each) for each in allowing)


def istio_ports(objects: Objects) -> set[int]:
    """The ports that authorization policies of Istio name."""
    rules = [
        rule or {}
        for each in of_kind(objects, "AuthorizationPolicy", _ISTIO)
        for rule in spec_of(each).get("rules") or ()
    ]
    operations = [each.get("operation") or {} for rule in rules for each in rule.get("to") or ()]
    named = [port for each in operations for port in each.get("ports") or ()]
    return {int(port) for port in named if str(port).isdecimal()}


def _of_workloads(objects: Objects) -> list[Mapping[str, Any]]:
    """Istio's authorization policies but those of a gateway or waypoint, which no workload heeds."""
    return [
        each
        for each in of_kind(objects, "AuthorizationPolicy", _ISTIO)
        if not (spec_of(each).get("targetRefs") or spec_of(each).get("targetRef"))
    ]


def linkerd_ports(objects: Objects) -> set[int]:
    """The ports, by their numbers, that have a Server of Linkerd."""
    ports = [str(spec_of(each).get("port")) for each in of_kind(objects, "Server", _LINKERD)]
    return {int(port) for port in ports if port.isdecimal()}


def linkerd_allows(objects: Objects, caller: MeshCaller, workload: MeshWorkload) -> bool:
    """Whether Linkerd lets a call through that the default of the namespace would deny."""
    servers = [
        each
        for each in of_kind(objects, "Server", _LINKERD)
        if namespace_of(each) == workload.namespace
        and matches(spec_of(each).get("podSelector"), workload.labels)
        and spec_of(each).get("port") in (workload.port, str(workload.port), *workload.port_names)
    ]
    if any(str(spec_of(each).get("accessPolicy", "deny")) != "deny" for each in servers):
        return True
    older = of_kind(objects, "ServerAuthorization", _LINKERD)
    if any(_lets_in(each, servers, caller, workload.namespace) for each in older):
        return True
    targets = {("Server", each["metadata"]["name"]) for each in servers} | {("Namespace", workload.namespace)}
    targets |= _routes_of(objects, targets, workload.namespace)
    for policy in of_kind(objects, "AuthorizationPolicy", _LINKERD):
        target = spec_of(policy).get("targetRef") or {}
        if namespace_of(policy) != workload.namespace:
            continue
        if (target.get("kind"), target.get("name")) in targets and all(
            _authenticates(objects, each, caller, workload.namespace)
            for each in spec_of(policy).get("requiredAuthenticationRefs") or ()
        ):
            return True
    return False


def _routes_of(objects: Objects, servers: set[tuple[str, str]], namespace: str) -> set[tuple[str, str]]:
    """The routes that are attached to one of these Servers: who may use one may call, if not every path."""
    return {
        (kind, each["metadata"]["name"])
        for kind in _ROUTES
        for each in of_kind(objects, kind, "")
        if namespace_of(each) == namespace
        and any((up.get("kind"), up.get("name")) in servers for up in spec_of(each).get("parentRefs") or ())
    }


def of_kind(objects: Objects, kind: str, version: str) -> list[Mapping[str, Any]]:
    """The objects of a kind whose apiVersion begins like `version`."""
    return [
        each
        for each in objects
        if each.get("kind") == kind and str(each.get("apiVersion", "")).startswith(version)
    ]


def spec_of(item: Mapping[str, Any]) -> Mapping[str, Any]:
    """Its spec; empty where it has none."""
    return item.get("spec") or {}


def namespace_of(item: Mapping[str, Any]) -> str:
    """Its namespace; empty where it names none."""
    return str(item["metadata"].get("namespace", ""))


def _mode(policy: Mapping[str, Any], port: int | None) -> str:
    spec = spec_of(policy)
    ports = {str(key): value for key, value in (spec.get("portLevelMtls") or {}).items()}
    for said in (ports.get(str(port)), spec.get("mtls")):
        mode = str((said or {}).get("mode", "")).upper()
        if mode not in ("", "UNSET"):
            return mode
    return ""


def _rule_hits(rule: Mapping[str, Any], caller: MeshCaller, port: int) -> bool:
    sources = [each.get("source") or {} for each in rule.get("from") or ()]
    operations = [each.get("operation") or {} for each in rule.get("to") or ()]
    by_source = not sources or any(_source_hits(each, caller) for each in sources)
    by_operation = not operations or any(_operation_hits(each, port) for each in operations)
    return (
        by_source and by_operation and all(_condition_holds(c, caller, port) for c in rule.get("when") or ())
    )


def _condition_holds(condition: Mapping[str, Any], caller: MeshCaller, port: int) -> bool:
    """A condition on what no call here has, a header or an address, is taken to hold."""
    namespace, account = caller.namespace, caller.account
    value = {
        "source.principal": f"cluster.local/ns/{namespace}/sa/{account}" if account else "",
        "source.namespace": namespace,
        "source.serviceAccount": f"{namespace}/{account}" if account else "",
        "destination.port": str(port),
    }.get(str(condition.get("key")))
    if value is None:
        return True
    wanted, unwanted = condition.get("values") or (), condition.get("notValues") or ()
    hit = not wanted or any(value and fnmatchcase(value, str(each)) for each in wanted)
    return hit and not any(value and fnmatchcase(value, str(each)) for each in unwanted)


def _source_hits(source: Mapping[str, Any], caller: MeshCaller) -> bool:
    namespace, account = caller.namespace, caller.account
    principal = f"cluster.local/ns/{namespace}/sa/{account}" if account else ""
    tried = {"principals": principal, "namespaces": namespace, "serviceAccounts": f"{namespace}/{account}"}
    for key, value in tried.items():
        unwanted = source.get(f"not{key[0].upper()}{key[1:]}")
        if source.get(key) and not any(value and fnmatchcase(value, str(each)) for each in source[key]):
            return False
        if unwanted and any(value and fnmatchcase(value, str(each)) for each in unwanted):
            return False
    return True


def _operation_hits(operation: Mapping[str, Any], port: int) -> bool:
    ports, unwanted = operation.get("ports"), operation.get("notPorts") or ()
    return (not ports or str(port) in map(str, ports)) and str(port) not in map(str, unwanted)


def _lets_in(older: Mapping[str, Any], servers: Objects, caller: MeshCaller, namespace: str) -> bool:
    """Whether a ServerAuthorization, the older kind, lets a caller in to one of these Servers."""
    server, client = spec_of(older).get("server") or {}, spec_of(older).get("client") or {}
    about = [
        each
        for each in servers
        if each["metadata"]["name"] == server.get("name")
        or (server.get("selector") and matches(server["selector"], each["metadata"].get("labels") or {}))
    ]
    if namespace_of(older) != namespace or not about:
        return False
    tls = client.get("meshTLS") or {}
    accounts = [
        (each.get("namespace", namespace), each.get("name")) for each in tls.get("serviceAccounts") or ()
    ]
    return bool(
        client.get("unauthenticated")
        or tls.get("unauthenticatedTLS")
        or (
            caller.account
            and any(fnmatchcase(_identity(caller), str(i)) for i in tls.get("identities") or ())
        )
        or (caller.namespace, caller.account) in accounts
    )


def _identity(caller: MeshCaller) -> str:
    return f"{caller.account}.{caller.namespace}.serviceaccount.identity.linkerd.cluster.local"


def _authenticates(objects: Objects, ref: Mapping[str, Any], caller: MeshCaller, namespace: str) -> bool:
    who = (caller.namespace, caller.account)
    if ref.get("kind") == "ServiceAccount":
        return (ref.get("namespace", namespace), ref.get("name")) == who
    if ref.get("kind") != "MeshTLSAuthentication":
        return True
    identity = _identity(caller)
    for each in of_kind(objects, "MeshTLSAuthentication", _LINKERD):
        if (namespace_of(each), each["metadata"]["name"]) != (
            ref.get("namespace", namespace),
            ref.get("name"),
        ):
            continue
        if caller.account and any(
            fnmatchcase(identity, str(i)) for i in spec_of(each).get("identities") or ()
        ):
            return True
        for known in spec_of(each).get("identityRefs") or ():
            if known.get("kind") == "Namespace":
                if caller.account and known.get("name") == caller.namespace:
                    return True
            elif (known.get("namespace", namespace_of(each)), known.get("name")) == who:
                return True
    return False
