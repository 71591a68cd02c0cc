"""What one probe saw of a fault: the samples around outage and recovery, and the intervals they give.

A request is decided at some instant between its sending and its answer. So a failure shows that the service
was away at an instant not before it was sent, and a success that it was there at one not after its answer.
That, and no assumption on when in between, bounds everything here.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from graders.recovery.intervals import Interval
from graders.recovery.probes import ProbeSpec
from graders.recovery.records import ProbeSample

CLOCK_ERROR_S = 1e-6
"""Times of a run are rounded to the microsecond."""


@dataclass(frozen=True)
class Injection:
    """The fault came between `t0a` and `t0b`: read before it was asked for, and after it was done."""

    t0a: float
    t0b: float

    def __post_init__(self) -> None:
        """Refuse a bracket that is none.

        Raises:
            ValueError: it ends before it begins, or a time is no number.
        """
        if not self.t0a <= self.t0b:
            raise ValueError(f"a fault that began at {self.t0a} was not done at {self.t0b}")


@dataclass(frozen=True)
class RunbookAct:
    """Something the runbook changed, from `t` to `t_end`: a call that stops or starts, a write to the API."""

    t: float
    t_end: float
    what: str = ""


@dataclass(frozen=True)
class Episode:
    """One fault, and the terms on which its recovery is measured; durations are scaled already.

    `deadline_s` after the fault a recovery counts no more. `ended` is until when probes and controls ran.
    `stable_s` is W, the stretch without failure that makes a success a recovery. `acts` are the changes of
    the runbook under measurement, and of no later run of it; one over `act_grace_s` after a recovery shows
    that it was none. `restored` says that the runbook ended with 0, or that the fault needs none.
    `clock_error_s` bounds the error of each reading of the clock.
    """

    injection: Injection
    deadline_s: float
    ended: float
    stable_s: float = 10.0
    acts: tuple[RunbookAct, ...] = ()
    act_grace_s: float = 5.0
    restored: bool = True
    clock_error_s: float = CLOCK_ERROR_S

    @property
    def due(self) -> float:
        """When it must have been recovered at the latest, in seconds of the run."""
        return self.injection.t0b + self.deadline_s


@dataclass(frozen=True)
class ProbeOutage:
    """The samples of one probe that bracket an outage: the first bad and the last bad, and R.

    `first_bad` None: no slot failed. `recovery` None: R is not on record; `cut_short` then says that there
    was a success that might have been R, had the record gone on for W. Of several outages in a row (flaps)
    `first_bad` is of the first and `last_bad` of the last: it is one until it is over for W. `behind` is the
    act of the runbook that recovery can't precede.
    """

    spec: ProbeSpec
    episode: Episode
    behind: RunbookAct | None
    first_bad: ProbeSample | None
    last_bad: ProbeSample | None
    recovery: ProbeSample | None
    cut_short: bool

    @property
    def recovered(self) -> float | None:
        """When the answer of R was in."""
        return self.recovery.t_end if self.recovery is not None else None

    @property
    def rto_s(self) -> Interval:
        """From the fault to the recovery, see `probe_outage`."""
        injection = self.episode.injection
        away = [each.t for each in (self.last_bad, self.behind) if each is not None]
        lower = max(0.0, max(away) - injection.t0b - self._error_s) if away else 0.0
        if self.recovered is None:
            return Interval(lower, None)
        return Interval(lower, max(lower, self.recovered - injection.t0a + self._error_s))

    @property
    def _error_s(self) -> float:
        """Each difference of two readings errs by twice the clock's error."""
        return 2 * self.episode.clock_error_s


def probe_outage(
    spec: ProbeSpec, samples: Sequence[ProbeSample], episode: Episode, behind: RunbookAct | None = None
) -> ProbeOutage:
    """What a probe saw of a fault. `behind` is an act of the runbook that recovery can't precede.

    R is the first success sent after a failure sent after t0a, and after `behind`, such that no failure was
    sent from its sending to W seconds after its answer; it is sent `deadline_s` after t0b at the latest. Then
    RTO ∈ [last failure sent before R − t0b, answer of R − t0a].

    - "After a failure" is after it had failed, by its answer or by its time being up, for the first failure
      in a row. A success that was sent while that one was pending can have been decided before the outage.
    - W begins with the answer of R: a request that was held until the service was back was sent earlier.
    - An act that recovery can't precede bounds it from below like a failure at the time it began: were it
      otherwise, a cluster that serves early and empty had always a lower bound within the target.
    - Where no slot failed the true value need not be 0, only shorter than the slots can show:
      [0, answer of the first success sent after t0b − t0a], if the outage began with the fault.
    - Without R there is a lower bound only: the last failure until the deadline.
    """
    ordered = sorted(samples, key=lambda sample: sample.t)
    t0a, t0b = episode.injection.t0a, episode.injection.t0b
    failures = [each for each in ordered if each.t > t0a and spec.failed(each)]
    first_bad = failures[0] if failures and failures[0].t <= episode.due else None
    since = t0b + 2 * episode.clock_error_s if first_bad is None else first_bad.t
    if behind is not None:
        since = max(since, behind.t_end)
    candidate = _stable(spec, ordered, [each.t for each in failures], since, episode)
    covered = candidate is not None and _covered(spec, ordered, candidate, episode)
    recovery = candidate if covered else None
    until = episode.due if recovery is None else recovery.t
    last_bad = next((each for each in reversed(failures) if each.t <= until), None)
    return ProbeOutage(
        spec=spec,
        episode=episode,
        behind=behind,
        first_bad=first_bad,
        last_bad=last_bad,
        recovery=recovery,
        cut_short=candidate is not None and not covered,
    )


def _stable(
    spec: ProbeSpec, ordered: Sequence[ProbeSample], failures: Sequence[float], since: float, episode: Episode
) -> ProbeSample | None:
    """The first success from `since` to the deadline whose next W hold no failure, as far as is known."""
    known = since
    in_a_row = False
    for sample in ordered:
        if sample.t > episode.due:
            return None
        if sample.t < since:
            continue
        if sample.t_end is None or spec.failed(sample):
            known = known if in_a_row else max(since, spec.failed_by(sample))
            in_a_row = True
            continue
        in_a_row = False
        later = bisect_right(failures, sample.t)
        lasts = later == len(failures) or failures[later] > sample.t_end + episode.stable_s
        if sample.t >= known and lasts:
            return sample
    return None


def _covered(
    spec: ProbeSpec, ordered: Sequence[ProbeSample], candidate: ProbeSample, episode: Episode
) -> bool:
    """Whether the slots go on until W is over, as close to its end as neighbours must be to each other."""
    return candidate.t_end is not None and (
        candidate.t_end + episode.stable_s - ordered[-1].t <= spec.widest_s
    )
