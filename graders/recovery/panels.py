"""What a report draws of a drill: probes, the runbook's run, the RTO against its target, the loss.

A time in it is a second of the run.
"""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Protocol

from graders.recovery.intervals import Interval, shown
from graders.recovery.probes import ProbeSpec
from graders.recovery.records import Drill, ProbeSample, ScriptRun
from graders.recovery.recoveryrecord import RecoveryRecord
from graders.reports.panels import MeasuredClaim, Panel, Row, Span, Tick
from graders.reports.text import one_line

_LEAD_S, _TAIL_S = 3.0, 2.0
_MOST_STEPS = 40
_MOST_LOST = 10
_COLOURS = {
    "answers": "complete",
    "fails": "failed",
    "away": "failed",
    "perhaps away": "pending",
    "target": "created",
    "restore runs": "running",
    "claimed step": "restarting",
    "has to hold": "suspended",
    "lost": "failed",
}


class ClaimedRecovery(Protocol):
    """What somebody claims of a recovery; of bounds in seconds, an upper one of None is none."""

    @property
    def rto_s(self) -> Sequence[float | None]:
        """In what time it was over."""

    @property
    def rpo_s(self) -> Sequence[float | None]:
        """How many seconds of writes it cost."""

    @property
    def records_lost(self) -> int:
        """How many acknowledged operations were lost."""


def drill_panel(track: str, record: RecoveryRecord, drill: Drill, told: ClaimedRecovery | None) -> Panel:
    """What is drawn of one drill, with what somebody claims of such a recovery beside what was measured."""
    measured = record.measured(drill)
    target_s = record.terms.rto_s[drill.scenario] * record.scale
    run = record.restore_of(drill)
    start, end = drill.t - _LEAD_S, drill.watched + _TAIL_S
    samples = record.samples(start, drill.watched)
    rows = [_probe(spec, slots) for spec, slots in samples.items() if slots]
    rows.append(_interval("RTO", drill.t, measured.rto_s, end))
    rows.append(
        Row(
            "target",
            "target",
            (_span(f"target: {target_s:g} s", drill.t, min(end, drill.t + target_s), "target"),),
        )
    )
    marks = [Tick(drill.t, "fault", f"the fault, from {drill.t:.2f} s to {drill.t_end:.2f} s")]
    if run is not None:
        rows.append(
            Row("restore", "runbook", (_span(f"restore {run.how}", run.t, run.t_end, "restore runs"),))
        )
        rows += claimed_steps(run)
    if measured.recovered is not None:
        stable = _span("no slot may fail here", measured.recovered, drill.watched, "has to hold")
        rows.append(Row("stabilisation", "window", (stable,)))
        marks.append(Tick(measured.recovered, "recovered", f"R, at {measured.recovered:.2f} s"))
    rows += list(_loss(record, drill))
    acts = [
        Tick(act.t, act.what, one_line(f"{act.what} at {act.t:.2f} s"), "update")
        for act in record.acts_of(drill)
    ]
    voids = "; ".join(measured.voids)
    return Panel(
        track=track,
        title=f"{drill.scenario}, {drill.key}: {shown([measured.rto_s])}",
        status="void" if voids else "done",
        problem=one_line(voids, 300),
        start=start,
        end=end,
        marks=tuple(marks),
        rows=tuple(rows),
        writes=tuple(acts[:200]),
        processes=(),
        comparisons=tuple(_comparisons(record, drill, measured.rto_s, told)),
        decisive=((drill.t, drill.watched if measured.recovered is None else measured.recovered),),
    )


def _probe(spec: ProbeSpec, slots: Sequence[ProbeSample]) -> Row:
    """Successive slots that came out alike are one span."""
    spans: list[Span] = []
    for sample in slots:
        state = "fails" if spec.failed(sample) else "answers"
        until = sample.t + spec.every_s
        if spans and spans[-1].states == (state,):
            spans[-1] = replace(spans[-1], end=until)
        else:
            told = f"{spec.name}: {state} from {sample.t:.2f} s on. {sample.error}"
            spans.append(_span(told, sample.t, until, state))
    return Row(f"probe {spec.name}", "probe", tuple(spans))


def _interval(label: str, since: float, found: Interval, end: float) -> Row:
    """Away for the lower bound; between the bounds nobody knows."""
    upper = end if found.upper_s is None else since + found.upper_s
    told = f"{label}: {shown([found])}"
    sure = since + found.lower_s
    spans = (_span(told, since, sure, "away"), _span(told, sure, upper, "perhaps away"))
    return Row(label, label, tuple(span for span in spans if span.end > span.start))


def _loss(record: RecoveryRecord, drill: Drill) -> Iterator[Row]:
    for look in record.looks(f"{drill.key}: settled"):
        there = record.restored(look)
        loss_s = there.loss_s(drill)
        if there.lost:
            told = f"{there.lost} acknowledged operations are lost: {shown([loss_s])}"
            begun = drill.t - (loss_s.upper_s if loss_s.upper_s is not None else _LEAD_S)
            yield Row("ledger lost", "ledger", (_span(told, max(drill.t - _LEAD_S, begun), drill.t, "lost"),))


def _comparisons(
    record: RecoveryRecord, drill: Drill, rto_s: Interval, told: ClaimedRecovery | None
) -> Iterator[MeasuredClaim]:
    """What the report claims of this scenario, what was measured here, and what is lost by name."""
    target = f", target {record.terms.rto_s[drill.scenario] * record.scale:g} s"
    claimed = _bounds(told.rto_s) if told else "nothing"
    yield MeasuredClaim("recovery time (RTO)", claimed, shown([rto_s]) + target)
    for look in record.looks(f"{drill.key}: settled"):
        there = record.restored(look)
        claimed = f"{told.records_lost}, {_bounds(told.rpo_s)}" if told else "nothing"
        measured = f"{there.lost}, {shown([there.loss_s(drill)])}"
        yield MeasuredClaim("acknowledged operations lost (RPO)", claimed, measured)
        names = [f"{each.verb} {each.name}" for kind in there.kinds for each in kind.lost]
        if names:
            more = f" and {len(names) - _MOST_LOST} more" if len(names) > _MOST_LOST else ""
            yield MeasuredClaim("which are", "", ", ".join(names[:_MOST_LOST]) + more)


def _bounds(claimed: Sequence[float | None]) -> str:
    lower, upper = claimed
    return f"{lower:g} s or more" if upper is None else f"{lower or 0:g} to {upper:g} s"


def claimed_steps(run: ScriptRun) -> Iterator[Row]:
    """The steps that the runbook printed, by its own clock: claims, told as such.

    Its clock is not ours: the first step that it printed is put where restore was started. A step is drawn
    until the next one.
    """
    claims = [claim for claim in map(_claim, run.said.splitlines()) if claim is not None][:_MOST_STEPS]
    if not claims:
        return
    times = [min(max(run.t + at - claims[0][1], run.t), run.t_end) for _, at in claims]
    spans = []
    for (step, _), t, until in zip(claims, times, [*times[1:], run.t_end], strict=True):
        told = f"claimed {t - run.t:.2f} s after the start of restore: {step}"
        spans.append(replace(_span(told, t, max(t, until), "claimed step"), label=step))
    yield Row("steps as claimed", "claims", tuple(spans))


def _claim(line: str) -> tuple[str, float] | None:
    """A line that says which step is taken, and when; anybody wrote it."""
    try:
        told = json.loads(line) if line.startswith("{") else None
        at = float(told["at"]) if isinstance(told, dict) else 0.0
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None
    if not isinstance(told, dict) or "step" not in told or not math.isfinite(at):
        return None
    return one_line(f"{told.get('event', '')} {told['step']}".strip(), 60), at


def _span(title: str, start: float, end: float, state: str) -> Span:
    return Span(start, end, (state,), one_line(title, 300), colour=_COLOURS[state])
