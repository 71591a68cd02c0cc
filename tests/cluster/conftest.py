"""What tests that disturb nobody else share: one cluster for each worker and session, behind one proxy."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from graders.kube.client import Kube
from tests.cluster.proxied import World, proxied


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A cluster, its audit log, and a proxy before it; names and namespaces have to be a test's own."""
    with proxied(tmp_path_factory.mktemp("proxied"), "shared") as world:
        yield world


@pytest.fixture(scope="session")
def kube(world: World) -> Kube:
    """The owner of the shared cluster, past the proxy."""
    return world.kube
