"""What is tried directly against a spoke: each attempt breaks one rule, one control, or nothing at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from graders.lab2.extras import Manifest, container, pod, service, workload_of

SHORT = "sha256:abcdef"


@dataclass(frozen=True)
class Attempt:
    """One object to be created, or one change of an object that is good (`how`).

    `rule` is what it breaks; empty: nothing. `how` is `create`, `ephemeral` (a container added to a running
    pod) or `patch` (of the good pod's image or the good Service).
    """

    case: str
    rule: str
    object: Manifest
    how: str = "create"


Change = Callable[[Manifest], None]


def breaking(registry: str, image: str, namespace: str) -> list[Attempt]:
    """Attempts that break R1 to R4; `image` is one that breaks nothing."""
    foreign = "docker.io/library/nginx:1.27"
    whole_digest = image.rpartition("@")[2]
    images = {
        "foreign": foreign,
        "tag": f"{registry}/web:latest",
        "short-digest": f"{registry}/web@{SHORT}",
        "one-digit-more": f"{registry}0/web@{whole_digest}",
        "looks-alike": f"evil.example/{registry}/web@{whole_digest}",
        "long-digest": f"{image}0",
    }

    def made(case: str, change: Change) -> Manifest:
        item = pod(f"lab-{case}", image, namespace)
        change(item)
        return item

    found = [
        Attempt(f"r1-{case}", "R1", made(f"r1-{case}", _first(image=each))) for case, each in images.items()
    ]
    found.append(Attempt("r1-init", "R1", made("r1-init", _init(container(foreign, "init")))))
    found.append(Attempt("r1-ephemeral", "R1", _ephemeral(foreign), "ephemeral"))
    found.append(
        Attempt("r1-changed", "R1", {"spec": {"containers": [{"name": "main", "image": foreign}]}}, "patch")
    )
    bare: Manifest = {"requests": {"cpu": "10m", "memory": "16Mi"}}
    no_cpu: Manifest = {"requests": {"memory": "16Mi"}, "limits": {"memory": "16Mi"}}
    unbounded = {**container(image, "init"), "resources": {}}
    found += [
        Attempt("r2-no-limit", "R2", made("r2-no-limit", _first(resources=bare))),
        Attempt("r2-no-cpu", "R2", made("r2-no-cpu", _first(resources=no_cpu))),
        Attempt("r2-init", "R2", made("r2-init", _init(unbounded))),
    ]
    writable = {**container(image)["securityContext"], "readOnlyRootFilesystem": False}
    unsaid = {key: value for key, value in writable.items() if key != "readOnlyRootFilesystem"}
    found += [
        Attempt("r3-writable", "R3", made("r3-writable", _first(securityContext=writable))),
        Attempt("r3-unsaid", "R3", made("r3-unsaid", _first(securityContext=unsaid))),
        Attempt(
            "r3-init", "R3", made("r3-init", _init({**container(image, "init"), "securityContext": writable}))
        ),
    ]
    for kind, rule, change in (
        ("Deployment", "R1", _first(image=foreign)),
        ("StatefulSet", "R2", _first(resources=bare)),
        ("Job", "R3", _first(securityContext=writable)),
        ("Job", "R1", _first(image=foreign)),
    ):
        case = f"{rule.lower()}-{kind.lower()}"
        found.append(Attempt(case, rule, workload_of(kind, made(case, change))))
    found += [
        Attempt("r4-node-port", "R4", service("lab-r4-node-port", namespace=namespace, type="NodePort")),
        Attempt("r4-balancer", "R4", service("lab-r4-balancer", namespace=namespace, type="LoadBalancer")),
        Attempt(
            "r4-external", "R4", service("lab-r4-external", namespace=namespace, externalIPs=["203.0.113.7"])
        ),
        Attempt(
            "r4-elsewhere",
            "R4",
            service("lab-r4-elsewhere", namespace=namespace, type="ExternalName", externalName="lab.example"),
        ),
        Attempt("r4-changed", "R4", {"spec": {"type": "NodePort"}}, "patch"),
    ]
    return found


def unsigned(name: str, image: str, good: str, namespace: str) -> list[Attempt]:
    """Pods of an image that the lab did not sign, as a container and as an init container of a good pod."""
    init = pod(f"lab-{name}-init", good, namespace)
    init["spec"]["initContainers"] = [container(image, "init")]
    return [
        Attempt(name, "signature", pod(f"lab-{name}", image, namespace)),
        Attempt(f"{name}-init", "signature", init),
    ]


def near_misses(image: str, other: str, namespace: str) -> list[Attempt]:
    """Attempts that look odd and break nothing."""
    two = pod("lab-two", image, namespace)
    two["spec"]["containers"].append(container(other, "side"))
    init = pod("lab-init", other, namespace)
    init["spec"]["initContainers"] = [container(image, "init")]
    return [
        Attempt("two-containers", "", two),
        Attempt("init-container", "", init),
        Attempt("headless", "", service("lab-headless", namespace=namespace, clusterIP="None")),
        Attempt("ephemeral", "", _ephemeral(image), "ephemeral"),
        Attempt("deployment", "", workload_of("Deployment", pod("lab-deployment", image, namespace))),
    ]


def against_restricted(image: str, namespace: str) -> list[Attempt]:
    """Pods that break one control of the *restricted* standard each, and no rule."""
    changes: dict[str, Change] = {
        "privileged": _security(privileged=True, allowPrivilegeEscalation=True),
        "escalation": _security(allowPrivilegeEscalation=True),
        "capabilities": _security(capabilities={"drop": ["NET_RAW"]}),
        "added-capability": _security(capabilities={"drop": ["ALL"], "add": ["SYS_ADMIN"]}),
        "host-network": _spec(hostNetwork=True),
        "host-pid": _spec(hostPID=True),
        "host-path": _spec(volumes=[{"name": "host", "hostPath": {"path": "/"}}]),
        "root": _spec(securityContext={"seccompProfile": {"type": "RuntimeDefault"}}),
        "no-seccomp": _spec(securityContext={"runAsNonRoot": True}),
    }
    found = []
    for case, change in changes.items():
        item = pod(f"lab-{case}", image, namespace)
        change(item)
        found.append(Attempt(case, "restricted", item))
    return [*found, Attempt("compliant", "", pod("lab-compliant", image, namespace))]


def _ephemeral(image: str) -> Manifest:
    added = {key: value for key, value in container(image, "debug").items() if key != "resources"}
    return {"spec": {"ephemeralContainers": [added]}}


def _first(**fields: object) -> Change:
    return lambda item: item["spec"]["containers"][0].update(fields)


def _security(**fields: object) -> Change:
    return lambda item: item["spec"]["containers"][0]["securityContext"].update(fields)


def _spec(**fields: object) -> Change:
    return lambda item: item["spec"].update(fields)


def _init(made: Manifest) -> Change:
    return lambda item: item["spec"].update(initContainers=[made])
