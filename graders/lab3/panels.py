"""What the report draws of each drill: probes, the runbook's run, the RTO against its target, the loss.

One panel a drill; a time in it is a second of the run.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from graders.evidence.bundle import Bundle
from graders.faults import InfraFault, Unmet
from graders.lab3.drills import LANE_OF
from graders.lab3.lanerecord import LaneRecord, shown
from graders.lab3.names import UNKNOWN, WORKLOAD
from graders.lab3.records import Drill
from graders.recovery.intervals import Interval
from graders.recovery.probes import ProbeSpec
from graders.recovery.records import ProbeSample
from graders.reports.panels import Panel, Row, Span, Tick, panels
from graders.reports.text import one_line

_LEAD_S, _TAIL_S = 3.0, 2.0
_AWAY, _UNSURE, _SPAN = "Failed", "Pending", "Created"
_MOST_CLAIMS = 40


def panels_of_drills(bundle: Bundle) -> tuple[Panel, ...]:
    """A panel for each drill of each lane that could be measured, then what the tracks show otherwise."""
    made: list[Panel] = []
    for track in dict.fromkeys(LANE_OF.values()):
        if track in bundle.manifest.tracks:
            made += _of_lane(bundle, track)
    return (*made, *panels(bundle))


def _of_lane(bundle: Bundle, track: str) -> Iterator[Panel]:
    try:
        record = LaneRecord(bundle, track)
    except (Unmet, InfraFault):
        return
    scenarios = [name for name, lane in LANE_OF.items() if lane == track]
    for scenario in (*scenarios, *([UNKNOWN] if track == WORKLOAD else [])):
        for drill in record.drills(scenario):
            yield _panel(record, drill)


def _panel(record: LaneRecord, drill: Drill) -> Panel:
    measured = record.measured(drill)
    target_s = record.rto_s(drill.scenario) * record.scale
    run = record.restore_of(drill)
    start, end = drill.t - _LEAD_S, drill.watched + _TAIL_S
    samples = record.samples(start, drill.watched)
    rows = [_probe(spec, slots) for spec, slots in samples.items() if slots]
    rows.append(_interval("RTO", drill.t, measured.rto_s, end))
    rows.append(Row("target", "target", (_span("target", drill.t, min(end, drill.t + target_s), _SPAN),)))
    marks = [Tick(drill.t, "fault", f"the fault, from {drill.t:.2f} s to {drill.t_end:.2f} s")]
    if run is not None:
        told = f"restore {run.how}{_claims(run.said)}"
        rows.append(Row("restore", "runbook", (_span(told, run.t, run.t_end, "Restarting"),)))
    if measured.recovered is not None:
        stable = _span("no slot may fail here", measured.recovered, drill.watched, "Suspended")
        rows.append(Row("stabilisation", "window", (stable,)))
        marks.append(Tick(measured.recovered, "recovered", f"R, at {measured.recovered:.2f} s"))
    rows += list(_loss(record, drill))
    acts = [
        Tick(act.t, act.what, one_line(f"{act.what} at {act.t:.2f} s"), "update")
        for act in record.acts_of(drill)
    ]
    voids = f"void: {'; '.join(measured.voids)}" if measured.voids else ""
    return Panel(
        track=f"{drill.scenario}, {drill.key}: {shown([measured.rto_s])}",
        status="void" if voids else "done",
        problem=one_line(voids, 300),
        start=start,
        end=end,
        marks=tuple(marks),
        rows=tuple(rows),
        writes=tuple(acts[:200]),
        processes=(),
    )


def _probe(spec: ProbeSpec, slots: Sequence[ProbeSample]) -> Row:
    """Successive slots that came out alike are one span."""
    spans: list[Span] = []
    for sample in slots:
        state = _AWAY if spec.failed(sample) else "ok"
        until = sample.t + spec.every_s
        if spans and spans[-1].states == (state,):
            spans[-1] = Span(spans[-1].start, until, (state,), spans[-1].title)
        else:
            told = one_line(f"{spec.name}: {state} from {sample.t:.2f} s on. {sample.error}", 300)
            spans.append(Span(sample.t, until, (state,), told))
    return Row(f"probe {spec.name}", "probe", tuple(spans))


def _interval(label: str, since: float, found: Interval, end: float) -> Row:
    """Away for the lower bound; between the bounds nobody knows."""
    upper = end if found.upper_s is None else since + found.upper_s
    told = f"{label}: {shown([found])}"
    sure = since + found.lower_s
    spans = (_span(told, since, sure, _AWAY), _span(told, sure, upper, _UNSURE))
    return Row(label, label, tuple(span for span in spans if span.end > span.start))


def _loss(record: LaneRecord, drill: Drill) -> Iterator[Row]:
    for look in record.looks(f"{drill.key}: settled"):
        there = record.restored(look)
        loss_s = there.loss_s(drill)
        if there.lost:
            told = f"{there.lost} acknowledged operations are lost: {shown([loss_s])}"
            begun = drill.t - (loss_s.upper_s if loss_s.upper_s is not None else _LEAD_S)
            yield Row("ledger lost", "ledger", (_span(told, max(drill.t - _LEAD_S, begun), drill.t, _AWAY),))


def _claims(said: str) -> str:
    """The steps that the runbook printed: claims, told as such."""
    steps = []
    for line in said.splitlines():
        try:
            told = json.loads(line) if line.startswith("{") else None
        except (ValueError, RecursionError):
            continue
        if isinstance(told, dict) and "step" in told:
            steps.append(one_line(f"{told.get('event', '')} {told['step']}", 60))
    return f"; it claims: {', '.join(steps[:_MOST_CLAIMS])}" if steps else ""


def _span(title: str, start: float, end: float, state: str) -> Span:
    return Span(start, end, (state,), one_line(title, 300))
