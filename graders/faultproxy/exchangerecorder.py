"""Puts on record what the proxy saw and what it did; a learner's words are cut to a length."""

from collections import Counter

from graders.evidence.recording import Recording
from graders.evidence.records import Disturbance, Exchange, effective_verb
from graders.faultproxy.rules import InFlight
from graders.kube.requestinfo import WRITES

_MOST_NAMESPACES = 10_000


class ExchangeRecorder:
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
        info = request.info
        self._recording.writer.add(
            Disturbance(
                self.now(), rule, request.instance, what,
                info.verb[:20], info.resource[:200], info.subresource[:100], info.namespace[:100],
                info.name[:300], self._cluster,
            )
        )  # fmt: skip
        self._recording.changes.notify()

    def exchanged(self, flight: InFlight, user_agent: str) -> None:
        """One request, however it ended."""
        info = flight.info
        if info.verb in WRITES and (info.namespace in self.writes or len(self.writes) < _MOST_NAMESPACES):
            self.writes[info.namespace] += 1
        self.requests += 1
        did = effective_verb(info.verb, flight.code)
        created = did == "create" and info.resource == "pods" and not info.subresource
        self.churn += 200 <= flight.code < 300 and (created or did == "delete")
        self._recording.writer.add(
            Exchange(
                t=flight.t, t_end=self.now(), instance=flight.instance,
                verb=info.verb[:20], group=info.group[:100], resource=info.resource[:200],
                subresource=info.subresource[:100], namespace=info.namespace[:100], name=info.name[:300],
                code=flight.code, rules=tuple(dict.fromkeys(flight.touched)), user_agent=user_agent[:200],
                cluster=self._cluster,
            )
        )  # fmt: skip
