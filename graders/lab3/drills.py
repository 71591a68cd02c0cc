"""A drill as a learner hands it in: what the grader's own record of a scenario or an experiment says.

Times of a scenario are from t0a. A journal is what Chaos Toolkit wrote, or the executor of a resource.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from graders.chaos.reading import journal_of as journal_in
from graders.evidence.bundle import Bundle
from graders.faults import UsageError
from graders.lab3.experimentrecord import ExperimentsRecord
from graders.lab3.handin import Lab3Manifest
from graders.lab3.lanerecord import LaneRecord
from graders.lab3.names import (
    CONTROL_PLANE,
    CONTROL_PLANE_LOSS,
    CONTROLLER_LOSS,
    DRILL_SCHEMA,
    EXPERIMENTS,
    JUDGED_BY,
    NAMESPACE,
    NAMESPACE_DELETED,
    NODE_LOSS,
    POD_KILL,
    WORKLOAD,
)
from graders.recovery.probes import SERVING
from graders.recovery.records import Drill, LedgerWrite, RestoredRecord, ScriptRun

LANE_OF = {
    POD_KILL: WORKLOAD,
    NODE_LOSS: WORKLOAD,
    CONTROLLER_LOSS: WORKLOAD,
    CONTROL_PLANE_LOSS: CONTROL_PLANE,
    NAMESPACE_DELETED: NAMESPACE,
}
"""Which track shows a scenario."""
JOURNAL_LANE = EXPERIMENTS
"""Which track shows experiments of the learner's own."""

_LEAD_S = 5.0


def evidence_of(bundle: Bundle, scenario: str) -> dict[str, Any]:
    """`evidence/<scenario>.json` of the first drill of a scenario on record.

    Raises:
        UsageError: there is none. Unmet: the workload never came up.
    """
    record = LaneRecord(bundle, LANE_OF[scenario])
    drills = record.drills(scenario)
    if not drills:
        raise UsageError(
            f"the record shows no drill of {scenario}",
            file=bundle.folder,
            fix="see that dr/backup seals backups: without one the drill is not begun",
        )
    drill = drills[0]
    run = record.restore_of(drill)
    judged_by = JUDGED_BY.get(scenario, ())
    samples = record.samples(drill.t - _LEAD_S, drill.watched)

    def since(t: float) -> float:
        return round(t - drill.t, 4)

    return {
        "schema": DRILL_SCHEMA,
        "scenario": scenario,
        "interval_s": SERVING.every_s,
        "injected": [0.0, since(drill.t_end)],
        "restore": {"started": since(run.t), "ended": since(run.t_end), "exit": run.code} if run else None,
        "probes": {
            spec.name: [
                [since(each.t), since(each.t_end) if each.t_end is not None else None, not spec.failed(each)]
                for each in slots
            ]
            for spec, slots in samples.items()
            if not judged_by or spec.name in judged_by
        },
        "backups": [
            {"id": each.backup, "started": since(each.t), "ended": since(each.t_end)}
            for each in record.runs("backup")
            if _before(each, drill)
        ],
        "ledger": _ledger(record, drill),
    }


def alone(manifest: Lab3Manifest, experiment: str) -> Lab3Manifest:
    """What was handed in with one of its experiments alone.

    Raises:
        UsageError: there is none of that id.
    """
    chosen = tuple(each for each in manifest.chaos.experiments if each.id == experiment)
    if not chosen:
        there = ", ".join(each.id for each in manifest.chaos.experiments)
        raise UsageError(f"submission.yaml names no experiment {experiment!r}", fix=f"use one of {there}")
    return dataclasses.replace(manifest, chaos=dataclasses.replace(manifest.chaos, experiments=chosen))


def journal_of(bundle: Bundle, experiment: str) -> dict[str, Any]:
    """`evidence/<id>.journal.json` of the whole run of an experiment.

    Raises:
        UsageError: nothing was written. Unmet: the workload never came up, or it cannot be run.
    """
    record = ExperimentsRecord(bundle)
    for each in record.tried():
        if each.id == experiment:
            run = record.run_of(each, "whole")
            if written := journal_in(run):
                return dict(written)
            raise UsageError(f"{experiment} {run.how} without a journal: {run.said}", fix="run it by hand")
    raise UsageError(f"the record shows no run of {experiment}", file=bundle.folder)


def _before(run: ScriptRun, drill: Drill) -> bool:
    return bool(run.backup) and run.t_end <= drill.t


def _ledger(record: LaneRecord, drill: Drill) -> dict[str, Any]:
    """The records that had been acknowledged and not deleted, numbered in their order, and those found."""
    bundle = record.bundle
    writes = [
        each
        for each in bundle.records(LedgerWrite)
        if (each.ledger, each.cluster) == (drill.ledger, record.cluster) and each.t <= drill.t
    ]
    deleted = {(each.kind, each.name) for each in writes if each.verb == "delete"}
    made = [
        each
        for each in sorted(writes, key=lambda write: write.t)
        if each.verb == "create" and each.t_end is not None and (each.kind, each.name) not in deleted
    ]
    looks = record.looks(f"{drill.key}: settled")
    found = {
        (each.kind, each.name, each.part)
        for each in bundle.records(RestoredRecord)
        if looks and (each.t, each.ledger) == (looks[0].t, looks[0].ledger)
    }
    numbered = list(enumerate(made, start=1))
    return {
        "acked": {str(number): round((each.t_end or 0.0) - drill.t, 4) for number, each in numbered},
        "present": [number for number, each in numbered if (each.kind, each.name, each.part) in found],
    }
