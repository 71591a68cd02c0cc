"""What pods printed, kept in the bundle: a learner's words, cut to what is worth keeping."""

import json
from collections.abc import Mapping
from pathlib import Path

from graders.escapes import without_escapes
from graders.evidence.records import Object
from graders.kube.client import Kube
from graders.lab1.api import pods_path

_MOST_BYTES = 64 * 1024
_LAST_LINES = 12
_LAST_CHARACTERS = 1500


def keep_logs(kube: Kube, namespace: str, pods: Mapping[str, Object], folder: Path, prefix: str) -> str:
    """Write the log of each pod to a file of `folder`; gives the end of the last that printed anything.

    Raises:
        InfraFault: the API server does not answer.
    """
    said = ""
    for name, pod in sorted(pods.items()):
        text = without_escapes(
            "".join(_log(kube, namespace, name, container) for container in _containers(pod))
        )
        if text.strip():
            (folder / f"{prefix}-{name}.log").write_text(text, encoding="utf-8", errors="replace")
            said = text
    return "\n".join(said.strip().splitlines()[-_LAST_LINES:])[-_LAST_CHARACTERS:]


def _log(kube: Kube, namespace: str, pod: str, container: str) -> str:
    """What a container printed before it was started again, if it was, and since."""
    text = ""
    for previous in ("true", "false"):
        query = {"container": container, "previous": previous, "limitBytes": _MOST_BYTES}
        answer = kube.request("GET", pods_path(namespace, pod, "log"), query=query)
        # A log that happens to be JSON has been read as such.
        if answer.ok and answer.body:
            text += answer.body if isinstance(answer.body, str) else json.dumps(answer.body)
    return text


def _containers(pod: Object) -> list[str]:
    spec = pod["spec"]
    return [each["name"] for key in ("initContainers", "containers") for each in spec.get(key) or ()]
