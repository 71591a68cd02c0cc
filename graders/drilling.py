"""Drills: one track of a lab is recorded, and what it shows is written down as evidence.

Nothing is judged, and nothing is scored.
"""

import dataclasses
import errno
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Protocol, cast

from graders.course import Lab
from graders.definition import lab_package
from graders.evidence.bundle import Bundle
from graders.evidence.jsonfile import write_json
from graders.faults import InfraFault, Unmet, UsageError, machine_fault
from graders.ownership import OwnedFolder, sweep
from graders.progress import Progress
from graders.recording import Preparing, RecordOptions, RecordRequest, record, scenario_of
from graders.submissions import load_submission


class Drills(Protocol):
    """What the module offers that a lab's definition names as `drills`."""

    LANE_OF: Mapping[str, str]
    """The track that shows a scenario."""
    JOURNAL_LANE: str
    """The track that shows experiments of the learner's own; empty where a lab has none."""

    def evidence_of(self, bundle: Bundle, scenario: str) -> dict[str, Any]:
        """What a record shows of a scenario.

        Raises:
            UsageError: nothing. Unmet: what was handed in did not let it come to that.
        """

    def alone(self, manifest: Any, experiment: str) -> Any:
        """What was handed in with one of its experiments alone.

        Raises:
            UsageError: there is none of that id.
        """

    def journal_of(self, bundle: Bundle, experiment: str) -> dict[str, Any]:
        """The journal of an experiment; raises as `evidence_of`."""


@dataclass(frozen=True)
class DrillRequest:
    """What of which lab to act out with what was handed in, and the file to write.

    It is a scenario of the lab's, or one of the learner's own experiments by its id: one of the two is named.
    """

    lab: Lab
    submission: Path
    file: Path
    scenario: str = ""
    experiment: str = ""
    provider: str = "embedded"


def run_drill(request: DrillRequest, progress: Progress) -> None:
    """Act one scenario or experiment out and write its evidence.

    Raises:
        UsageError: there is none of that name, or it did not come to that. InfraFault: the harness failed.
        BadSubmission: what was handed in cannot be used.
    """
    lab = request.lab
    package = lab_package(lab.id)
    if not package.definition.drills:
        raise UsageError(f"lab {lab.id} has no drills", fix="use kubeproof grade")
    drills = cast(Drills, package.load("drills"))
    track = _track_for(request, drills)
    sweep(progress.say)
    with OwnedFolder("drill", lab.id) as scratch:
        submission = load_submission(
            request.submission, lab=lab.id, block=package.load("block"), scratch=scratch.path
        )
        if request.experiment:
            alone = drills.alone(submission.manifest, request.experiment)
            submission = dataclasses.replace(submission, manifest=alone)
        scenario_of(lab.id).examine(submission)
        _expect_writable(request.file)
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
            if request.experiment:
                evidence = drills.journal_of(found, request.experiment)
            else:
                evidence = drills.evidence_of(found, request.scenario)
        except Unmet as error:
            raise UsageError(f"the drill shows nothing: {error.observed}", fix=error.hint) from error
    write_json(request.file, evidence)


def _expect_writable(file: Path) -> None:
    """See that evidence can be written, before minutes are spent on it.

    Raises:
        UsageError: it cannot.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        with TemporaryFile(dir=file.parent):
            pass
    except OSError as error:
        if (fault := machine_fault(error)) is not None:
            raise fault from error
        raise UsageError(
            f"the evidence cannot be written here: {error.strerror}",
            file=file,
            fix="name a file of your own with --out",
        ) from error


def _track_for(request: DrillRequest, drills: Drills) -> str:
    """The track to record.

    Raises:
        UsageError: there is none for what was asked.
    """
    if bool(request.scenario) == bool(request.experiment):
        raise UsageError(
            "a drill is of one scenario, or of one experiment",
            fix="give --scenario or --experiment, not both",
        )
    if request.experiment:
        if not drills.JOURNAL_LANE:
            raise UsageError(f"lab {request.lab.id} has no experiments", fix="give --scenario")
        return drills.JOURNAL_LANE
    if request.scenario not in drills.LANE_OF:
        raise UsageError(
            f"lab {request.lab.id} has no scenario {request.scenario!r}",
            fix=f"use one of {', '.join(drills.LANE_OF)}",
        )
    return drills.LANE_OF[request.scenario]
