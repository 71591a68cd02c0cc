"""The rules that keep the news of a watch back."""

import time
from collections.abc import Callable
from typing import Any

from graders.faultproxy.rules import InFlight, Rule
from graders.kube.requestinfo import Match, RequestInfo

_NEWS = frozenset({"ADDED", "MODIFIED", "DELETED"})


class HoldWatchEvents(Rule):
    """News of the objects that are meant is kept from every watch, until it is let go of.

    A bookmark behind such news waits with it: it would say that the news was told.
    """

    MOST_BYTES = 32 * 1024 * 1024

    def __init__(self, name: str, match: Match) -> None:
        super().__init__(name, match)
        self.let_go: Callable[[str], None] = _nothing
        """Set by the proxy: lets go of `all`, the `latest` of each object, or `none` of them."""
        self.held_bytes = 0

    def holds(self, info: RequestInfo) -> bool:
        """Watches of the resources that are meant."""
        return self.match.covers_stream(info)

    def take(self, request: InFlight, kind: str, item: dict[str, Any], size: int) -> bool:
        """Whether to hold this frame."""
        if kind not in _NEWS or not self.match.covers_object(item) or self.held_bytes > self.MOST_BYTES:
            return False
        self.held_bytes += size
        metadata = item["metadata"]
        return self._apply(request, f"held back: {kind} {metadata.get('name')}")


class DelayWatchEvents(HoldWatchEvents):
    """News of the objects that are meant comes `late_s` seconds late to every watch, in order.

    The seconds are those of `clock`, which may be slower than others but never goes back.
    """

    def __init__(
        self, name: str, match: Match, late_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(name, match)
        self.late_s = late_s
        self.clock = clock


def _nothing(mode: str) -> None:
    del mode
