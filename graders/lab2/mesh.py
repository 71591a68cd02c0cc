"""Mesh policy, computed from manifests: who may call whom, and whether what they say is encrypted; pure.

Istio by the API reference of security.istio.io: PeerAuthentication from the workload to the namespace to
the mesh, AuthorizationPolicy with DENY before ALLOW. Linkerd by policy.linkerd.io: Server,
AuthorizationPolicy, MeshTLSAuthentication, and the default of the namespace.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from graders.kube.networkpolicies import matches
from graders.lab2.names import CACHE, NAMESPACE, WEB

Objects = Sequence[Mapping[str, Any]]

LABELS = {name: {"app.kubernetes.io/name": name} for name in (WEB, CACHE)}
PORTS = {WEB: 8080, CACHE: 6379}
PAIRS = {("gateway", "gateway", WEB), ("web", "web", CACHE)}
"""Who may call whom: namespace and ServiceAccount of the caller, and the workload."""
CALLERS = (
    ("gateway", "gateway"), ("web", "web"), ("web", "cache"), ("web", "default"), ("gateway", "default"),
    ("dev-tools", "web"), ("dev-tools", "gateway"), ("lab-elsewhere", "gateway"), ("", ""),
)  # fmt: skip
"""Whose calls are tried; the last has no identity."""
_ROOT = "istio-system"
_DEFAULT_INBOUND = "config.linkerd.io/default-inbound-policy"
_EXPORTED = "mirror.linkerd.io/exported"


def mesh_problems(mesh: str, objects: Objects) -> Iterator[tuple[str, str]]:
    """What is wrong with the manifests of a mesh: expected and observed."""
    yield from (_istio(objects) if mesh == "istio" else _linkerd(objects))


def _istio(objects: Objects) -> Iterator[tuple[str, str]]:
    for workload, port in PORTS.items():
        modes = mtls_modes(objects, LABELS[workload], port)
        if modes != {"STRICT"}:
            yield f"mutual TLS of {workload}:{port} is STRICT", f"it is {' or '.join(sorted(modes))}"
        for other in _port_overrides(objects, LABELS[workload]) - {port}:
            if (odd := mtls_modes(objects, LABELS[workload], other)) != {"STRICT"}:
                yield f"mutual TLS of {workload}:{other} is STRICT", f"it is {' or '.join(sorted(odd))}"
    policies = _of(objects, "AuthorizationPolicy", "security.istio.io/")
    if not any(_denies_all(each) for each in policies):
        yield f"an AuthorizationPolicy in {NAMESPACE} that allows nothing", "there is none"
    yield from _callers(lambda *call: _istio_allows(policies, *call))
    servers = [
        s
        for each in _of(objects, "Gateway", "networking.istio.io/")
        for s in _spec(each).get("servers") or ()
    ]
    through = [each for each in servers if (each.get("tls") or {}).get("mode") == "AUTO_PASSTHROUGH"]
    if not any(_for_web(host) for each in through for host in each.get("hosts") or ()):
        yield "a Gateway server with AUTO_PASSTHROUGH for web", "there is none"


def mtls_modes(objects: Objects, labels: Mapping[str, str], port: int) -> set[str]:
    """The effective modes of a port: one, unless two policies of the same reach contradict each other."""
    reaches: list[list[Mapping[str, Any]]] = [[], [], []]
    for each in _of(objects, "PeerAuthentication", "security.istio.io/"):
        namespace, selector = _namespace(each), _spec(each).get("selector")
        if namespace == NAMESPACE and selector and matches(selector, labels):
            reaches[0].append(each)
        elif namespace == NAMESPACE and not selector:
            reaches[1].append(each)
        elif namespace == _ROOT and not selector:
            reaches[2].append(each)
    for nth, policies in enumerate(reaches):
        found = {_mode(each, port if nth == 0 else None) for each in policies} - {""}
        if found:
            return found
    return {"PERMISSIVE"}


def _mode(policy: Mapping[str, Any], port: int | None) -> str:
    spec = _spec(policy)
    ports = {str(key): value for key, value in (spec.get("portLevelMtls") or {}).items()}
    for said in (ports.get(str(port)), spec.get("mtls")):
        mode = str((said or {}).get("mode", "")).upper()
        if mode not in ("", "UNSET"):
            return mode
    return ""


def _port_overrides(objects: Objects, labels: Mapping[str, str]) -> set[int]:
    found = set()
    for each in _of(objects, "PeerAuthentication", "security.istio.io/"):
        if _namespace(each) == NAMESPACE and matches(_spec(each).get("selector"), labels):
            found |= {int(key) for key in _spec(each).get("portLevelMtls") or {} if str(key).isdecimal()}
    return found


def _denies_all(policy: Mapping[str, Any]) -> bool:
    spec = _spec(policy)
    everywhere = _namespace(policy) in (NAMESPACE, _ROOT) and not spec.get("selector")
    return everywhere and str(spec.get("action", "ALLOW")).upper() == "ALLOW" and not spec.get("rules")


def _istio_allows(policies: Objects, namespace: str, account: str, workload: str, port: int) -> bool:
    acting: dict[str, list[Mapping[str, Any]]] = {}
    for each in policies:
        spec = _spec(each)
        if _namespace(each) in (NAMESPACE, _ROOT) and matches(spec.get("selector"), LABELS[workload]):
            acting.setdefault(str(spec.get("action", "ALLOW")).upper(), []).append(each)
    principal = f"cluster.local/ns/{namespace}/sa/{account}" if account else ""

    def hit(policy: Mapping[str, Any]) -> bool:
        return any(
            _rule_hits(rule or {}, principal, namespace, port) for rule in _spec(policy).get("rules") or ()
        )

    if any(hit(each) for each in acting.get("DENY", ())):
        return False
    allowing = acting.get("ALLOW", ())
    return not allowing or any(hit(each) for each in allowing)


def _rule_hits(rule: Mapping[str, Any], principal: str, namespace: str, port: int) -> bool:
    sources = [each.get("source") or {} for each in rule.get("from") or ()]
    operations = [each.get("operation") or {} for each in rule.get("to") or ()]
    by_source = not sources or any(_source_hits(each, principal, namespace) for each in sources)
    return by_source and (not operations or any(_operation_hits(each, port) for each in operations))


def _source_hits(source: Mapping[str, Any], principal: str, namespace: str) -> bool:
    account = principal.rpartition("/")[2]
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


def _for_web(host: Any) -> bool:
    return fnmatchcase(f"{WEB}.{NAMESPACE}.svc.cluster.local", str(host).rpartition("/")[2])


def _linkerd(objects: Objects) -> Iterator[tuple[str, str]]:
    spaces = [each for each in _of(objects, "Namespace", "v1") if each["metadata"]["name"] == NAMESPACE]
    noted = {((each["metadata"].get("annotations")) or {}).get(_DEFAULT_INBOUND) for each in spaces}
    if noted != {"deny"}:
        yield f"{_DEFAULT_INBOUND}: deny on the namespace {NAMESPACE}", f"it is {next(iter(noted), None)}"
    yield from _callers(lambda *call: _linkerd_allows(objects, *call))
    for each in _of(objects, "Service", "v1"):
        labels = each["metadata"].get("labels") or {}
        if (_namespace(each), each["metadata"]["name"]) == (NAMESPACE, WEB) and labels.get(_EXPORTED):
            return
    yield f"Service {WEB} exported by the label {_EXPORTED}", "it is not"


def _linkerd_allows(objects: Objects, namespace: str, account: str, workload: str, port: int) -> bool:
    servers = [
        each
        for each in _of(objects, "Server", "policy.linkerd.io/")
        if _namespace(each) == NAMESPACE
        and matches(_spec(each).get("podSelector"), LABELS[workload])
        and _spec(each).get("port") in (port, str(port), "http", "redis")
    ]
    if any(str(_spec(each).get("accessPolicy", "deny")) != "deny" for each in servers):
        return True
    targets = {("Server", each["metadata"]["name"]) for each in servers} | {("Namespace", NAMESPACE)}
    for policy in _of(objects, "AuthorizationPolicy", "policy.linkerd.io/"):
        target = _spec(policy).get("targetRef") or {}
        if _namespace(policy) != NAMESPACE or (target.get("kind"), target.get("name")) not in targets:
            continue
        if all(
            _authenticates(objects, each, namespace, account)
            for each in _spec(policy).get("requiredAuthenticationRefs") or ()
        ):
            return True
    return False


def _authenticates(objects: Objects, ref: Mapping[str, Any], namespace: str, account: str) -> bool:
    if ref.get("kind") == "ServiceAccount":
        return (ref.get("namespace", NAMESPACE), ref.get("name")) == (namespace, account)
    if ref.get("kind") != "MeshTLSAuthentication":
        return True
    identity = f"{account}.{namespace}.serviceaccount.identity.linkerd.cluster.local"
    for each in _of(objects, "MeshTLSAuthentication", "policy.linkerd.io/"):
        if each["metadata"]["name"] != ref.get("name"):
            continue
        if account and any(fnmatchcase(identity, str(i)) for i in _spec(each).get("identities") or ()):
            return True
        for known in _spec(each).get("identityRefs") or ():
            if (known.get("namespace", _namespace(each)), known.get("name")) == (namespace, account):
                return True
    return False


def _callers(allows: Any) -> Iterator[tuple[str, str]]:
    for workload, port in PORTS.items():
        for namespace, account in CALLERS:
            wanted = (namespace, account, workload) in PAIRS
            if allows(namespace, account, workload, port) is not wanted:
                who = f"{account} of {namespace}" if account else "somebody without an identity"
                verb = "may" if wanted else "may not"
                yield f"{who} {verb} call {workload}:{port}", "it may" if not wanted else "it may not"


def _of(objects: Objects, kind: str, version: str) -> list[Mapping[str, Any]]:
    return [
        each
        for each in objects
        if each.get("kind") == kind and str(each.get("apiVersion", "")).startswith(version)
    ]


def _spec(item: Mapping[str, Any]) -> Mapping[str, Any]:
    return item.get("spec") or {}


def _namespace(item: Mapping[str, Any]) -> str:
    return str(item["metadata"].get("namespace", ""))
