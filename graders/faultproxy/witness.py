"""Puts on record what the proxy saw and what it did; a learner's words are cut to a length."""

from __future__ import annotations

from collections import Counter

from graders.evidence.recording import Recording
from graders.evidence.records import Disturbance, Exchange, effective_verb
from graders.faultproxy.rules import InFlight
from graders.kube.requestinfo import WRITES

_MOST_NAMESPACES = 10_000


class Witness:
    """Writes to the bundle, and rings for who waits for a disturbance."""

    def __init__(self, recording: Recording, cluster: str = "") -> None:
        self._recording = recording
        self._cluster = cluster
        self.now = recording.clock.now
        self.writes: Counter[str] = Counter()
        """Writing requests, by namespace."""
        self.requests = 0
        """Requests of all kinds."""
        self.churn = 0
        """Pods that were created, and objects that were deleted."""

    def note(self, rule: str, request: InFlight, what: str) -> None:
        """One application of a rule."""
        asked = request.asked
        self._recording.writer.add(
            Disturbance(
                self.now(), rule, request.instance, what,
                asked.verb[:20], asked.resource[:200], asked.subresource[:100], asked.namespace[:100],
                asked.name[:300], self._cluster,
            )
        )  # fmt: skip
        self._recording.changes.notify()

    def exchanged(self, flight: InFlight, user_agent: str) -> None:
        """One request, however it ended."""
        asked = flight.asked
        if asked.verb in WRITES and (asked.namespace in self.writes or len(self.writes) < _MOST_NAMESPACES):
            self.writes[asked.namespace] += 1
        self.requests += 1
        did = effective_verb(asked.verb, flight.code)
        created = did == "create" and asked.resource == "pods" and not asked.subresource
        self.churn += 200 <= flight.code < 300 and (created or did == "delete")
        self._recording.writer.add(
            Exchange(
                t=flight.t, t_end=self.now(), instance=flight.instance,
                verb=asked.verb[:20], group=asked.group[:100], resource=asked.resource[:200],
                subresource=asked.subresource[:100], namespace=asked.namespace[:100], name=asked.name[:300],
                code=flight.code, rules=tuple(dict.fromkeys(flight.touched)), user_agent=user_agent[:200],
                cluster=self._cluster,
            )
        )  # fmt: skip
