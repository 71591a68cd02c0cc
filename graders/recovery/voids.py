"""Voids: signs that the instrument, and not the cluster, was late; such a measurement says nothing.

Slots that are sent late hide failures between them, and a processor that the machine gave to others slows
the runbook while the slots may stay in time. Neither widens an interval: each voids it.
"""

from collections.abc import Sequence
from itertools import pairwise

from graders.recovery.probes import ProbeSpec, Slots
from graders.recovery.records import ProbeSample, StarvationSample

CONTROL_EVERY_S = 0.5
CONTROL_LATE_S = 0.3
CONTROL_LATE_SHARE = 0.1


def stalled(spec: ProbeSpec, samples: Sequence[ProbeSample], since: float, until: float) -> str:
    """Why a prober counts as stalled between two times; empty where it was in time.

    From the last slot before `since` on, two neighbours must not be sent over `widest_s` apart, and the last
    one not be further from `until`: so a prober that sends nothing for longer than that is always found, be
    it that it was late, left slots out, or ended.
    """
    sent = sorted(sample.t for sample in samples)
    before = [t for t in sent if t <= since]
    if not before:
        return f"probe {spec.name} has no slot before {since:.3f} s"
    watched = [before[-1], *(t for t in sent if since < t < until), until]
    gap_s, begun = max((later - t, t) for t, later in pairwise(watched))
    if gap_s <= spec.widest_s:
        return ""
    return f"probe {spec.name} sent nothing for {gap_s:.2f} s from {begun:.3f} s on"


def starved(control: Sequence[StarvationSample], since: float, until: float) -> str:
    """Why the processor counts as starved between two times; empty where it was not.

    The control's slots are every `CONTROL_EVERY_S`; one is late when its work was done over
    `CONTROL_LATE_S` later than on an idle machine, and so is one that is missing. A tenth of late ones
    voids. Where no slot is due in so short a stretch, the next one decides.
    """
    if not control:
        return "the control of the processor took no sample"
    slots = Slots(min(each.due for each in control), CONTROL_EVERY_S)
    due = slots.between(since, max(until, since + CONTROL_EVERY_S))
    if slots.begin > since + CONTROL_EVERY_S:
        return f"the control of the processor began only at {slots.begin:.3f} s"
    late_s = {round((each.due - slots.begin) / CONTROL_EVERY_S): each.late_s for each in control}
    late = [number for number in due if late_s.get(number, float("inf")) > CONTROL_LATE_S]
    if not late or len(late) < CONTROL_LATE_SHARE * len(due):
        return ""
    return f"the processor was starved in {len(late)} of {len(due)} slots of its control"
