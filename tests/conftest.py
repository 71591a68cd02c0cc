"""What holds for all tests: which provider is the default, and where a Docker engine comes from."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from graders.clusters.engine.probing import answering_engine
from graders.clusters.registry import VARIABLE

if TYPE_CHECKING:
    from tests.unit.postgres_server import Server

# The record of a run is very many small objects: to look for cycles in it takes longer than to read it.
gc.set_threshold(200_000, 20, 20)


def pytest_collection_finish() -> None:
    """What is loaded by now stays: no search for cycles has to go through it again."""
    gc.freeze()


# How long an example of a property takes says nothing of it, on a machine that has other things to do. Each
# run draws others: half as many find in two runs what twice as many find in one.
settings.register_profile("untimed", deadline=None, max_examples=50)
settings.load_profile("untimed")


@pytest.fixture(scope="session", autouse=True)
def embedded_unless_named() -> Iterator[None]:
    """A test that names no provider means the embedded one, also where a Docker engine answers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, "embedded")
        yield


@pytest.fixture(scope="session")
def docker_host(request: pytest.FixtureRequest) -> Iterator[str]:
    """An engine that answers; where tests with one are asked for, else one that is started for them."""
    from graders.clusters.engine.dockerd import running_engine
    from graders.progress import Silent

    given = (request.config.option.markexpr, *request.config.args)
    asked_for = any(stage in each for stage in ("kind", "scale") for each in given)
    if host := answering_engine():
        yield host
    elif asked_for:
        with running_engine(Silent()) as host, pytest.MonkeyPatch.context() as patch:
            # Nobody has to look for it, wherever a test keeps its state.
            patch.setenv("KUBEPROOF_DOCKER_HOST", host)
            yield host
    else:
        pytest.skip("no Docker engine answers")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    """A PostgreSQL server of the tests' own; without the programs, tests that want it are skipped."""
    from tests.unit.postgres_server import running_server

    with running_server() as server:
        yield server
