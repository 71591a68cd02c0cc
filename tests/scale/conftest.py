"""A cluster of two workers whose pods have user namespaces, and the grader's image in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from graders.clusters.engine.engine import Engine
from graders.clusters.kind.binary import ensure_kind
from graders.clusters.nodeimages.image import ensure_node_image
from graders.progress import Silent
from tests.kind.machinery import Machinery
from tests.scale.pods import Pods, two_workers

HERE = Path(__file__).parent
FIRST_BUILD_S = 7200


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.scale)
            item.add_marker(pytest.mark.timeout(FIRST_BUILD_S))


@pytest.fixture(scope="session")
def pods(docker_host: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pods]:
    told = Silent()
    node_image = ensure_node_image(docker_host, told, offline=None)
    machinery = Machinery(Engine(docker_host), ensure_kind(told), node_image)
    with two_workers(machinery, tmp_path_factory.mktemp("kind"), told) as pods:
        yield pods
