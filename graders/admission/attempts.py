"""What is tried directly against an API server: each attempt breaks one rule or control, or nothing; pure."""

from collections.abc import Callable
from dataclasses import dataclass

from graders.admission.specimens import Manifest, container, pod


@dataclass(frozen=True)
class Attempt:
    """One object to be created, or one change of an object that is good (`how`).

    `rule` is what it breaks; empty: nothing. `how` is `create`, `ephemeral` (a container added to a running
    pod) or `patch` (of the good pod's image or the good Service); `changes` is the resource of what is good.
    """

    case: str
    rule: str
    object: Manifest
    how: str = "create"
    changes: str = "pods"


Change = Callable[[Manifest], None]
"""Changes a specimen where it stands."""


def in_first_container(**fields: object) -> Change:
    """Set fields of the first container of a pod."""
    return lambda item: item["spec"]["containers"][0].update(fields)


def in_security_context(**fields: object) -> Change:
    """Set fields of that container's security context."""
    return lambda item: item["spec"]["containers"][0]["securityContext"].update(fields)


def in_spec(**fields: object) -> Change:
    """Set fields of the spec."""
    return lambda item: item["spec"].update(fields)


def with_init_container(made: Manifest) -> Change:
    """Let a pod begin with a container."""
    return in_spec(initContainers=[made])


def with_second_container(made: Manifest) -> Change:
    """Let another container run beside the first of a pod."""
    return lambda item: item["spec"]["containers"].append(made)


def ephemeral(image: str, name: str) -> Manifest:
    """What adds a container to a pod that runs; it stays, so each attempt has a name of its own."""
    added = {key: value for key, value in container(image, name).items() if key != "resources"}
    return {"spec": {"ephemeralContainers": [added]}}


def against_restricted(image: str, namespace: str) -> list[Attempt]:
    """Pods that break one control of the *restricted* standard each and nothing else; and a good one."""
    changes: dict[str, Change] = {
        "privileged": in_security_context(privileged=True, allowPrivilegeEscalation=True),
        "escalation": in_security_context(allowPrivilegeEscalation=True),
        "capabilities": in_security_context(capabilities={"drop": ["NET_RAW"]}),
        "added-capability": in_security_context(capabilities={"drop": ["ALL"], "add": ["SYS_ADMIN"]}),
        "host-network": in_spec(hostNetwork=True),
        "host-pid": in_spec(hostPID=True),
        "host-path": in_spec(volumes=[{"name": "host", "hostPath": {"path": "/"}}]),
        "root": in_spec(securityContext={"seccompProfile": {"type": "RuntimeDefault"}}),
        "no-seccomp": in_spec(securityContext={"runAsNonRoot": True}),
    }
    found = []
    for case, change in changes.items():
        item = pod(f"lab-{case}", image, namespace)
        change(item)
        found.append(Attempt(case, "restricted", item))
    return [*found, Attempt("compliant", "", pod("lab-compliant", image, namespace))]
