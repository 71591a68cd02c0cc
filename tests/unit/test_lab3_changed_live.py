"""Before the backup that is supplied alone, something of workload/ is changed in the cluster."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from graders.kube.client import Answer, ApiRefused
from graders.lab3.environment.lane import Lane
from graders.lab3.tracks.supplied import change_live
from graders.submissions.manifests import Manifest


def manifest(kind: str, name: str, namespace: str = "serving") -> Manifest:
    data = {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": namespace}}
    return cast(Manifest, SimpleNamespace(kind=kind, name=name, data=data))


class Cluster:
    """Takes patches but of what is immutable."""

    def __init__(self, *immutable: str) -> None:
        self.immutable = immutable
        self.patched: list[tuple[str, Any]] = []

    def path_for(self, data: Any) -> str:
        return str(data["metadata"]["name"])

    def patch(self, path: str, body: Any) -> None:
        if path in self.immutable:
            raise ApiRefused("PATCH", path, Answer(422, {"message": "field is immutable"}))
        self.patched.append((path, body))


def changed(kube: Cluster, *manifests: Manifest) -> list[str]:
    change_live(cast(Lane, SimpleNamespace(kube=kube, context=SimpleNamespace(manifests=manifests))))
    return [path for path, _ in kube.patched]


ELSEWHERE = manifest("ConfigMap", "elsewhere", "default")
SECRET, CONFIG = manifest("Secret", "credentials"), manifest("ConfigMap", "config")


def test_a_config_map_of_the_namespace_is_changed() -> None:
    kube = Cluster()
    assert changed(kube, ELSEWHERE, SECRET, CONFIG) == ["config"]
    ((_, body),) = kube.patched
    assert list(body) == ["data"]


def test_where_that_is_immutable_a_secret_is() -> None:
    assert changed(Cluster("config"), CONFIG, SECRET) == ["credentials"]


def test_where_nothing_can_be_changed_nothing_is() -> None:
    assert changed(Cluster("config", "credentials"), CONFIG, SECRET) == []
