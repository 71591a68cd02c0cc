"""One open watch: its frames pass, are held, are told twice, or end with it."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from graders.faultproxy.asked import Match
from graders.faultproxy.rules import HeldFrames, InFlight, LateFrames
from graders.kube.nesting import read_json

_MOST_REMEMBERED = 512
_MOST_REMEMBERED_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class Frame:
    """One event of a watch, as it came and as it reads; `uid` names its object."""

    line: bytes
    kind: str
    item: dict[str, Any]

    @property
    def uid(self) -> str:
        """Of the object; empty where it has none."""
        return str((self.item.get("metadata") or {}).get("uid", ""))


def read_frame(line: bytes) -> Frame | None:
    """Read a frame; None for what is not one, such as a table row."""
    try:
        event = read_json(line)
        kind, item = event["type"], event["object"]
    except (ValueError, TypeError, KeyError):
        return None
    return Frame(line, str(kind), item) if isinstance(item, dict) else None


@dataclass
class Stream:
    """A watch under way; used in the proxy's thread only."""

    request: InFlight
    write: Callable[[bytes], Awaitable[None]]
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    """Set to end it from our side."""

    def __post_init__(self) -> None:
        self._turn = asyncio.Lock()
        self._held: list[tuple[HeldFrames, Frame]] = []
        self._past: deque[bytes] = deque(maxlen=_MOST_REMEMBERED)
        self._past_bytes = 0
        self._late: set[asyncio.Task[None]] = set()

    async def take(self, line: bytes, rules: Iterable[HeldFrames]) -> None:
        """Pass a frame on, or hold it if one of the rules says so."""
        async with self._turn:
            for rule in rules:
                frame = read_frame(line)
                if frame is not None and rule.take(self.request, frame.kind, frame.item, len(line)):
                    self._held.append((rule, frame))
                    if isinstance(rule, LateFrames):
                        asyncio.get_running_loop().call_later(rule.late_s, self._release_oldest, rule)
                    return
            await self._deliver(line)

    async def release(self, rule: HeldFrames, mode: str) -> int:
        """Let go of what `rule` held: `all`, the `latest` of each object, or `none`; gives how many."""
        async with self._turn:
            frames = [frame for holder, frame in self._held if holder is rule]
            self._held = [pair for pair in self._held if pair[0] is not rule]
            for frame in (chosen := _chosen(frames, mode)):
                await self._deliver(frame.line)
            return len(chosen)

    def _release_oldest(self, rule: HeldFrames) -> None:
        async def release() -> None:
            async with self._turn:
                for number, (holder, frame) in enumerate(self._held):
                    if holder is rule:
                        del self._held[number]
                        await self._deliver(frame.line)
                        return

        task = asyncio.get_running_loop().create_task(release())
        self._late.add(task)
        task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[None]) -> None:
        """A client that is gone misses what came late."""
        self._late.discard(task)
        if not task.cancelled():
            task.exception()

    async def replay(self, match: Match) -> int:
        """Tell once more the last news of every object that is meant; gives how many."""
        async with self._turn:
            frames = [frame for frame in map(read_frame, self._past) if frame is not None]
            meant = [f for f in frames if f.kind != "BOOKMARK" and match.covers_object(f.item)]
            for frame in (chosen := _chosen(meant, "latest")):
                await self.write(frame.line)
            return len(chosen)

    async def expire(self) -> None:
        """Say `410 Gone` as the API server does, and end."""
        gone = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": "too old resource version",
            "reason": "Expired",
            "code": 410,
        }
        async with self._turn:
            if not self.ended.is_set():
                await self.write(json.dumps({"type": "ERROR", "object": gone}).encode() + b"\n")
                self.ended.set()

    async def _deliver(self, line: bytes) -> None:
        await self.write(line)
        self._past_bytes += len(line)
        if len(self._past) == _MOST_REMEMBERED:
            self._past_bytes -= len(self._past[0])
        self._past.append(line)
        while self._past_bytes > _MOST_REMEMBERED_BYTES:
            self._past_bytes -= len(self._past.popleft())


def _chosen(frames: list[Frame], mode: str) -> list[Frame]:
    if mode == "all":
        return frames
    if mode == "latest":
        last = {frame.uid: number for number, frame in enumerate(frames)}
        return [frame for number, frame in enumerate(frames) if last[frame.uid] == number]
    return []
