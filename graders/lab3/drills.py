"""A drill as a learner hands it in: what the grader's own record of a scenario or an experiment says.

Times of a scenario are from t0a. A journal is what Chaos Toolkit wrote, or the executor of a resource.
"""

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
    NAMESPACE,
    NAMESPACE_DELETED,
    NODE_LOSS,
    POD_KILL,
    WORKLOAD,
)
from graders.recovery.evidence import evidence_written

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
    return evidence_written(record, drills[0], DRILL_SCHEMA)


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
