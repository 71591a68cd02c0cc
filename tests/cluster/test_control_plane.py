"""A control plane is broken one process at a time, and mends when what was taken is given back."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from graders.clusters.binaries import CORE
from graders.faults import InfraFault, UsageError
from graders.polling import NotYet, wait_for
from tests.cluster.controlled import WITHIN_S, Controlled, controlled

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Controlled]:
    # A simulator that was killed waits for its own leases to end.
    with controlled(tmp_path_factory.mktemp("state"), node_grace_s=8.0) as world:
        yield world


@pytest.fixture(autouse=True)
def mended(world: Controlled) -> Iterator[None]:
    """Whatever a test broke, the next one finds whole."""
    yield
    world.mend()


def test_its_components_are_all_that_runs(world: Controlled) -> None:
    assert world.control.components == CORE
    assert all(world.control.alive(name) for name in CORE)


@pytest.mark.parametrize("name", CORE)
def test_a_component_that_is_killed_and_started_again_does_its_work(world: Controlled, name: str) -> None:
    world.control.kill(name)
    assert not world.control.alive(name)
    assert [each for each in CORE if not world.control.alive(each)] == [name]

    world.control.start(name)
    world.control.wait_ready(WITHIN_S)

    world.works()
    assert all(world.control.alive(each) for each in CORE)


def test_all_at_once_may_be_killed_and_started_again(world: Controlled) -> None:
    name = world.note()
    for component in CORE:
        world.control.kill(component)
    for component in CORE[:2]:
        world.control.start(component)
    world.control.wait_ready(WITHIN_S)
    for component in CORE[2:]:
        world.control.start(component)

    assert world.noted(name)
    world.works()


def test_without_the_api_server_nothing_is_ready_and_it_says_so(world: Controlled) -> None:
    world.control.kill("kube-apiserver")

    with pytest.raises(InfraFault, match="the API server was not ready within 0 s"):
        world.control.wait_ready(0.0)


def test_the_audit_log_goes_on_after_the_api_server_and_tells_nothing_twice(world: Controlled) -> None:
    before = world.note()
    until_audited(world, before)
    world.control.kill("kube-apiserver")
    world.control.start("kube-apiserver")
    world.control.wait_ready(WITHIN_S)
    after = world.note()
    until_audited(world, after)

    assert world.audited(before) == ["create"]
    assert world.audited(after) == ["create"]


def test_the_log_of_a_component_is_that_of_all_its_lives(world: Controlled) -> None:
    started = "Serving securely"
    first = world.control.log_tail("kube-apiserver", 10_000).count(started)
    world.control.kill("kube-apiserver")
    world.control.start("kube-apiserver")
    world.control.wait_ready(WITHIN_S)

    assert world.control.log_tail("kube-apiserver", 10_000).count(started) == first + 1


def test_etcd_can_be_asked_past_the_api_server(world: Controlled) -> None:
    assert world.in_etcd(world.note())
    assert not world.in_etcd("never-written")


def test_an_etcd_that_was_wiped_under_a_running_api_server_gets_its_data_back(
    world: Controlled, tmp_path: Path
) -> None:
    control, kept = world.control, world.note()
    control.kill("etcd")
    shutil.copytree(control.etcd.data_folders["etcd"], tmp_path / "snapshot")
    control.wipe("etcd")
    assert not control.etcd.data_folders["etcd"].exists()
    control.start("etcd")
    wait_for(lambda: answering(world), timeout_s=WITHIN_S)
    assert control.alive("kube-apiserver")
    assert not world.in_etcd(kept)

    control.kill("etcd")
    control.replace_data("etcd", tmp_path / "snapshot")
    control.start("etcd")
    wait_for(lambda: answering(world), timeout_s=WITHIN_S)
    # It has watched a store that had begun anew: as after any restore, who holds a cache starts anew.
    for component in CORE[1:]:
        control.kill(component)
    control.start("kube-apiserver")
    control.wait_ready(WITHIN_S)
    for component in CORE[2:]:
        control.start(component)

    assert world.in_etcd(kept)
    assert world.noted(kept)
    world.works()


def test_what_a_running_member_uses_is_not_touched(world: Controlled, tmp_path: Path) -> None:
    name = world.note()
    for attempt in (
        lambda: world.control.wipe("etcd"),
        lambda: world.control.replace_data("etcd", tmp_path),
    ):
        with pytest.raises(UsageError, match="etcd runs, and its data are in use") as refused:
            attempt()
        assert refused.value.fix == "kill it first"

    assert world.noted(name)


def test_only_etcd_has_data_and_only_data_replace_them(world: Controlled, tmp_path: Path) -> None:
    world.control.kill("kwok")
    world.control.kill("etcd")

    with pytest.raises(UsageError, match="kwok has no data of its own"):
        world.control.wipe("kwok")
    with pytest.raises(UsageError, match="holds no data of etcd"):
        world.control.replace_data("etcd", tmp_path)
    assert world.control.etcd.data_folders["etcd"].exists()


def test_a_name_that_is_none_is_refused_with_those_there_are(world: Controlled) -> None:
    for attempt in (world.control.kill, world.control.start, world.control.alive, world.control.log_tail):
        with pytest.raises(UsageError, match="no component 'etcd-2'") as refused:
            attempt("etcd-2")
        assert all(name in refused.value.fix for name in CORE)


def test_what_was_killed_stays_dead_when_the_cluster_is_gone(tmp_path: Path) -> None:
    with controlled(tmp_path / "state") as world:
        world.control.kill("kube-scheduler")

    with pytest.raises(InfraFault, match="kube-scheduler belongs to something that has ended"):
        world.control.start("kube-scheduler")
    assert not any(world.control.alive(name) for name in CORE)


def until_audited(world: Controlled, name: str) -> None:
    def probe() -> None:
        if not world.audited(name):
            raise NotYet(f"nothing of {name}")

    wait_for(probe, timeout_s=WITHIN_S)


def answering(world: Controlled) -> None:
    """The API server has found its etcd again."""
    try:
        world.etcd_call("maintenance/status", {})
    except Exception as error:
        raise NotYet(str(error)) from error
