"""Looks at a build from outside, several times a second: what cannot be bounded beforehand is measured."""

from collections.abc import Callable
from typing import Any

from graders.faults import InfraFault
from graders.images.buildspec import MIB, BuildSpec
from graders.images.engine import BuildEngine
from graders.images.transcript import Transcript

LOOK_EVERY_S = 0.3

_WEIGH_EVERY_S = 1.5
_LIMITED_WITHIN_S = 10.0


class Watch:
    """Looks at a build from outside, and kills its steps once it took too much."""

    def __init__(
        self, engine: BuildEngine, spec: BuildSpec, started: float, clock: Callable[[], float]
    ) -> None:
        self.stopped = ""
        self._engine = engine
        self._order = spec
        self._started = started
        self._clock = clock
        self._looked_at = self._weighed_at = started
        self._unlimited_since: dict[str, float | None] = {}

    def look(self, transcript: Transcript) -> str:
        """Why the build is stopped; empty while it goes on."""
        now = self._clock()
        if now < self._looked_at + LOOK_EVERY_S:
            return self.stopped
        self._looked_at = now
        weigh = now >= self._weighed_at + _WEIGH_EVERY_S
        containers = self._engine.containers(self._order.label, sizes=weigh)
        for each in containers:
            if each.get("State") == "running":
                self._limit(each["Id"], now)
        self.stopped = self._reason(transcript, now, containers, weigh=weigh)
        return self.stopped

    def _limit(self, container: str, now: float) -> None:
        """Bound the processes of a step once; one that just starts or ends may not take it yet."""
        since = self._unlimited_since.setdefault(container, now)
        if since is None:
            return
        problem = self._engine.limit_processes(container, self._order.limits.pids)
        if not problem:
            self._unlimited_since[container] = None
        elif now > since + _LIMITED_WITHIN_S:
            raise InfraFault(f"the engine does not limit the processes of a build: {problem}")

    def _reason(
        self, transcript: Transcript, now: float, containers: list[dict[str, Any]], *, weigh: bool
    ) -> str:
        limits = self._order.limits
        if now > self._started + limits.wall_s:
            return f"took longer than {limits.wall_s:g} s"
        if transcript.is_too_much:
            return f"printed over {limits.printed_bytes // MIB} MiB"
        if weigh:
            self._weighed_at = self._clock()
            written = sum(int(each.get("SizeRw") or 0) for each in containers)
            if written + self._layers_bytes() > limits.disk_bytes:
                return f"wrote over {limits.disk_bytes // MIB} MiB"
        return ""

    def _layers_bytes(self) -> int:
        """What finished steps left: an image holds all that came before it in its stage."""
        images = self._engine.images(self._order.label)
        parents = {each.get("ParentId") for each in images}
        leaves = [int(each["Size"]) for each in images if each["Id"] not in parents]
        return sum(max(0, size - self._order.base_bytes) for size in leaves)
