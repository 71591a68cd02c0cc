"""Drills: one track of a lab is recorded, and what it shows of a scenario is written down as evidence.

Nothing is judged, and nothing is scored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

from graders.course import load_course
from graders.definition import lab_package
from graders.evidence.bundle import Bundle
from graders.evidence.jsonfile import write_json
from graders.faults import InfraFault, Unmet, UsageError
from graders.ownership import OwnedFolder, sweep
from graders.progress import Progress
from graders.recording import Preparing, RecordOptions, RecordRequest, record, scenario_of
from graders.submissions import load_submission


class Drills(Protocol):
    """What the module offers that a lab's definition names as `drills`."""

    LANE_OF: Mapping[str, str]
    """The track that shows a scenario."""

    def evidence_of(self, bundle: Bundle, scenario: str) -> dict[str, Any]:
        """What a record shows of a scenario.

        Raises:
            UsageError: nothing. Unmet: what was handed in did not let it come to that.
        """


@dataclass(frozen=True)
class DrillRequest:
    """Which scenario of which lab to act out with what was handed in, and the file to write."""

    lab: str
    submission: Path
    scenario: str
    file: Path
    provider: str = "embedded"


def run_drill(request: DrillRequest, progress: Progress) -> None:
    """Act one scenario out and write its evidence.

    Raises:
        UsageError: there is no such scenario, or it did not come to that. InfraFault: the harness failed.
        BadSubmission: what was handed in cannot be used.
    """
    lab = load_course().find_lab(request.lab)
    package = lab_package(lab.id)
    if not package.definition.drills:
        raise UsageError(f"lab {lab.id} has no drills", fix="use kubeproof grade")
    drills = cast(Drills, package.load("drills"))
    if request.scenario not in drills.LANE_OF:
        raise UsageError(
            f"lab {lab.id} has no scenario {request.scenario!r}",
            fix=f"use one of {', '.join(drills.LANE_OF)}",
        )
    track = drills.LANE_OF[request.scenario]
    sweep(progress.say)
    with OwnedFolder("drill", lab.id) as scratch:
        submission = load_submission(
            request.submission, lab=lab.id, block=package.load("block"), scratch=scratch.path
        )
        scenario_of(lab.id).examine(submission)
        folder, bundle = scratch.path / "attempt", scratch.path / "bundle"
        folder.mkdir()
        how = RecordOptions(provider=request.provider)
        wanted = RecordRequest(lab, bundle, how, tracks={track})
        record(wanted, submission, folder, progress, Preparing())
        found = Bundle(bundle)
        result = found.manifest.tracks[track]
        if result.status != "done":
            raise InfraFault(f"the drill could not be recorded: {result.problem}")
        try:
            evidence = drills.evidence_of(found, request.scenario)
        except Unmet as error:
            raise UsageError(f"the drill shows nothing: {error.observed}", fix=error.hint) from error
    request.file.parent.mkdir(parents=True, exist_ok=True)
    write_json(request.file, evidence)
