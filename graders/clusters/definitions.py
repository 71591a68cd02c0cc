"""CustomResourceDefinitions of engines: packed, for they are a megabyte of JSON, and installed."""

import gzip
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from graders.faults import InfraFault
from graders.kube.client import ApiRefused, Kube
from graders.polling import NotYet, await_ready

_DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_ESTABLISHED_WITHIN_S = 60.0


def packed_definitions(file: Path) -> list[dict[str, Any]]:
    """The definitions in a compressed file."""
    found: list[dict[str, Any]] = json.loads(gzip.decompress(file.read_bytes()))
    return found


def install_kinds(kube: Kube, definitions: Sequence[Mapping[str, Any]]) -> None:
    """Create definitions, and wait until they are served.

    Raises:
        InfraFault: they are not.
    """
    for each in definitions:
        kube.create(_DEFINITIONS, each)

    def established() -> None:
        for item in kube.get(_DEFINITIONS)["items"]:
            conditions = (item.get("status") or {}).get("conditions") or ()
            if not any(c["type"] == "Established" and c["status"] == "True" for c in conditions):
                raise NotYet(f"{item['metadata']['name']} is not established")

    try:
        await_ready("the kinds of a cluster", established, _ESTABLISHED_WITHIN_S)
    except ApiRefused as error:
        raise InfraFault(f"the kinds of a cluster cannot be installed: {error}") from error
