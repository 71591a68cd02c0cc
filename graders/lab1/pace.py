"""How often an operator asked while something was waited for, and whether its own throttle set the pace."""

from collections import Counter
from dataclasses import dataclass
from statistics import median

from graders.evidence.bundle import Bundle

_SHORTEST_S = 5
_FEWEST_A_SECOND = 4
_SPREAD = 1.5
_MOSTLY = 0.7


@dataclass(frozen=True)
class ClientPace:
    """Requests of an operator in some seconds; `limit` is how many a second its own client let through."""

    requests: int
    seconds: float
    limit: int

    def __str__(self) -> str:
        return (
            f"The operator asked {self.requests} times in these {self.seconds:g} s, {self.limit} times in "
            "nearly every second, as a client does that throttles itself: raise its limit (QPS and burst in "
            "client-go), ask for less, or let what is new go before what is only looked at again."
        )


def own_pace(bundle: Bundle, since: float, until: float) -> ClientPace | None:
    """The even pace of the operator's requests between two times of the run; None if they came as they would.

    Whoever is not throttled asks in bursts. Watches are long, and no request of a throttle's choosing.
    """
    first, last = int(since) + 1, int(until)
    if last - first < _SHORTEST_S:
        return None
    asked = [
        event.t
        for event in bundle.audit
        if event.user == bundle.manifest.learner and event.verb != "watch" and since <= event.t < until
    ]
    by_second = Counter(int(t) for t in asked)
    counts = [by_second[second] for second in range(first, last)]
    usual = median(counts)
    even = sum(abs(count - usual) <= max(_SPREAD, usual / 10) for count in counts)
    if usual < _FEWEST_A_SECOND or even < _MOSTLY * len(counts):
        return None
    return ClientPace(len(asked), round(until - since, 1), round(usual))
