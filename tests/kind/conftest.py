"""An engine, kind, its images and a cluster of one node: had once for all tests in this folder.

On a bare machine the first test waits for the images to be built.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from graders.clusters.nodeimages.image import ensure_base_images
from graders.progress import Silent
from tests.kind.machinery import Machinery, Node, machinery_of, mark_all_below

FIRST_BUILD_S = 3600


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    mark_all_below(Path(__file__).parent, items, pytest.mark.kind, pytest.mark.timeout(FIRST_BUILD_S))


@pytest.fixture(scope="session")
def machinery(docker_host: str) -> Machinery:
    return machinery_of(docker_host)


@pytest.fixture(scope="session")
def python_image(docker_host: str) -> str:
    (reference,) = ensure_base_images(docker_host, Silent(), wanted=("kubeproof/python:3.11",)).values()
    return reference


@pytest.fixture(scope="session")
def node(machinery: Machinery, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """The one node of a cluster that tests share."""
    with machinery.cluster(tmp_path_factory.mktemp("kind")) as node:
        yield node
