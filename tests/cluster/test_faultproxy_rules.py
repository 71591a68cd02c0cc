"""Each rule of the fault proxy does to a real API server's traffic what it says, and is on record."""

from __future__ import annotations

import json
import socket
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from graders.evidence.watching import WatchRecorder
from graders.faultproxy import (
    CrashPoint,
    Delay,
    DelayWatchEvents,
    HoldWatchEvents,
    InterleavedWrite,
    Match,
    RequestInfo,
    Respond,
    RuleAnswer,
    writes_in,
)
from graders.kube.client import Kube
from graders.polling import NotYet, wait_for
from tests.cluster.proxied import WITHIN_S, DropResponse, Hold, Served, Watching, World, config_map, maps

pytestmark = pytest.mark.cluster

MAPS = Match(resources=frozenset({"configmaps"}))
IN_DEFAULT = Match(resources=frozenset({"configmaps"}), namespaces=frozenset({"default"}))
EVERYWHERE = "/api/v1/configmaps"
LOST = (httpx.RemoteProtocolError, httpx.ReadError)


@pytest.fixture
def name() -> str:
    """A name of the test's own."""
    return f"m-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def served(world: World, name: str) -> Iterator[Served]:
    with world.served(name) as served, served.opened:
        yield served


@pytest.fixture
def other(world: World, name: str) -> Iterator[Served]:
    """Another program's listener."""
    with world.served(f"{name}-other") as served, served.opened:
        yield served


def create(client: httpx.Client, name: str, namespace: str = "default") -> httpx.Response:
    return client.post(maps(namespace), json=config_map(name, namespace))


def until(condition: Any, said: str) -> None:
    """Wait until `condition()` holds."""

    def there() -> None:
        if not condition():
            raise NotYet(said)

    wait_for(there, timeout_s=WITHIN_S)


class TestRespond:
    @pytest.mark.parametrize(
        ("code", "reason"),
        [(409, "Conflict"), (410, "Expired"), (429, "TooManyRequests"), (500, "InternalError"),
         (503, "ServiceUnavailable")],
    )  # fmt: skip
    def test_answers_in_the_api_server_s_place(
        self, served: Served, name: str, code: int, reason: str
    ) -> None:
        rule = Respond("ours", MAPS, RuleAnswer(code, reason, "not now", headers=(("Retry-After", "1"),)))
        with served.world.proxy.disturb(rule):
            answer = create(served.http(), name)
        assert (answer.status_code, answer.headers["retry-after"]) == (code, "1")
        assert answer.headers["content-type"] == "application/json"
        assert "server" not in answer.headers
        status = answer.json()
        assert (status["kind"], status["code"], status["reason"]) == ("Status", code, reason)
        assert served.world.kube.find(f"{maps()}/{name}") is None
        assert [(each.code, each.rules) for each in served.recorded(resource="configmaps")] == [
            (code, ("ours",))
        ]
        [disturbance] = served.disturbances("ours")
        assert disturbance.effect == f"answered {code}"
        assert (disturbance.verb, disturbance.resource, disturbance.namespace) == (
            "create",
            "configmaps",
            "default",
        )
        assert rule.first.is_set()

    def test_so_many_times_and_no_more(self, served: Served, name: str) -> None:
        rule = Respond("twice", MAPS, RuleAnswer(503), times=2)
        with served.world.proxy.disturb(rule):
            assert [create(served.http(), name).status_code for _ in range(4)] == [503, 503, 201, 409]
        assert len(served.disturbances("twice")) == rule.applied == 2

    def test_what_is_not_meant_is_left_alone(self, served: Served, name: str) -> None:
        meant = Match(
            verbs=frozenset({"create"}),
            resources=frozenset({"configmaps"}),
            namespaces=frozenset({"other"}),
        )
        with served.world.proxy.disturb(Respond("there", meant, RuleAnswer(500))):
            assert create(served.http(), name).status_code == 201
            assert served.http().get(maps("other")).status_code == 200
            assert create(served.http(), name, "other").status_code == 500
        assert len(served.disturbances("there")) == 1

    def test_ends_with_its_block(self, served: Served, name: str) -> None:
        with served.world.proxy.disturb(Respond("ours", MAPS, RuleAnswer(500))):
            assert create(served.http(), name).status_code == 500
        assert create(served.http(), name).status_code == 201

    def test_the_first_rule_that_answers_is_the_last_that_applies(self, served: Served, name: str) -> None:
        first, second = Respond("first", MAPS, RuleAnswer(429)), Respond("second", MAPS, RuleAnswer(500))
        with served.world.proxy.disturb(first, second):
            assert create(served.http(), name).status_code == 429
        assert (first.applied, second.applied) == (1, 0)

    def test_may_cut_instead(self, served: Served, name: str) -> None:
        rule = Respond("cut", MAPS, RuleAnswer(abort=True), times=1)
        with served.world.proxy.disturb(rule), pytest.raises(LOST):
            create(served.http(), name)
        assert served.world.kube.find(f"{maps()}/{name}") is None
        assert [each.code for each in served.recorded(rules=("cut",))] == [0]  # type: ignore[arg-type]

    def test_one_connection_goes_on_after_an_answer_of_ours(self, served: Served, name: str) -> None:
        connection = served.connect()
        reader = connection.makefile("rb")
        body = json.dumps(config_map(name)).encode()
        head = (
            f"POST {maps()} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {served.world.token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        ).encode()
        codes = []
        with served.world.proxy.disturb(Respond("once", MAPS, RuleAnswer(503), times=1)):
            for _ in range(3):
                connection.sendall(head + body)
                codes.append(int(reader.readline().split()[1]))
                length = 0
                while (line := reader.readline().lower()) != b"\r\n":
                    if line.startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                reader.read(length)
        assert codes == [503, 201, 409]


class TestDelayAndHold:
    def test_a_delay_is_kept(self, served: Served, name: str) -> None:
        with served.world.proxy.disturb(Delay("later", MAPS, 0.3, times=1)):
            assert create(served.http(), name).status_code == 201
        [exchange] = served.recorded(resource="configmaps")
        assert exchange.t_end - exchange.t >= 0.3
        assert [each.effect for each in served.disturbances("later")] == ["delayed by 0.3 s"]

    def test_held_requests_wait_and_others_do_not(self, served: Served, name: str) -> None:
        rule = Hold("held", IN_DEFAULT)
        with ThreadPoolExecutor() as pool, served.world.proxy.disturb(rule):
            waiting = [pool.submit(create, served.http(), f"{name}-{n}") for n in range(3)]
            until(lambda: rule.applied == 3, "not all are held")
            assert create(served.http(), name, "other").status_code == 201
            assert not any(each.done() for each in waiting)
            assert served.world.kube.find(f"{maps()}/{name}-0") is None
            rule.release()
            assert [each.result(WITHIN_S).status_code for each in waiting] == [201] * 3
            assert create(served.http(), f"{name}-late").status_code == 201
        assert len(served.disturbances("held")) == 3

    def test_the_end_of_the_block_lets_go(self, served: Served, name: str) -> None:
        rule = Hold("held", IN_DEFAULT)
        with ThreadPoolExecutor() as pool:
            with served.world.proxy.disturb(rule):
                waiting = pool.submit(create, served.http(), name)
                assert rule.first.wait(WITHIN_S)
            assert waiting.result(WITHIN_S).status_code == 201

    def test_a_request_whose_client_goes_while_it_is_held_is_never_sent(
        self, served: Served, name: str
    ) -> None:
        rule = Hold("held", IN_DEFAULT)
        with served.world.proxy.disturb(rule):
            with pytest.raises(httpx.ReadTimeout):
                served.http().post(maps(), json=config_map(name), timeout=httpx.Timeout(30.0, read=0.5))
            served.recorded(code=0)
            rule.release()
            assert create(served.http(), f"{name}-2").status_code == 201
        assert served.world.kube.find(f"{maps()}/{name}") is None


class TestMeanwhile:
    def test_the_world_changes_between_read_and_write(self, served: Served, name: str) -> None:
        kube = served.world.kube
        kube.create(maps(), config_map(name, a="1"))
        seen: list[tuple[RequestInfo, bytes]] = []

        def meddle(info: RequestInfo, body: bytes) -> None:
            seen.append((info, body))
            kube.patch(f"{maps()}/{name}", {"metadata": {"labels": {"foreign": "yes"}}})

        client = served.http()
        mine = client.get(f"{maps()}/{name}").json()
        mine["data"]["a"] = "2"
        with served.world.proxy.disturb(InterleavedWrite("meddled", writes_in("default"), meddle)):
            answer = client.put(f"{maps()}/{name}", json=mine)
        assert (answer.status_code, answer.json()["reason"]) == (409, "Conflict")
        [(info, body)] = seen
        assert (info.verb, info.name) == ("update", name)
        assert json.loads(body) == mine
        now = kube.get(f"{maps()}/{name}")
        assert now["metadata"]["labels"] == {"foreign": "yes"}
        assert now["data"] == {"a": "1"}
        assert [each.effect for each in served.disturbances("meddled")] == ["held while others wrote"]

    def test_what_it_raises_is_kept_and_the_request_goes_on(self, served: Served, name: str) -> None:
        def fail(info: RequestInfo, body: bytes) -> None:
            raise ValueError("the scenario's own")

        rule = InterleavedWrite("failing", MAPS, fail)
        with served.world.proxy.disturb(rule):
            assert create(served.http(), name).status_code == 201
        assert isinstance(rule.error, ValueError)

    def test_only_what_carries_something_may_be_meant(self, served: Served, name: str) -> None:
        acted: list[str] = []
        rule = InterleavedWrite("picky", MAPS, lambda info, body: acted.append(info.name), carrying=b"wanted")
        with served.world.proxy.disturb(rule):
            assert create(served.http(), name).status_code == 201
            assert not acted
            wanted = config_map(f"{name}-wanted", a="1")
            assert served.http().post(maps(), json=wanted).status_code == 201
        assert (len(acted), rule.applied) == (1, 1)

    def test_it_may_answer_itself(self, served: Served, name: str) -> None:
        rule = InterleavedWrite("ours", MAPS, lambda info, body: None, answer=RuleAnswer(409, "Conflict"))
        with served.world.proxy.disturb(rule):
            assert create(served.http(), name).status_code == 409
            assert create(served.http(), name).status_code == 201

    def test_others_are_served_meanwhile(self, served: Served, name: str) -> None:
        going = threading.Event()
        rule = InterleavedWrite("slow", IN_DEFAULT, lambda info, body: going.wait(WITHIN_S) and None)
        with ThreadPoolExecutor() as pool, served.world.proxy.disturb(rule):
            waiting = pool.submit(create, served.http(), name)
            assert rule.first.wait(WITHIN_S)
            assert create(served.http(), name, "other").status_code == 201
            going.set()
            assert waiting.result(WITHIN_S).status_code == 201


class TestSwallow:
    def test_what_is_committed_stays_and_the_client_never_hears(self, served: Served, name: str) -> None:
        rule = DropResponse("swallowed", writes_in("default"), times=1)
        with served.world.proxy.disturb(rule):
            with pytest.raises(LOST):
                create(served.http(), name)
            assert served.world.kube.find(f"{maps()}/{name}") is not None
            assert create(served.http(), name).status_code == 409
        assert [(each.code, each.rules) for each in served.recorded(2, verb="create")] == [
            (0, ("swallowed",)),
            (409, ()),
        ]
        assert [each.effect for each in served.disturbances("swallowed")] == ["answer 201 lost"]

    def test_a_refusal_is_told(self, served: Served, name: str) -> None:
        with served.world.proxy.disturb(DropResponse("swallowed", writes_in("default"))):
            assert served.http().post(maps(), json={}).status_code in (400, 422)
        assert served.disturbances("swallowed") == []


class TestCrashPoint:
    @staticmethod
    def accepted(world: World, prefix: str) -> set[str]:
        items = world.kube.get(maps())["items"]
        return {i["metadata"]["name"] for i in items if i["metadata"]["name"].startswith(prefix)}

    @pytest.mark.parametrize("swallow", [False, True], ids=["told", "swallowed"])
    @pytest.mark.parametrize("k", [1, 2, 7])
    def test_exactly_k_writes_of_many_at_once_are_committed(
        self, served: Served, name: str, k: int, swallow: bool
    ) -> None:
        rule = CrashPoint("crash", writes_in("default"), k, swallow=swallow)

        def write(number: int) -> int:
            try:
                return create(served.http(), f"{name}-{number}").status_code
            except LOST:
                return 0

        with ThreadPoolExecutor(16) as pool, served.world.proxy.disturb(rule):
            codes = list(pool.map(write, range(24)))
            assert rule.reached.is_set()
            assert len(self.accepted(served.world, name)) == k
            assert codes.count(201) == k - swallow
            assert codes.count(0) == swallow
            assert codes.count(409) == 24 - k
            rule.release()
            assert write(99) == 201
        words = [each.effect for each in served.disturbances("crash")]
        assert sum(f"write {k} committed" in each for each in words) == 1
        assert sum("409" in each for each in words) == 24 - k

    def test_refused_writes_and_other_namespaces_do_not_count(self, served: Served, name: str) -> None:
        rule = CrashPoint("crash", writes_in("default"), 2)
        client = served.http()
        with served.world.proxy.disturb(rule):
            assert create(client, f"{name}-1").status_code == 201
            assert create(client, f"{name}-1").status_code == 409
            assert client.post(maps(), json=config_map("Bad Name")).status_code == 422
            assert client.post(maps(), params={"dryRun": "All"}, json=config_map(name)).status_code == 201
            assert create(client, name, "other").status_code == 201
            assert not rule.reached.is_set()
            assert create(client, f"{name}-2").status_code == 201
            assert rule.reached.is_set()
            assert create(client, f"{name}-3").status_code == 409
            assert client.get(maps()).status_code == 200

    def test_a_write_counts_also_where_its_client_is_gone(self, served: Served, name: str) -> None:
        """Whoever cuts the connection while the API server commits has written all the same."""
        rule = CrashPoint("crash", writes_in("default"), 3)
        body = json.dumps(config_map("NAME")).encode()
        with served.world.proxy.disturb(rule):
            for number in range(12):
                text = body.replace(b"NAME", f"{name}-{number}".encode())
                connection = served.connect()
                connection.sendall(
                    f"POST {maps()} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {served.world.token}\r\n"
                    f"Content-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n".encode()
                    + text
                )
                connection.close()
            served.recorded(12)
            # A write that was never sent, since its client was gone by then, leaves room for others.
            for number in range(12, 16):
                create(served.http(), f"{name}-{number}")
            assert rule.reached.is_set()
            assert len(self.accepted(served.world, name)) == 3

    def test_two_points_in_two_namespaces_are_reached_side_by_side(self, served: Served, name: str) -> None:
        here = CrashPoint("here", writes_in("default"), 1)
        there = CrashPoint("there", writes_in("other"), 2)
        with served.world.proxy.disturb(here, there):
            codes = [
                create(served.http(), f"{name}-{n}", namespace).status_code
                for n in range(3)
                for namespace in ("default", "other")
            ]
        assert codes == [201, 201, 409, 201, 409, 409]


class TestFrames:
    @pytest.mark.parametrize(
        ("mode", "expected"),
        [("all", ("ADDED", "MODIFIED", "MODIFIED")), ("latest", ("MODIFIED",)), ("none", ())],
    )
    def test_held_news_comes_as_the_scenario_says(
        self, served: Served, name: str, mode: str, expected: tuple[str, ...]
    ) -> None:
        kube = served.world.kube
        rule = HoldWatchEvents("held", IN_DEFAULT)
        with Watching(served.http(), EVERYWHERE) as watch:
            with served.world.proxy.disturb(rule):
                kube.create(maps(), config_map(name))
                for turn in range(2):
                    kube.patch(f"{maps()}/{name}", {"data": {"turn": str(turn)}})
                kube.create(maps("other"), config_map(f"{name}-other", "other"))
                watch.told(f"{name}-other", "ADDED")
                until(lambda: rule.applied >= 3, "the frames were not held")
                assert watch.of(name) == []
                rule.let_go(mode)
                watch.told(name, *expected)
            kube.delete(f"{maps()}/{name}")
            watch.told(name, *expected, "DELETED")
        held = [each.effect for each in served.disturbances("held")]
        assert sum(f"{kind} {name}" in each for each in held for kind in ("ADDED", "MODIFIED")) == 3
        assert any(each.startswith(f"let go of {mode}") for each in held)

    def test_the_end_of_the_block_lets_all_go(self, served: Served, name: str) -> None:
        rule = HoldWatchEvents("held", IN_DEFAULT)
        with Watching(served.http(), maps()) as watch:
            with served.world.proxy.disturb(rule):
                served.world.kube.create(maps(), config_map(name))
                assert rule.first.wait(WITHIN_S)
                assert watch.of(name) == []
            watch.told(name, "ADDED")

    def test_every_program_s_watch_is_held_and_no_other_namespace_s(
        self, served: Served, other: Served, name: str
    ) -> None:
        kube = served.world.kube
        rule = HoldWatchEvents("held", IN_DEFAULT)
        with (
            Watching(served.http(), maps()) as a,
            Watching(other.http(), EVERYWHERE) as b,
            Watching(served.http(), maps("other")) as c,
            served.world.proxy.disturb(rule),
        ):
            kube.create(maps(), config_map(name))
            kube.create(maps("other"), config_map(name, "other"))
            c.told(name, "ADDED")
            b.told(name, "ADDED")
            until(lambda: rule.applied >= 2, "not both were held")
            assert a.of(name) == []
            rule.let_go("all")
            a.told(name, "ADDED")
            b.told(name, "ADDED", "ADDED")

    def test_a_list_through_a_watch_is_not_told_complete_before_it_is(
        self, served: Served, name: str
    ) -> None:
        served.world.kube.create(maps(), config_map(name))
        rule = HoldWatchEvents("held", IN_DEFAULT)
        query = {
            "sendInitialEvents": "true",
            "resourceVersionMatch": "NotOlderThan",
            "allowWatchBookmarks": "true",
        }
        with (
            served.world.proxy.disturb(rule),
            Watching(served.http(), EVERYWHERE, **query) as watch,
        ):
            until(lambda: rule.applied >= 1, "nothing was held")
            served.world.kube.create(maps("other"), config_map(name, "other"))
            watch.told(name, "ADDED")
            assert all(event["type"] != "BOOKMARK" for event in watch.events)
            rule.let_go("all")
            watch.told(name, "ADDED", "ADDED")
            until(lambda: any(event["type"] == "BOOKMARK" for event in watch.events), "no bookmark")
            kinds = [event["type"] for event in watch.events]
            own = [e["object"]["metadata"].get("namespace") for e in watch.events].index("default")
            assert own < kinds.index("BOOKMARK")

    def test_a_watch_does_not_end_before_its_news_is_told(self, served: Served, name: str) -> None:
        rule = HoldWatchEvents("held", IN_DEFAULT)
        with served.world.proxy.disturb(rule), Watching(served.http(), maps(), timeoutSeconds="1") as watch:
            served.world.kube.create(maps(), config_map(name))
            assert not watch.ended.wait(3.0)
            rule.let_go("all")
            assert watch.ended.wait(WITHIN_S)
            assert watch.of(name) == ["ADDED"]
            assert watch.error is None

    def test_late_news_comes_late_and_whole(self, served: Served, name: str) -> None:
        rule = DelayWatchEvents("late", IN_DEFAULT, 1.0)
        kube = served.world.kube
        with Watching(served.http(), maps()) as watch, served.world.proxy.disturb(rule):
            before = served.world.recording.clock.now()
            kube.create(maps(), config_map(name))
            kube.patch(f"{maps()}/{name}", {"data": {"a": "1"}})
            watch.told(name, "ADDED", "MODIFIED")
            assert served.world.recording.clock.now() - before >= 1.0

    def test_replay_tells_the_last_news_once_more(self, served: Served, name: str) -> None:
        kube = served.world.kube
        with Watching(served.http(), EVERYWHERE) as watch, Watching(served.http(), maps("other")) as there:
            kube.create(maps(), config_map(name))
            kube.patch(f"{maps()}/{name}", {"data": {"a": "1"}})
            kube.create(maps("other"), config_map(name, "other"))
            there.told(name, "ADDED")
            until(lambda: sorted(watch.of(name)) == ["ADDED", "ADDED", "MODIFIED"], "not told")
            meant = Match(resources=frozenset({"configmaps"}), namespaces=frozenset({"default"}), name=name)
            assert served.world.proxy.replay("again", meant) == 1
            until(lambda: watch.of(name).count("MODIFIED") == 2, "not told again")
            again = [e["object"] for e in watch.events if e["type"] == "MODIFIED"]
            assert again[0] == again[1]
            assert there.of(name) == ["ADDED"]
        assert [each.effect for each in served.disturbances("again")] == ["1 frames replayed"]

    def test_a_watch_is_silent_until_it_tells_of_what_is_meant(self, served: Served, name: str) -> None:
        kube = served.world.kube
        meant = Match(resources=frozenset({"configmaps"}), namespaces=frozenset({"default"}), name=name)
        with Watching(served.http(), EVERYWHERE) as watch, Watching(served.http(), maps("other")):
            kube.create(maps(), config_map(f"{name}-beside"))
            until(lambda: watch.of(f"{name}-beside") == ["ADDED"], "not told")
            assert served.world.proxy.silent(meant) == 1
            kube.create(maps(), config_map(name))
            until(lambda: watch.of(name) == ["ADDED"], "not told")
            assert served.world.proxy.silent(meant) == 0

    def test_expired_watches_end_with_410(self, served: Served, name: str) -> None:
        with Watching(served.http(), maps()) as watch, Watching(served.http(), maps("other")) as there:
            assert served.world.proxy.expire("gone", IN_DEFAULT) == 1
            assert watch.ended.wait(WITHIN_S)
            assert watch.error is None
            last = watch.events[-1]
            assert (last["type"], last["object"]["code"]) == ("ERROR", 410)
            assert served.world.proxy.open_watches(IN_DEFAULT) == 0
            assert not there.ended.is_set()
        assert [each.effect for each in served.disturbances("gone")] == ["ended with 410 Gone"]

    def test_who_follows_by_list_and_watch_lists_anew(self, served: Served, name: str) -> None:
        """The recorder lists and watches as an informer does."""
        kube = Kube(served.kubeconfig())
        with WatchRecorder(served.world.recording, kube, {"configmaps": maps()}) as follower:
            served.recorded(1, verb="list")
            until(lambda: served.world.proxy.open_watches(IN_DEFAULT) == 1, "no watch")
            assert served.world.proxy.expire("gone", IN_DEFAULT) == 1
            served.world.kube.create(maps(), config_map(name))
            served.recorded(2, verb="list")
            until(lambda: name in follower.objects("configmaps", "default"), "not seen after the relist")
        until(lambda: served.world.proxy.open_watches(IN_DEFAULT) == 1, "no watch again")

    def test_a_watch_nobody_reads_does_not_keep_the_scenario(self, served: Served, name: str) -> None:
        kube = served.world.kube
        deaf = served.connect()
        deaf.sendall(
            f"GET {maps()}?watch=1 HTTP/1.1\r\nHost: x\r\n"
            f"Authorization: Bearer {served.world.token}\r\n\r\n".encode()
        )
        until(lambda: served.world.proxy.open_watches(IN_DEFAULT) == 1, "no watch")
        kube.create(maps(), config_map(name, text="x" * 900_000))
        for turn in range(12):
            kube.patch(f"{maps()}/{name}", {"data": {"turn": str(turn)}})
        with Watching(served.http(), maps()) as watch:
            served.world.proxy.replay("again", IN_DEFAULT)
            served.world.proxy.expire("gone", IN_DEFAULT)
            assert watch.ended.wait(WITHIN_S)
            assert watch.error is None
        until(lambda: served.world.proxy.open_watches(IN_DEFAULT) == 0, "still open")
        kube.delete(f"{maps()}/{name}")


class TestRefusal:
    def test_connecting_is_refused_and_then_accepted_on_the_same_listener(
        self, served: Served, other: Served, name: str
    ) -> None:
        proxy = served.world.proxy
        assert served.http().get("/version").status_code == 200
        for _ in range(3):
            watch = Watching(served.http(), maps()).__enter__()
            proxy.refuse_connections()
            try:
                assert watch.ended.wait(WITHIN_S)
                for port in (served.port, other.port):
                    with pytest.raises(ConnectionRefusedError):
                        socket.create_connection(("127.0.0.1", port), timeout=WITHIN_S)
            finally:
                proxy.accept_connections()
            watch.leave()
            for each in (served, other):
                assert each.http().get("/version").status_code == 200
        proxy.accept_connections()
        assert served.http().get("/version").status_code == 200

    def test_a_kept_connection_is_cut(self, served: Served) -> None:
        client = served.http()
        assert client.get("/version").status_code == 200
        served.world.proxy.refuse_connections()
        try:
            with pytest.raises((httpx.ConnectError, *LOST)):
                client.get("/version")
        finally:
            served.world.proxy.accept_connections()
        assert client.get("/version").status_code == 200

    def test_a_program_that_starts_meanwhile_is_refused_too(self, world: World, name: str) -> None:
        world.proxy.refuse_connections()
        try:
            with world.served(name) as served, served.opened:
                with pytest.raises(ConnectionRefusedError):
                    socket.create_connection(("127.0.0.1", served.port), timeout=WITHIN_S)
                world.proxy.accept_connections()
                assert served.http().get("/version").status_code == 200
        finally:
            world.proxy.accept_connections()

    def test_refusing_costs_nothing_meanwhile(self, served: Served) -> None:
        """A listener that is shut down must not keep the proxy's thread spinning."""
        import psutil

        served.world.proxy.refuse_connections()
        try:
            before = sum(psutil.Process().cpu_times()[:2])
            threading.Event().wait(2.0)
            assert sum(psutil.Process().cpu_times()[:2]) - before < 1.0
        finally:
            served.world.proxy.accept_connections()
