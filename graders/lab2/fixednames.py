"""Names that the text fixes beside those of Deployments: container, port, label, account, Service; pure."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from graders.lab2.names import CACHE, WEB

LABEL = "app.kubernetes.io/name"
PORTS = {WEB: 8080, CACHE: 6379}


PROBES = {"readinessProbe": "/ready", "livenessProbe": "/live"}


def unprobed(deployment: Mapping[str, Any]) -> Iterator[str]:
    """The paths at which the container web has no probe of its port."""
    pod = deployment["spec"]["template"]["spec"]
    web: Mapping[str, Any] = next((each for each in pod["containers"] if each["name"] == WEB), {})
    ports = {port.get("name"): port["containerPort"] for port in web.get("ports") or ()}
    for probe, path in PROBES.items():
        asked = (web.get(probe) or {}).get("httpGet") or {}
        if asked.get("path") != path or ports.get(asked.get("port"), asked.get("port")) != PORTS[WEB]:
            yield path


def misnamed(
    name: str, deployment: Mapping[str, Any], services: Collection[str], accounts: Collection[str]
) -> Iterator[tuple[str, str]]:
    """What Deployment `name` and what goes with it are called otherwise: expected and observed.

    `services` and `accounts` are the names of those in its namespace.
    """
    template = deployment["spec"]["template"]
    pod = template["spec"]
    label = (template["metadata"].get("labels") or {}).get(LABEL)
    if label != name:
        yield f"pods of {name} labelled {LABEL}: {name}", f"it is {label!r}"
    account = pod.get("serviceAccountName", "default")
    if account != name or name not in accounts:
        yield f"pods of {name} with a ServiceAccount {name}", f"theirs is {account}"
    if name not in services:
        yield f"a Service {name}", "there is none"
    ports = [port["containerPort"] for each in pod["containers"] if each["name"] == name
             for port in each.get("ports") or ()]  # fmt: skip
    if PORTS[name] not in ports:
        yield f"a container {name} with port {PORTS[name]}", f"its ports are {ports}"
