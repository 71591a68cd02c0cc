"""How an operator behaves while its API server is away."""

from collections.abc import Sequence

from graders.evidence.bundle import Bundle
from graders.judging import Facts, Findings, check
from graders.lab1.leaderelection import replica_of
from graders.lab1.trackrecord import track_record

MOST_REQUESTS = 600
MOST_A_SECOND = 50
MOST_STARTS = 5


@check(
    "api-outage",
    tracks=("api-outage",),
    hint="Back off exponentially, with a limit and some jitter, for all requests together; don't exit, wait.",
)
def check_api_outage(bundle: Bundle, facts: Facts) -> None:
    """An API server that is away for thirty seconds is waited for politely, and then caught up with."""
    story = track_record(
        bundle,
        "api-outage",
        hint="The API server had been away for half a minute and was back. Never give up trying.",
    )
    begun, back = story.mark("outage").t, story.mark("back").t
    replica = story.mark("outage").data["replica"]
    times = [
        each.t for each in bundle.exchanges if begun <= each.t < back and replica_of(each.instance) == replica
    ]
    starts = sum(
        begun <= each.t < back and each.event == "started" and replica_of(each.instance) == replica
        for each in bundle.processes
    )
    facts["requests"] = len(times)
    facts["most in a second"] = busiest(times)
    facts["process starts"] = starts
    facts["recovered_after_s"] = round(story.mark("recovered").t - back, 2)
    with Findings() as found:
        found.expect(
            len(times) <= MOST_REQUESTS,
            f"at most {MOST_REQUESTS} requests in the {back - begun:.0f} s of the outage",
            f"{len(times)}",
        )
        found.expect(
            busiest(times) <= MOST_A_SECOND,
            f"at most {MOST_A_SECOND} requests in any second of the outage",
            f"{busiest(times)} in one second",
        )
        found.expect(
            starts <= MOST_STARTS,
            f"at most {MOST_STARTS} starts of the process during the outage",
            f"{starts}",
            "Don't exit when the API server does not answer.",
        )


def busiest(times: Sequence[float]) -> int:
    """The most of `times`, in order, that lie within one second."""
    most = first = 0
    for last, t in enumerate(times):
        while times[first] <= t - 1.0:
            first += 1
        most = max(most, last - first + 1)
    return most
