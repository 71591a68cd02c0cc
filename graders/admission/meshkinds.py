"""The manifests of a mesh, before an API server that has its kinds: what it refuses is never in force."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from graders.admission.records import MeshAnswer
from graders.clusters.bareapi import bare_api
from graders.clusters.binaries import ensure_binaries
from graders.clusters.definitions import install_kinds, packed_definitions
from graders.clusters.golden import golden_etcd
from graders.faults import InfraFault
from graders.kube.client import Answer, ApiRefused, Kube
from graders.progress import Progress

_HERE = Path(__file__).parent
_NAMESPACES = "/api/v1/namespaces"
_OF_THE_MESH = ("istio.io", "linkerd.io", "k8s.io")
_OURS, _THERE = (408, 429), 409


def _linkerd() -> list[dict[str, Any]]:
    read: Mapping[str, Any] = yaml.safe_load((_HERE / "linkerd-crds.yaml").read_text("utf-8"))
    return list(read["items"])


_KINDS: Mapping[str, Callable[[], list[dict[str, Any]]]] = {
    "istio": lambda: packed_definitions(_HERE / "istio-crds.json.gz"),
    "linkerd": _linkerd,
}
"""The definitions of each mesh, by its name; both understand those of the Gateway API."""


def mesh_answers(
    mesh: str, objects: Sequence[Mapping[str, Any]], now: Callable[[], float], progress: Progress
) -> Iterator[MeshAnswer]:
    """What an API server with the kinds of `mesh` says of each object; none is kept.

    Raises:
        InfraFault: it does not come up, or has no answer.
    """
    if not objects:
        return
    kinds = [*_KINDS[mesh](), *packed_definitions(_HERE / "gateway-api-crds.json.gz")]
    digest = hashlib.sha256(json.dumps(kinds, sort_keys=True).encode()).hexdigest()
    golden = golden_etcd(["mesh", digest], lambda kube: install_kinds(kube, kinds), progress)
    with bare_api("mesh", ensure_binaries(progress), golden) as (kube, _):
        for name in sorted(_namespaces(objects)):
            kube.request("POST", _NAMESPACES, body={"metadata": {"name": name}})
        for item in objects:
            answer, metadata = _tried(kube, item), item["metadata"]
            if answer.code in _OURS or answer.code >= 500:
                raise InfraFault(f"an API server with the kinds of {mesh}: {answer.code} {answer.message}")
            yield MeshAnswer(
                now(), str(item["apiVersion"]), str(item["kind"]), str(metadata.get("namespace", "")),
                str(metadata.get("name", "")), answer.code, "" if answer.ok else answer.message[:500],
            )  # fmt: skip


def _namespaces(objects: Iterable[Mapping[str, Any]]) -> set[str]:
    return {str(each["metadata"].get("namespace", "")) for each in objects} - {""}


def _tried(kube: Kube, item: Mapping[str, Any]) -> Answer:
    """The answer to a dry run; a kind of somebody else's, which nobody can judge here, is taken."""
    try:
        path = kube.path_for(item, collection=True)
    except ApiRefused as refused:
        group = str(item["apiVersion"]).rpartition("/")[0]
        known = not group or "." not in group or group.endswith(_OF_THE_MESH)
        return refused.answer if known else Answer(200, {})
    # An apply would answer 500 where a field is none; a namespace of the mesh is there already.
    answer = kube.request("POST", path, query={"fieldValidation": "Strict", "dryRun": "All"}, body=item)
    return Answer(200, {}) if answer.code == _THERE else answer
