"""Of two replicas one writes at a time; who leads is told from how they write Leases and peerings."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from graders.evidence.bundle import BundleWriter
from graders.evidence.recording import Recording
from graders.evidence.records import Exchange
from graders.faultproxy import read_request_info
from graders.faultproxy.rules import InFlight
from graders.faults import InfraFault, Unmet
from graders.lab1.checks.leadership import check_leader
from graders.lab1.environment import OperatorEnvironment
from graders.lab1.jobscontext import JobsContext
from graders.lab1.leaderelection import (
    MOST_LEASE_S,
    LeaseWrite,
    holder_of,
    lease_s,
    read_lease_writes,
    shared_locks,
)
from graders.lab1.tracks.leadership import LeaseObserver
from graders.scenario.tracks import RestartGate
from tests.unit.lab1_telling import Telling

LOCK = "leases/ops/lock"


class Pair(Telling):
    """Two replicas: `operator` is stopped from 10 to 20, `standby` takes over and is killed at 30."""

    def __init__(self) -> None:
        super().__init__("leader")
        self.mark(1.0, "begin", namespace="here", replicas=["operator", "standby"])
        self.mark(10.0, "stopped", instance="operator-1", lease_s=5.0)
        self.mark(20.0, "continued", instance="operator-1")
        self.mark(20.25, "awake", instance="operator-1")
        self.mark(30.0, "killed", instance="standby-1", lease_s=5.0)
        self.mark(40.0, "end", namespace="here")
        for t, instance in ((0.5, "operator-1"), (15.0, "standby-1"), (35.0, "operator-1")):
            self.write(t, instance)
            self.exchange(t + 1, instance)

    def write(self, t: float, instance: str, lock: str = LOCK, **more: Any) -> None:
        fields = {"holder": instance, "lasts_s": 5.0, "priority": 0.0, "gone": False, **more}
        self.mark(t, "claim", instance=instance, lock=lock, **fields)

    def exchange(self, t: float, instance: str, **more: Any) -> None:
        """A create of a pod, answered at once."""
        fields: dict[str, Any] = {
            "verb": "create", "group": "", "resource": "pods", "subresource": "", "namespace": "here",
            "name": "", "code": 201, **more,
        }  # fmt: skip
        self.told.append(cast(Any, Exchange(t, t + 0.01, instance, **fields)))


def test_two_replicas_that_take_turns_pass(tmp_path: Path) -> None:
    facts = Pair().judge(check_leader, tmp_path)
    assert dict(facts) == {
        "lease_when_stopped_s": 5.0,
        "takeover_when_stopped_s": 6.0,
        "lease_when_killed_s": 5.0,
        "takeover_when_killed_s": 6.0,
        "writes": {"operator-1": 2, "standby-1": 1},
    }


@pytest.mark.parametrize(
    ("t", "instance", "says"),
    [
        (5.0, "standby-1", "with both running, standby-1 wrote while operator-1 led: create pods at 5.00 s"),
        (12.0, "standby-1", "with the leader stopped, standby-1 wrote while operator-1 led"),
        (20.3, "operator-1", "operator-1, which had been stopped past its lease, wrote while standby-1 led"),
        (25.0, "operator-2", "after the old leader went on, operator-2 wrote while standby-1 led"),
        (
            32.0,
            "operator-1",
            "with the leader killed, operator-1, which had been stopped past its lease, wrote",
        ),
    ],
)
def test_a_write_while_the_other_leads_is_a_loss(t: float, instance: str, says: str, tmp_path: Path) -> None:
    pair = Pair()
    pair.exchange(t, instance)
    with pytest.raises(Unmet) as caught:
        pair.judge(check_leader, tmp_path)
    assert says in caught.value.observed
    assert caught.value.expected.startswith("one writer at a time")
    assert caught.value.hint


@pytest.mark.parametrize(
    ("t", "instance", "more"),
    [
        (20.2, "operator-1", {}),
        (5.0, "standby-1", {"code": 409}),
        (5.0, "standby-1", {"verb": "list", "code": 200}),
        (5.0, "standby-1", {"resource": "events"}),
        (5.0, "standby-1", {"resource": "leases", "verb": "update", "code": 200}),
        (5.0, "standby-1", {"resource": "configmaps", "namespace": "mltj-system"}),
        (45.0, "standby-1", {}),
        (5.0, "elsewhere-1", {}),
    ],
    ids=[
        "just let go on",
        "refused",
        "read",
        "event",
        "lease",
        "own namespace",
        "after the end",
        "another cluster",
    ],
)
def test_what_is_no_write_by_a_second_writer_is_none(
    t: float, instance: str, more: dict[str, Any], tmp_path: Path
) -> None:
    pair = Pair()
    pair.exchange(t, instance, **more)
    pair.judge(check_leader, tmp_path)


def test_a_machine_that_did_not_let_the_process_wake_gives_it_longer(tmp_path: Path) -> None:
    pair = Pair()
    pair.mark(20.2, "awake", instance="somebody")
    pair.told = [mark for mark in pair.told if getattr(mark, "name", "") != "awake"]
    pair.mark(21.0, "awake", instance="operator-1")
    pair.exchange(20.9, "operator-1")
    pair.judge(check_leader, tmp_path)


def test_two_writers_are_said_before_what_the_track_missed(tmp_path: Path) -> None:
    pair = Pair()
    pair.exchange(5.0, "standby-1")
    pair.mark(6.0, "missed", waiting_for="a takeover", within_s=15.0, seen="none")
    with pytest.raises(Unmet, match="standby-1 wrote while operator-1 led"):
        pair.judge(check_leader, tmp_path)


def test_a_takeover_that_never_came_is_quoted(tmp_path: Path) -> None:
    pair = Pair()
    pair.mark(
        25.0, "missed", waiting_for="the other replica to take over", within_s=15.0, seen="it created 0 pods"
    )
    with pytest.raises(Unmet) as caught:
        pair.judge(check_leader, tmp_path)
    assert caught.value.expected == "the other replica to take over, within 15 s"
    assert "take it over when its holder has not renewed it" in caught.value.hint


def test_a_record_without_the_end_is_no_loss_of_the_learner(tmp_path: Path) -> None:
    with pytest.raises(InfraFault, match="no mark 'end'"):
        Telling("leader").judge(check_leader, tmp_path)


# --- who holds what --------------------------------------------------------------------------------


def lease(t: float, instance: str, lock: str = LOCK, **more: Any) -> LeaseWrite:
    return LeaseWrite(t, instance, lock, instance, 5.0, **more)


def peer(t: float, instance: str, priority: float, lasts_s: float = 5.0, **more: Any) -> LeaseWrite:
    return LeaseWrite(t, instance, "kopfpeerings/ops/peers", instance, lasts_s, priority, **more)


def test_a_lease_is_held_by_whoever_wrote_it_last() -> None:
    lease_writes = [lease(1, "a-1"), lease(2, "b-1"), lease(3, "b-1", gone=True)]
    assert [holder_of(lease_writes, LOCK, t) for t in (0.5, 1, 2.9, 3)] == ["", "a-1", "b-1", ""]


def test_a_peering_is_held_by_the_live_entry_of_the_highest_priority() -> None:
    lease_writes = [peer(1, "a-1", 10), peer(2, "b-1", 20), peer(5, "a-1", 10)]
    lock = lease_writes[0].lock
    assert [holder_of(lease_writes, lock, t) for t in (1, 3, 7.5, 11)] == ["a-1", "b-1", "a-1", ""]


def test_peers_of_one_priority_all_pause() -> None:
    assert holder_of([peer(1, "a-1", 10), peer(1, "b-1", 10)], "kopfpeerings/ops/peers", 2) == ""


def test_a_peering_from_which_a_peer_was_removed_is_in_dispute_until_it_is_back() -> None:
    lease_writes = [peer(1, "a-1", 10), peer(2, "b-1", 20), peer(3, "b-1", 0, gone=True), peer(5, "b-1", 20)]
    assert [holder_of(lease_writes, lease_writes[0].lock, t) for t in (2, 4, 5)] == ["b-1", "", "b-1"]
    stranger = [peer(1, "x-1", 0, gone=True), peer(2, "b-1", 20)]
    assert holder_of(stranger, lease_writes[0].lock, 3) == "b-1"


def test_a_lease_of_one_replica_elects_nobody() -> None:
    lease_writes = [
        lease(1, "a-1"),
        lease(2, "a-2"),
        lease(1, "a-1", lock="own"),
        lease(1, "b-1"),
        lease(1, "b-1", "x"),
    ]
    assert shared_locks(lease_writes) == {LOCK}


def test_the_wait_is_what_the_lease_says_and_never_too_long() -> None:
    assert lease_s([lease(1, "a-1")], "a-1") == 5.0
    assert lease_s([LeaseWrite(1, "a-1", LOCK, "a", 600.0)], "a-1") == MOST_LEASE_S
    assert lease_s([LeaseWrite(1, "a-1", LOCK, "a")], "a-1") == MOST_LEASE_S
    assert lease_s([lease(1, "a-1")], "b-1") is None


# --- what a write claims ---------------------------------------------------------------------------

PUT = read_request_info("PUT", "/apis/coordination.k8s.io/v1/namespaces/ops/leases/lock")
POST = read_request_info("POST", "/apis/coordination.k8s.io/v1/namespaces/ops/leases")
PEERING = read_request_info("PATCH", "/apis/kopf.dev/v1/namespaces/ops/kopfpeerings/peers")


def read(asked: Any, body: object) -> list[LeaseWrite]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_lease_writes(asked, data, "operator-1", 1.0)


def test_a_lease_that_is_written_is_claimed() -> None:
    body = {"metadata": {"name": "lock"}, "spec": {"holderIdentity": "me", "leaseDurationSeconds": 15}}
    for asked in (PUT, POST):
        assert read(asked, body) == [LeaseWrite(1.0, "operator-1", LOCK, "me", 15.0)]


def test_a_lease_without_a_holder_is_given_back() -> None:
    assert read(PUT, {"spec": {"holderIdentity": ""}})[0].gone
    assert read(PUT, {"spec": {"holderIdentity": None}})[0].gone


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"[" * 5000,
        [{"op": "replace", "path": "/spec/renewTime"}],
        {"spec": []},
        {"spec": {"x": 1}},
        7,
    ],
    ids=str,
)
def test_a_lease_written_in_another_way_is_claimed_by_the_writer(body: object) -> None:
    assert read(PUT, body) == [LeaseWrite(1.0, "operator-1", LOCK, "operator-1")]


def test_a_peering_has_an_entry_for_each_peer() -> None:
    body = {"status": {"me": {"priority": 7, "lifetime": 10, "lastseen": "now"}, "gone": None}}
    me, gone = read(PEERING, body)
    assert (me.holder, me.priority, me.lasts_s, me.gone) == ("me", 7.0, 10.0, False)
    assert gone.gone
    odd = read(PEERING, {"status": {"me": {"priority": "high", "lifetime": 10**400}}})[0]
    assert (odd.priority, odd.lasts_s) == (0.0, None)
    assert read(PEERING, {"status": "busy"}) == []


# --- the witness in the proxy ----------------------------------------------------------------------


def _observer(writer: BundleWriter) -> LeaseObserver:
    env = SimpleNamespace(
        recording=Recording(writer), namespaces={"leader": "here"}, kube=None, deadline_s=10.0
    )
    return LeaseObserver(
        JobsContext("leader", cast(OperatorEnvironment, env), RestartGate((), (), lambda: None))
    )


def test_a_replica_that_asks_for_nothing_but_the_lock_is_at_work(tmp_path: Path) -> None:
    get, pods = replace(PUT, verb="get"), replace(PUT, verb="list", group="", resource="pods", name="")
    with BundleWriter(tmp_path / "bundle") as writer:
        observer = _observer(writer)
        assert "has not asked" in observer.not_at_work("standby", 9.0, 2.0)
        asyncio.run(observer.before(InFlight(get, "standby-1", 8.0, b"")))
        assert not observer.not_at_work("standby", 9.0, 2.0)
        assert "has not asked" in observer.not_at_work("operator", 9.0, 2.0)
        asyncio.run(observer.before(InFlight(pods, "standby-1", 8.5, b"")))
        assert "still starting" in observer.not_at_work("standby", 9.0, 2.0)
        assert not observer.not_at_work("standby", 11.0, 2.0)


def test_a_claim_counts_once_it_is_accepted_and_by_then_the_body_is_gone(tmp_path: Path) -> None:
    with BundleWriter(tmp_path / "bundle") as writer:
        observer = _observer(writer)

        async def send(code: int, **spec: Any) -> None:
            request = InFlight(PUT, "operator-1", 1.0, json.dumps({"spec": spec}).encode())
            await observer.before(request)
            request.body = b""
            await observer.after(request, code)

        asyncio.run(send(409, holderIdentity="other", leaseDurationSeconds=7))
        assert observer.lease_writes == []
        asyncio.run(send(200, holderIdentity="me", leaseDurationSeconds=7))
        assert lease_s(observer.lease_writes, "operator-1") == 7.0
        assert observer.holders() == {"operator-1"}
        asyncio.run(send(200, holderIdentity=""))
        assert observer.holders() == set()
