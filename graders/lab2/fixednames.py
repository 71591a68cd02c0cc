"""Names that the text fixes beside those of Deployments: container, port, label, account, Service; pure."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from graders.lab2.names import CACHE, WEB

LABEL = "app.kubernetes.io/name"
PORTS = {WEB: 8080, CACHE: 6379}


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
