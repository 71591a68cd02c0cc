"""What may reach what, what may run, what the engine may do, and what is said about all that."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from graders.admission.records import AccessAnswer, MeshAnswer
from graders.evidence.bundle import Bundle
from graders.faults import InfraFault
from graders.judging import Facts, Findings, check
from graders.kube.kustomizeerrors import reason_of
from graders.kube.networkpolicies import Outside, Pod, Port, allowed
from graders.lab2.mesh import DEMAND
from graders.lab2.names import (
    ADMISSION,
    CACHE,
    ENFORCE,
    ENGINE,
    ENVIRONMENTS,
    INSTALL,
    NAMESPACE,
    PAPER,
    RIGHTS,
    SECRETS,
    WEB,
)
from graders.lab2.posture import posture_problems
from graders.lab2.reading import FleetRecord, admitted, attempts_of, denied
from graders.lab2.records import Exposure, Rendering, RepositoryFile, SecretSeen

NAME = "app.kubernetes.io/name"
LEAST_BYTES = 16


@check(
    "netpol",
    tracks=(INSTALL,),
    hint="Two selectors under one dash hold for the same pod; under two dashes any of them does.",
)
def check_netpol(bundle: Bundle, facts: Facts) -> None:
    """The live policies of each spoke let through exactly what was asked for."""
    record = FleetRecord(bundle, INSTALL)
    at = record.need("settled").t
    with Findings() as found:
        for environment in ENVIRONMENTS:
            places = {name for _, name in _named(bundle, environment, "networkpolicies")}
            policies = [
                policy
                for place in places
                for policy in record.at(environment, "networkpolicies", place, at).values()
            ]
            ports = _ports(record, environment, at)
            cases = 0
            for said, source, target, port, wanted in _connections(ports):
                cases += 1
                through = allowed(policies, source, target, port)
                verb = "gets through" if wanted else "is stopped"
                seen = "it gets through" if through else "it is stopped"
                found.expect(through is wanted, f"{environment}: {said} {verb}", seen)
            facts["connections_each"] = cases


def _named(bundle: Bundle, environment: str, resource: str) -> list[tuple[str, str]]:
    return [key for key in bundle.on(environment).watch_events_by_place if key[0] == resource]


def _ports(record: FleetRecord, environment: str, at: float) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for name, deployment in record.at(environment, "deployments", NAMESPACE, at).items():
        containers = deployment["spec"]["template"]["spec"]["containers"]
        named = (port for each in containers for port in each.get("ports") or ())
        found[name] = {str(port["name"]): int(port["containerPort"]) for port in named if port.get("name")}
    return found


def _connections(
    ports: Mapping[str, Mapping[str, int]],
) -> Iterator[tuple[str, Pod, Pod | Outside, Port, bool]]:
    """Each connection that is asked for: in words, its ends, and whether it must get through."""
    web = Pod(NAMESPACE, {NAME: WEB}, "10.0.0.1", ports.get(WEB, {}))
    cache = Pod(NAMESPACE, {NAME: CACHE}, "10.0.0.2", ports.get(CACHE, {}))
    gateway = Pod("gateway", {NAME: "gateway"}, "10.0.0.3")
    dns = Pod("kube-system", {"k8s-app": "kube-dns"}, "10.0.0.4")
    plain = Pod(NAMESPACE, {"app": "anything"}, "10.0.0.5")
    outside = Outside("203.0.113.7")
    strangers = {
        "an unlabelled pod of gateway": Pod("gateway", {}, "10.0.0.6"),
        "a pod of web labelled as gateway": Pod(NAMESPACE, {NAME: "gateway"}, "10.0.0.7"),
        "an unlabelled pod of web": Pod(NAMESPACE, {}, "10.0.0.8"),
        "a pod of dev-tools labelled as web": Pod("dev-tools", {NAME: WEB}, "10.0.0.9"),
    }
    http, redis = Port(8080), Port(6379)
    yield "gateway → web:8080", gateway, web, http, True
    yield "web → cache:6379", web, cache, redis, True
    for name, source in ((WEB, web), (CACHE, cache)):
        for protocol in ("UDP", "TCP"):
            yield f"{name} → DNS:53/{protocol}", source, dns, Port(53, protocol), True
    yield "gateway → cache:6379", gateway, cache, redis, False
    yield "gateway → web:9090", gateway, web, Port(9090), False
    for name, source in strangers.items():
        yield f"{name} → web:8080", source, web, http, False
        yield f"{name} → cache:6379", source, cache, redis, False
    for name, source in ((WEB, web), (CACHE, cache), ("an unlabelled pod of web", plain)):
        yield f"{name} → 203.0.113.7:443", source, outside, Port(443), False


@check("pod-security", tracks=(ADMISSION,))
def check_pod_security(bundle: Bundle, facts: Facts) -> None:
    """Each environment enforces *restricted* in web: what breaks one control is denied, the rest admitted."""
    record = FleetRecord(bundle, ADMISSION)
    looked = record.need("looked").t
    tried = attempts_of(bundle, "restricted")
    facts["pods_tried"] = len(tried)
    with Findings(hint=f"Label the namespace {ENFORCE}: restricted, through Git.") as found:
        for environment in ENVIRONMENTS:
            namespace = record.at(environment, "namespaces", "", looked).get(NAMESPACE, {})
            labels = (namespace.get("metadata") or {}).get("labels") or {}
            found.equal(f"{environment}: {ENFORCE} is", "restricted", labels.get(ENFORCE, "not there"))
        for each in tried:
            case = each.case.partition("/")[2]
            if each.rule:
                found.expect(
                    denied(each) and each.code in (403, 422), f"{each.cluster}: a pod with {case} denied",
                    f"answer {each.code} {each.message[:120]}".strip(),
                )  # fmt: skip
            else:
                found.expect(
                    admitted(each), f"{each.cluster}: a compliant pod admitted",
                    f"answer {each.code} {each.message[:200]}",
                )  # fmt: skip


@check(
    "secrets",
    tracks=(SECRETS,),
    hint="Seal with labs/lab2/sealing.crt, or encrypt for labs/lab2/age.pub; base64 is no encryption.",
)
def check_secrets(bundle: Bundle, facts: Facts) -> None:
    """Each environment has a token of its own, a new one arrives by Git, and no reader of Git sees any."""
    record = FleetRecord(bundle, SECRETS)
    with Findings() as found:
        for where, how in sorted({(e.where, e.how) for e in bundle.records(Exposure)}):
            found.miss(f"{where} has it, {how}", "no secret where others can read it")
        seen = [each for each in bundle.records(SecretSeen) if each.phase == "handed-in"]
        for each in seen:
            long = f"it has {each.length_bytes}"
            found.expect(
                each.length_bytes >= LEAST_BYTES, f"{each.cluster}: {LEAST_BYTES} bytes or more", long
            )
        different = len({each.sha256 for each in seen})
        record.need("replaced")
        found.equal("different tokens:", len(ENVIRONMENTS), different)
        took_s = record.need("arrived").t - record.mark("replaced").t
        limit_s = record.limits.promote_s
        found.expect(took_s <= limit_s, f"new tokens within {limit_s:.0f} s", f"it took {took_s:.1f} s")
        facts["arrived_after_s"] = round(took_s, 1)


@check("rbac", tracks=(RIGHTS,), hint="Look at access/: name resources and namespaces, no `*`.")
def check_rbac(bundle: Bundle, facts: Facts) -> None:
    """The engine may write what it deploys, and nothing else, on every spoke."""
    FleetRecord(bundle, RIGHTS).need("asked")
    answers = bundle.records(AccessAnswer)
    if not answers:
        raise InfraFault("the record has no access reviews")
    facts["questions"] = len(answers)
    with Findings(f"nothing that {ENGINE} does not need") as found:
        for each in answers:
            found.expect(not each.allowed, "", f"on {each.cluster} it may {each}")


@check("mesh", tracks=(PAPER,), hint="Deny by default in mesh/, then allow the two pairs by their accounts.")
def check_mesh(bundle: Bundle) -> None:
    """Mutual TLS everywhere, two pairs that may talk, and a way in for other clusters of the mesh."""
    objects: Sequence[Mapping[str, Any]] = ()
    error = "there is no mesh/"
    for rendering in bundle.records(Rendering):
        if rendering.what == "mesh" and rendering.nth == 1:
            objects, error = rendering.objects, rendering.error
    with Findings() as found:
        if error:
            found.miss(reason_of(error)[:300], "the manifests of a mesh in mesh/")
            return
        mesh = str(bundle.manifest.block.get("mesh", ""))
        answers = bundle.records(MeshAnswer)
        if objects and not answers:
            raise InfraFault("the record has no answers of an API server to the manifests of the mesh")
        for each in answers:
            if each.code >= 300:
                wanted = f"objects that an API server with the kinds of {mesh} takes"
                seen = f"{each.api_version} {each.kind} {each.name}: {each.message}"
                found.miss(seen, wanted, hint=f"Write the object in mesh/ as the reference of {mesh} has it.")
        demand = replace(DEMAND, port_names=(*DEMAND.port_names, *_names_of_ports(bundle)))
        if odd := demand.misshapen(mesh, objects):
            found.miss(odd, "fields in mesh/ of the types that the reference of the mesh gives them")
            return
        for expected, observed in demand.problems(mesh, objects):
            found.miss(observed, expected)


def _names_of_ports(bundle: Bundle) -> set[str]:
    """What the environments call the ports of the workloads: a Server may name one."""
    names: set[str] = set()
    for rendering in bundle.records(Rendering):
        if rendering.what in ENVIRONMENTS and rendering.nth == 1:
            for item in rendering.objects:
                if item["kind"] == "Deployment" and item["metadata"]["name"] in DEMAND.ports:
                    names |= _named_ports(item)
    return names


def _named_ports(deployment: Mapping[str, Any]) -> set[str]:
    try:
        containers = deployment["spec"]["template"]["spec"]["containers"]
        ports = [port for each in containers for port in each.get("ports") or ()]
        known = DEMAND.ports.values()
        return {str(port["name"]) for port in ports if port["containerPort"] in known and "name" in port}
    except (AttributeError, KeyError, TypeError):
        # Nobody has asked an API server yet what it says of it.
        return set()


@check(
    "posture", tracks=(PAPER,), hint="One row for each control: a link to its file, and the id that shows it."
)
def check_posture(bundle: Bundle) -> None:
    """SECURITY.md says for each control where it is and what shows it, and what is left open."""
    files = {each.path: each.text for each in bundle.records(RepositoryFile)}
    with Findings() as found:
        if "SECURITY.md" not in files:
            found.miss("there is none", "a SECURITY.md")
            return
        for expected, observed in posture_problems(files["SECURITY.md"], files):
            found.miss(observed, expected)
