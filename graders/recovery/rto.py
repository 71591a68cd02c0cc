"""RTO: all probes of one fault together, as one interval or a reason to measure again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from graders.recovery.intervals import Interval, largest
from graders.recovery.outages import Episode, ProbeOutage, RunbookAct, probe_outage
from graders.recovery.probes import ProbeSpec
from graders.recovery.records import ProbeSample, StarvationSample
from graders.recovery.voids import stalled, starved

Probes = Mapping[ProbeSpec, Sequence[ProbeSample]]
"""The samples of each probe that judges the fault."""


@dataclass(frozen=True)
class RecoveryMeasurement:
    """What was measured of one fault.

    `rto_s` is the largest of the probes', censored if not recovered in time. `recovered` is R, when the
    last probe's recovery was answered, in seconds of the run. `behind` is the act that R had to move behind.
    `failed_probes` names those that failed at all. `voids` says why the measurement counts for nothing.
    """

    rto_s: Interval
    recovered: float | None
    outages: tuple[ProbeOutage, ...]
    behind: RunbookAct | None
    voids: tuple[str, ...]

    @property
    def failed_probes(self) -> tuple[str, ...]:
        """The probes that saw the outage."""
        return tuple(each.spec.name for each in self.outages if each.first_bad is not None)

    @property
    def counts(self) -> Interval | None:
        """The interval, or None where the measurement is void: what `decide` takes."""
        return None if self.voids else self.rto_s


def measure_recovery(
    episode: Episode,
    probes: Probes,
    control: Sequence[StarvationSample],
    *,
    dead: Sequence[str] = (),
    unseen: str = "",
) -> RecoveryMeasurement:
    """The RTO of one fault over all probes that judge it.

    It counts when the last of them is back: steady state is all of them together. An act of the runbook over
    `act_grace_s` after *that* moment shows that it was none, and every probe's R moves behind the last such
    act. (An act between the recoveries of two probes moves nothing: the runbook was still at it.) Without
    `restored` nothing recovered, whatever the probes say.

    Args:
        episode: the fault and its terms.
        probes: what was sampled, from before the fault on.
        control: the processor's control over the same time.
        dead: processes of the harness that died.
        unseen: why a fault that no probe saw counts for nothing: that all four probes judge it, so that one
            must fail, or that the record does not show it otherwise; empty where it counts.

    Raises:
        ValueError: there are no probes.
    """
    outages, behind = _outages(episode, probes)
    answered = [each.recovered for each in outages if each.recovered is not None]
    complete = episode.restored and len(answered) == len(outages)
    recovered = max(answered) if complete else None
    rto_s = largest(each.rto_s for each in outages)
    if not episode.restored:
        watched_s = min(episode.deadline_s, episode.ended - episode.injection.t0b)
        rto_s = Interval(max(rto_s.lower_s, watched_s), None)
    found = RecoveryMeasurement(rto_s, recovered, outages, behind, ())
    voids = [
        *_instrument(episode, probes, control, found),
        *(f"{name} died" for name in dead),
        *([unseen] if unseen and not found.failed_probes else []),
    ]
    return replace(found, voids=tuple(voids))


def _outages(episode: Episode, probes: Probes) -> tuple[tuple[ProbeOutage, ...], RunbookAct | None]:
    """What every probe saw, and the act that their recoveries had to move behind."""
    outages = tuple(probe_outage(spec, samples, episode) for spec, samples in probes.items())
    answered = [each.recovered for each in outages if each.recovered is not None]
    if len(answered) < len(outages):
        return outages, None
    latest = max(answered) + episode.act_grace_s
    late = [act for act in episode.acts if act.t > latest]
    if not late:
        return outages, None
    behind = max(late, key=lambda act: act.t_end)
    return tuple(probe_outage(spec, samples, episode, behind) for spec, samples in probes.items()), behind


def _instrument(
    episode: Episode, probes: Probes, control: Sequence[StarvationSample], found: RecoveryMeasurement
) -> list[str]:
    """What was wrong with the slots, from t0a to the end of W, and with the processor, from t0a to R."""
    since = episode.injection.t0a
    horizon = min(episode.due, episode.ended)
    until = horizon
    if found.recovered is not None:
        horizon = found.recovered
        until = found.recovered + episode.stable_s
    wrong = [stalled(spec, samples, since, until) for spec, samples in probes.items()]
    wrong.append(starved(control, since, horizon))
    if episode.restored and found.recovered is None:
        wrong += [
            f"the record of probe {each.spec.name} ends before it could show a recovery"
            for each in found.outages
            if each.recovery is None and (each.cut_short or episode.ended < episode.due)
        ]
    return [each for each in wrong if each]
