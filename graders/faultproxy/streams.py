"""One open watch: its frames pass, are held, are told twice, or end with it."""

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from graders.faultproxy.holdwatch import DelayWatchEvents, HoldWatchEvents
from graders.faultproxy.rules import InFlight
from graders.kube.nesting import read_json
from graders.kube.requestinfo import Match

_MOST_REMEMBERED = 512
_BOOKMARK = "BOOKMARK"

GONE = {
    "kind": "Status",
    "apiVersion": "v1",
    "metadata": {},
    "status": "Failure",
    "message": "too old resource version",
    "reason": "Expired",
    "code": 410,
}


@dataclass(frozen=True)
class Frame:
    """One event of a watch, as it came and as it reads; `uid` names its object."""

    line: bytes
    kind: str
    item: dict[str, Any]

    @property
    def uid(self) -> str:
        """Of the object; empty where it has none."""
        metadata = self.item.get("metadata")
        return str(metadata.get("uid", "")) if isinstance(metadata, dict) else ""


def read_frame(line: bytes) -> Frame | None:
    """Read a frame; None for what is not one, such as a table row."""
    try:
        event = read_json(line)
        kind, item = event["type"], event["object"]
    except (ValueError, TypeError, KeyError):
        return None
    return Frame(line, str(kind), item) if isinstance(item, dict) else None


@dataclass
class Memory:
    """How many bytes of past frames all watches may remember together, and each."""

    most_bytes: int = 48 * 1024 * 1024
    most_bytes_each: int = 4 * 1024 * 1024
    bytes: int = 0


@dataclass(frozen=True, eq=False)
class _Held:
    rule: HoldWatchEvents
    line: bytes
    kind: str
    uid: str


@dataclass(eq=False)
class Stream:
    """A watch under way; used in the proxy's thread only. `cut` drops the client's connection."""

    request: InFlight
    write: Callable[[bytes], Awaitable[None]]
    cut: Callable[[], None]
    memory: Memory = field(default_factory=Memory)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    """Set to end it from our side."""

    def __post_init__(self) -> None:
        self._turn = asyncio.Lock()
        self._held: list[_Held] = []
        self._nothing_held = asyncio.Event()
        self._nothing_held.set()
        self._past: deque[bytes] = deque()
        self._past_bytes = 0
        self._late: set[asyncio.Task[None]] = set()

    async def take(self, line: bytes, rules: Sequence[HoldWatchEvents]) -> None:
        """Pass a frame on, or hold it if one of the rules says so."""
        async with self._turn:
            frame = read_frame(line) if rules or self._held else None
            rule = self._holder(frame, rules) if frame is not None else None
            if frame is None or rule is None:
                await self._deliver(line)
                return
            held = _Held(rule, line, frame.kind, frame.uid)
            self._held.append(held)
            self._nothing_held.clear()
            if isinstance(rule, DelayWatchEvents):
                self._let_go_at(held, rule, rule.clock() + rule.late_s)

    async def release(self, rule: HoldWatchEvents, mode: str) -> int:
        """Let go of what `rule` held: `all`, the `latest` of each object, or `none`; gives how many."""
        async with self._turn:
            chosen = _chosen([held for held in self._held if held.rule is rule], mode)
            self._forget([held for held in self._held if held.rule is rule])
            for held in chosen:
                await self._deliver(held.line)
            return sum(held.kind != _BOOKMARK for held in chosen)

    async def replay(self, match: Match) -> int:
        """Tell once more the last news of every object that is meant; gives how many."""
        async with self._turn:
            frames = [frame for frame in map(read_frame, self._past) if frame is not None]
            meant = [f for f in frames if f.kind not in (_BOOKMARK, "ERROR") and match.covers_object(f.item)]
            for frame in (chosen := _chosen(meant, "latest")):
                await self.write(frame.line)
            return len(chosen)

    def remembers(self, match: Match) -> bool:
        """Whether it has told news of any object that is meant."""
        frames = map(read_frame, self._past)
        return any(frame is not None and match.covers_object(frame.item) for frame in frames)

    async def expire(self) -> None:
        """Say `410 Gone` as the API server does, and end."""
        async with self._turn:
            if not self.ended.is_set():
                self._forget(self._held)
                await self.write(json.dumps({"type": "ERROR", "object": GONE}).encode() + b"\n")
                self.ended.set()

    async def drained(self) -> None:
        """Return once nothing is held: the API server's end of a watch waits for what came before."""
        await self._nothing_held.wait()

    def close(self) -> None:
        """Give back what it took."""
        for task in self._late:
            task.cancel()
        self._forget(self._held)
        while self._past:
            self._drop_oldest()

    def _holder(self, frame: Frame, rules: Sequence[HoldWatchEvents]) -> HoldWatchEvents | None:
        for rule in rules:
            if rule.take(self.request, frame.kind, frame.item, len(frame.line)):
                return rule
        # A bookmark says that all before it was told.
        return self._held[-1].rule if frame.kind == _BOOKMARK and self._held else None

    def _forget(self, gone: Sequence[_Held]) -> None:
        for held in gone:
            if held.kind != _BOOKMARK:
                held.rule.held_bytes -= len(held.line)
        names = set(gone)
        self._held = [held for held in self._held if held not in names]
        if not self._held:
            self._nothing_held.set()

    def _let_go_at(self, due: _Held, rule: DelayWatchEvents, at: float) -> None:
        """Let go of a late frame at a time of its rule's clock; who comes before it was due before it."""
        left_s = at - rule.clock()
        if left_s > 0 and due in self._held:
            asyncio.get_running_loop().call_later(left_s, self._let_go_at, due, rule, at)
        else:
            self._let_late_go(due)

    def _let_late_go(self, due: _Held) -> None:
        async def let_go() -> None:
            async with self._turn:
                if due in self._held:
                    earlier = self._held[: self._held.index(due) + 1]
                    frames = [held for held in earlier if held.rule is due.rule]
                    self._forget(frames)
                    for held in frames:
                        await self._deliver(held.line)

        if due not in self._held:
            return
        task = asyncio.get_running_loop().create_task(let_go())
        self._late.add(task)
        task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[None]) -> None:
        """A client that is gone misses what came late."""
        self._late.discard(task)
        if not task.cancelled():
            task.exception()

    async def _deliver(self, line: bytes) -> None:
        await self.write(line)
        memory = self.memory
        self._past.append(line)
        self._past_bytes += len(line)
        memory.bytes += len(line)
        while self._past and (
            len(self._past) > _MOST_REMEMBERED
            or self._past_bytes > memory.most_bytes_each
            or memory.bytes > memory.most_bytes
        ):
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        size = len(self._past.popleft())
        self._past_bytes -= size
        self.memory.bytes -= size


F = TypeVar("F", Frame, _Held)


def _chosen(frames: list[F], mode: str) -> list[F]:
    if mode == "all":
        return frames
    if mode == "latest":
        last = {frame.uid: number for number, frame in enumerate(frames)}
        return [frame for number, frame in enumerate(frames) if last[frame.uid] == number]
    return [frame for frame in frames if frame.kind == _BOOKMARK]
