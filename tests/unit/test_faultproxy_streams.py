"""Frames of a watch pass, wait, come late, come twice or end, and none is lost or told out of turn."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from graders.faultproxy.holdwatch import DelayWatchEvents, HoldWatchEvents
from graders.faultproxy.rules import InFlight
from graders.faultproxy.streams import Memory, Stream, read_frame
from graders.kube.requestinfo import Match, read_request_info

IN_A = Match(resources=frozenset({"pods"}), namespaces=frozenset({"a"}))


def frame(kind: str, name: str, version: int, namespace: str = "a") -> bytes:
    metadata = {"name": name, "namespace": namespace, "uid": f"uid-{name}", "resourceVersion": str(version)}
    return json.dumps({"type": kind, "object": {"kind": "Pod", "metadata": metadata}}).encode() + b"\n"


def bookmark(version: int) -> bytes:
    metadata = {"resourceVersion": str(version)}
    return json.dumps({"type": "BOOKMARK", "object": {"kind": "Pod", "metadata": metadata}}).encode() + b"\n"


class Client:
    """What a watching client read, and a stream to it."""

    def __init__(self, memory: Memory | None = None) -> None:
        self.lines: list[bytes] = []
        self.reads = asyncio.Event()
        self.reads.set()
        self.cut = False
        request = InFlight(read_request_info("GET", "/api/v1/pods?watch=1"), "operator-1", 0.0)
        self.stream = Stream(request, self.write, self.hang_up, memory or Memory())

    async def write(self, line: bytes) -> None:
        await self.reads.wait()
        self.lines.append(line)

    def hang_up(self) -> None:
        self.cut = True

    @property
    def told(self) -> list[str]:
        """The frames in short: `ADDED x 5`."""
        events = [json.loads(line) for line in self.lines]
        return [
            " ".join(
                [
                    event["type"],
                    event["object"]["metadata"].get("name", ""),
                    event["object"]["metadata"].get("resourceVersion", ""),
                ]
            )
            for event in events
        ]


def played(story: Callable[[Client], Awaitable[None]], memory: Memory | None = None) -> list[str]:
    """Act out a story with a client; gives what it was told."""

    async def act() -> list[str]:
        client = Client(memory)
        await story(client)
        return client.told

    return asyncio.run(act())


def test_without_a_rule_every_line_passes_as_it_came() -> None:
    async def act() -> None:
        client = Client()
        lines = [frame("ADDED", "x", 1), b"not json\n", b"\n", b'{"type": 5}\n', b"[" * 5000 + b"\n"]
        for line in lines:
            await client.stream.take(line, [])
        for line in lines:
            await client.stream.take(line, [HoldWatchEvents("held", IN_A)])
        assert client.lines == [*lines, *lines[1:]]

    asyncio.run(act())


def test_held_frames_come_all_in_their_order() -> None:
    rule = HoldWatchEvents("held", IN_A)

    async def story(client: Client) -> None:
        for number in range(5):
            await client.stream.take(frame("MODIFIED", f"x{number % 2}", number), [rule])
        assert client.lines == []
        assert await client.stream.release(rule, "all") == 5

    assert played(story) == [f"MODIFIED x{number % 2} {number}" for number in range(5)]


def test_only_the_latest_of_each_object_comes() -> None:
    rule = HoldWatchEvents("held", IN_A)

    async def story(client: Client) -> None:
        for kind, name, version in (("ADDED", "x", 1), ("ADDED", "y", 2), ("MODIFIED", "x", 3)):
            await client.stream.take(frame(kind, name, version), [rule])
        assert await client.stream.release(rule, "latest") == 2

    assert played(story) == ["ADDED y 2", "MODIFIED x 3"]


def test_held_frames_can_be_forgotten() -> None:
    rule = HoldWatchEvents("held", IN_A)

    async def story(client: Client) -> None:
        await client.stream.take(frame("DELETED", "x", 1), [rule])
        assert await client.stream.release(rule, "none") == 0
        await client.stream.take(frame("ADDED", "y", 2), [])

    assert played(story) == ["ADDED y 2"]


def test_other_namespaces_hear_everything_at_once() -> None:
    rule = HoldWatchEvents("held", IN_A)

    async def story(client: Client) -> None:
        await client.stream.take(frame("ADDED", "x", 1, "a"), [rule])
        await client.stream.take(frame("ADDED", "x", 2, "b"), [rule])
        assert client.told == ["ADDED x 2"]

    assert played(story) == ["ADDED x 2"]


def test_a_bookmark_never_overtakes_news() -> None:
    rule = HoldWatchEvents("held", IN_A)

    async def story(client: Client) -> None:
        await client.stream.take(bookmark(1), [rule])
        await client.stream.take(frame("ADDED", "x", 2), [rule])
        await client.stream.take(bookmark(3), [rule])
        assert client.told == ["BOOKMARK  1"]
        assert await client.stream.release(rule, "latest") == 1

    assert played(story) == ["BOOKMARK  1", "ADDED x 2", "BOOKMARK  3"]


def test_the_bookmark_that_ends_a_first_list_comes_even_where_its_news_is_forgotten() -> None:
    rule = HoldWatchEvents("held", IN_A)

    async def story(client: Client) -> None:
        await client.stream.take(frame("ADDED", "x", 2), [rule])
        await client.stream.take(bookmark(3), [rule])
        await client.stream.release(rule, "none")

    assert played(story) == ["BOOKMARK  3"]


def test_an_error_of_the_api_server_s_is_never_held() -> None:
    rule = HoldWatchEvents("held", Match(resources=frozenset({"pods"})))
    error = b'{"type":"ERROR","object":{"kind":"Status","metadata":{},"code":410}}\n'

    async def story(client: Client) -> None:
        await client.stream.take(frame("ADDED", "x", 1), [rule])
        await client.stream.take(error, [rule])

    assert played(story) == ["ERROR  "]


def test_two_rules_let_go_of_their_own_only() -> None:
    a, b = HoldWatchEvents("a", IN_A), HoldWatchEvents("b", Match(namespaces=frozenset({"b"})))

    async def story(client: Client) -> None:
        await client.stream.take(frame("ADDED", "x", 1, "a"), [a, b])
        await client.stream.take(frame("ADDED", "y", 2, "b"), [a, b])
        assert await client.stream.release(b, "all") == 1
        assert client.told == ["ADDED y 2"]
        assert await client.stream.release(a, "all") == 1

    assert played(story) == ["ADDED y 2", "ADDED x 1"]


def test_late_frames_come_by_themselves_in_order() -> None:
    rule = DelayWatchEvents("late", IN_A, 0.05)

    async def story(client: Client) -> None:
        for number in range(4):
            await client.stream.take(frame("MODIFIED", "x", number), [rule])
        await client.stream.take(bookmark(4), [rule])
        assert client.lines == []
        async with asyncio.timeout(10):
            await client.stream.drained()
            while len(client.lines) < 5:
                await asyncio.sleep(0.01)

    assert played(story) == [*(f"MODIFIED x {number}" for number in range(4)), "BOOKMARK  4"]
    assert rule.held_bytes == 0


def test_late_frames_keep_to_a_clock_that_is_slow() -> None:
    began = time.monotonic()
    rule = DelayWatchEvents("late", IN_A, 0.05, lambda: (time.monotonic() - began) / 4)

    async def story(client: Client) -> None:
        for number in range(2):
            await client.stream.take(frame("MODIFIED", "x", number), [rule])
        async with asyncio.timeout(10):
            while len(client.lines) < 2:
                await asyncio.sleep(0.01)
        assert time.monotonic() - began >= 0.2

    assert played(story) == ["MODIFIED x 0", "MODIFIED x 1"]


def test_a_late_frame_let_go_of_early_comes_once() -> None:
    rule = DelayWatchEvents("late", IN_A, 0.02)

    async def story(client: Client) -> None:
        await client.stream.take(frame("ADDED", "x", 1), [rule])
        assert await client.stream.release(rule, "all") == 1
        held = HoldWatchEvents("held", IN_A)
        await client.stream.take(frame("MODIFIED", "x", 2), [held])
        await asyncio.sleep(0.1)

    assert played(story) == ["ADDED x 1"]


def test_the_end_of_a_watch_waits_for_what_is_held() -> None:
    rule = HoldWatchEvents("held", IN_A)

    async def story(client: Client) -> None:
        await client.stream.drained()
        await client.stream.take(frame("ADDED", "x", 1), [rule])
        waiting = asyncio.ensure_future(client.stream.drained())
        await asyncio.sleep(0)
        assert not waiting.done()
        await client.stream.release(rule, "all")
        async with asyncio.timeout(10):
            await waiting

    played(story)


def test_replay_tells_the_last_news_of_each_object_once_more() -> None:
    async def story(client: Client) -> None:
        for line in (
            frame("ADDED", "x", 1),
            frame("MODIFIED", "x", 2),
            frame("ADDED", "y", 3),
            frame("ADDED", "x", 4, "b"),
            bookmark(5),
        ):
            await client.stream.take(line, [])
        client.lines.clear()
        assert await client.stream.replay(IN_A) == 2
        assert await client.stream.replay(IN_A) == 2, "a replay is not itself remembered"

    assert played(story) == ["MODIFIED x 2", "ADDED y 3"] * 2


def test_what_a_client_was_never_told_is_not_replayed() -> None:
    rule = HoldWatchEvents("held", IN_A)

    async def story(client: Client) -> None:
        await client.stream.take(frame("ADDED", "x", 1), [rule])
        assert await client.stream.replay(IN_A) == 0

    assert played(story) == []


def test_expiring_says_410_and_ends_and_only_once() -> None:
    async def act() -> None:
        client = Client()
        await client.stream.expire()
        await client.stream.expire()
        assert client.stream.ended.is_set()
        [line] = client.lines
        event = json.loads(line)
        assert (event["type"], event["object"]["code"], event["object"]["reason"]) == (
            "ERROR",
            410,
            "Expired",
        )
        assert event["object"]["kind"] == "Status"

    asyncio.run(act())


def test_expiring_forgets_what_was_held() -> None:
    rule = HoldWatchEvents("held", IN_A)

    async def story(client: Client) -> None:
        await client.stream.take(frame("ADDED", "x", 1), [rule])
        await client.stream.expire()
        assert rule.held_bytes == 0
        assert await client.stream.release(rule, "all") == 0

    assert played(story) == ["ERROR  "]


def test_frames_that_are_held_are_bounded() -> None:
    rule = HoldWatchEvents("held", IN_A)
    line = frame("ADDED", "x" * 100_000, 1)

    async def story(client: Client) -> None:
        for _ in range(HoldWatchEvents.MOST_BYTES // len(line) + 10):
            await client.stream.take(line, [rule])
        assert rule.held_bytes <= HoldWatchEvents.MOST_BYTES + len(line)
        assert client.lines, "more than that passes"
        await client.stream.release(rule, "none")
        assert rule.held_bytes == 0

    played(story)


def test_what_all_watches_remember_is_bounded() -> None:
    memory = Memory(most_bytes=10_000, most_bytes_each=4_000)

    async def act() -> None:
        clients = [Client(memory) for _ in range(5)]
        for number in range(100):
            for client in clients:
                await client.stream.take(frame("ADDED", f"x{number}", number), [])
                assert memory.bytes <= 10_000
        assert 0 < await clients[-1].stream.replay(IN_A) < 100
        for client in clients:
            client.stream.close()
        assert memory.bytes == 0

    asyncio.run(act())


def test_a_closed_watch_gives_back_what_it_held() -> None:
    rule = DelayWatchEvents("late", IN_A, 30.0)

    async def story(client: Client) -> None:
        await client.stream.take(frame("ADDED", "x", 1), [rule])
        client.stream.close()
        assert rule.held_bytes == 0

    assert played(story) == []


@pytest.mark.parametrize(
    "line",
    [b"", b"{}", b"null", b"[]", b'"x"', b'{"type":"ADDED"}', b'{"type":"ADDED","object":[]}', b"{" * 9999],
)
def test_what_is_no_frame_is_none(line: bytes) -> None:
    assert read_frame(line) is None


@pytest.mark.parametrize("metadata", [None, [], "x", 5, {}, {"uid": None}, {"uid": {"a": 1}}])
def test_metadata_of_any_shape_breaks_nothing(metadata: Any) -> None:
    line = json.dumps({"type": "ADDED", "object": {"metadata": metadata}}).encode() + b"\n"
    rule = HoldWatchEvents("held", Match())

    async def act() -> None:
        client = Client()
        await client.stream.take(line, [rule])
        await client.stream.release(rule, "latest")
        await client.stream.replay(Match())

    asyncio.run(act())
