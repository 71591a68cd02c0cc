"""What of an object counts when it is asked whether it is as it was: not its data alone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from graders.chaos.baseline import baseline
from graders.kube.client import Kube
from graders.lab3.environment.workload import digests
from graders.lab3.tracks.experiments import KINDS
from graders.submissions.manifests import Manifest

NODES = "/api/v1/nodes"


def node(**annotations: str) -> dict[str, Any]:
    return {"metadata": {"name": "node-a1", "annotations": annotations}, "spec": {}}


class There:
    """An API server at which there are these nodes alone."""

    def __init__(self, *nodes: dict[str, Any]) -> None:
        self.nodes = nodes

    def get(self, path: str) -> dict[str, Any]:
        return {"items": self.nodes if path == NODES else ()}


@pytest.mark.parametrize(
    ("annotation", "same"),
    [
        ("example.org/cordoned-by", False),
        ("chaos-note", False),
        ("deployment.kubernetes.io/revision", True),
        ("kubectl.kubernetes.io/last-applied-configuration", True),
        ("notkubernetes.io/note", False),
    ],
)
def test_a_note_that_stays_is_no_state_as_before(annotation: str, same: bool) -> None:
    before, after = (
        baseline(cast(Kube, There(each)), ("serving",)) for each in (node(), node(**{annotation: "x"}))
    )
    assert (before == after) is same


def test_a_model_that_an_experiment_changed_is_no_state_as_before() -> None:
    class Models:
        """An API server at which there is one Model."""

        def __init__(self, uri: str) -> None:
            self.model = {"metadata": {"name": "resnet-50"}, "spec": {"uri": uri}}

        def get(self, path: str) -> dict[str, Any]:
            there = path == "/apis/registry.mod201.dev/v1alpha1/namespaces/serving/models"
            return {"items": (self.model,) if there else ()}

    before, after = (baseline(cast(Kube, Models(uri)), ("serving",), KINDS) for uri in ("s3://a", "s3://b"))
    assert before != after


@pytest.mark.parametrize(
    ("there", "same"),
    [
        ({"labels": {"app": "a"}, "annotations": {"owner": "team"}}, True),
        ({"labels": {"app": "a"}, "annotations": {"owner": "team", "restored-by": "dr"}, "uid": "2"}, True),
        ({"labels": {"app": "a"}}, False),
        ({"annotations": {"owner": "team"}}, False),
        ({"labels": {"app": "a"}, "annotations": {"owner": "nobody"}}, False),
    ],
)
def test_labels_and_annotations_of_the_workload_have_to_come_back(there: dict[str, Any], same: bool) -> None:
    metadata = {"name": "c", "labels": {"app": "a"}, "annotations": {"owner": "team"}}
    manifest = SimpleNamespace(kind="ConfigMap", name="c", data={"kind": "ConfigMap", "metadata": metadata})

    def found(metadata: dict[str, Any]) -> dict[str, str]:
        kube = SimpleNamespace(
            path_for=lambda _: "c", find=lambda _: {"metadata": metadata, "data": {"a": "b"}}
        )
        return digests(cast(Kube, kube), [cast(Manifest, manifest)])

    assert (found(metadata) == found({"name": "c", **there})) is same
