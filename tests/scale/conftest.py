"""A cluster of two workers whose pods have user namespaces, and the grader's image in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from graders.progress import Silent
from tests.kind.machinery import machinery_of, mark_all_below
from tests.scale.pods import Pods, two_workers

FIRST_BUILD_S = 7200


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    mark_all_below(Path(__file__).parent, items, pytest.mark.scale, pytest.mark.timeout(FIRST_BUILD_S))


@pytest.fixture(scope="session")
def pods(docker_host: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pods]:
    with two_workers(machinery_of(docker_host), tmp_path_factory.mktemp("kind"), Silent()) as pods:
        yield pods
