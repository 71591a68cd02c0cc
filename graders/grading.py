"""Grading, from a submission to a report: the straight line through everything else.

submission ─▶ programs ─▶ cluster ─▶ scenario acts, recorders witness ─▶ bundle ─▶ checks ─▶ rubric ─▶ report
"""

import time
import traceback
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from graders.course import Lab
from graders.definition import lab_package
from graders.faults import BadSubmission, CourseError, InfraFault, UsageError, machine_fault
from graders.interrupt import done_before_the_end
from graders.judgement import judge_bundle, timed
from graders.judging import tracks_for
from graders.model import Fault, GradeReport, Outcome, Status, Submission, Verdict
from graders.outfolder import OutFolder
from graders.ownership import OwnedFolder, sweep
from graders.paths import require_room
from graders.progress import Progress
from graders.recording import Preparing, RecordOptions, RecordRequest, record, scenario_of
from graders.reports import REPORTS
from graders.slots import grading_slot
from graders.submissions import load_submission
from graders.submissions.leftout import told
from graders.version import version

ATTEMPTS = 2
"""A fault of infrastructure gets one more try, on a fresh cluster."""


@dataclass(frozen=True)
class GradeRequest(RecordOptions):
    """What to grade, by which checks, and how; `out` takes the bundle."""

    lab: Lab
    submission: Path
    out: Path
    only: tuple[str, ...] = ()
    learner_id: str = ""

    @property
    def folder(self) -> OutFolder:
        """What `out` is to a grading."""
        return OutFolder(self.out, REPORTS)


def grade(request: GradeRequest, progress: Progress) -> GradeReport:
    """Record, judge and score one submission; every ending but Ctrl-C and a course error is a report.

    Raises:
        UsageError: the request cannot be meant. CourseError: the course contradicts itself.
    """
    out = request.folder
    out.check()
    sweep(progress.say)
    started, preparing = time.monotonic(), Preparing()
    try:
        with done_before_the_end(out.discard), OwnedFolder("grade", request.lab.id) as scratch:
            require_room(scratch.path)
            submission = load_submission(
                request.submission,
                lab=request.lab.id,
                block=lab_package(request.lab.id).load("block"),
                learner_id=request.learner_id,
                scratch=scratch.path,
            )
            if left_out := told(submission.left_out):
                progress.say(left_out)
            scenario_of(request.lab.id).examine(submission)
            for attempt in range(1, ATTEMPTS + 1):
                folder = scratch.path / f"attempt-{attempt}"
                report = _attempt(request, submission, folder, progress, preparing)
                if report.verdict is not Verdict.UNGRADED or report.problem.startswith("grader:"):
                    break
                if attempt < ATTEMPTS:
                    progress.say(f"{report.problem}\ntrying once more on a fresh cluster")
    except BadSubmission as error:
        report = ended(request, Verdict.REJECTED, str(error))
    except (UsageError, CourseError):
        out.discard()
        raise
    except InfraFault as error:
        report = ended(request, Verdict.UNGRADED, str(error))
    except Exception as error:  # the one place that turns a bug of ours into "not graded"
        fault = machine_fault(error)
        owner = Fault.GRADER if fault is None else Fault.INFRASTRUCTURE
        detail = Outcome("grading", status=Status.ERROR, fault=owner, detail=traceback.format_exc())
        problem = f"grader: {error!r}" if fault is None else str(fault)
        report = ended(request, Verdict.UNGRADED, problem, outcomes=(detail,))
    _put_in_place(out)
    total = time.monotonic() - started - preparing.seconds
    return timed(report, prepare=preparing.seconds, total=total)


def _put_in_place(out: OutFolder) -> None:
    try:
        out.begin()
        out.replace()
    except OSError as error:
        raise InfraFault(
            f"the record cannot be kept in {out.path}: {error}", fix="free some space"
        ) from error


def ended(
    request: GradeRequest, verdict: Verdict, problem: str, outcomes: tuple[Outcome, ...] = ()
) -> GradeReport:
    """The report of a grading that came to no bundle."""
    provenance = {"provider": request.provider, "sandbox": request.sandbox, "kubeproof": version()}
    submission = {"learner_id": request.learner_id, "digest": ""}
    return GradeReport(request.lab.id, verdict, submission, outcomes, None, provenance, problem=problem)


def _attempt(
    request: GradeRequest, submission: Submission, folder: Path, progress: Progress, preparing: Preparing
) -> GradeReport:
    """One recording on one cluster, judged.

    Raises:
        BadSubmission: the cluster refuses what was handed in.
    """
    folder.mkdir()
    request.folder.begin()
    request.folder.discard()
    tracks = tracks_for(request.lab.id, request.only) if request.only else None
    wanted = RecordRequest(request.lab, request.folder.recording, how=request, tracks=tracks)
    try:
        with ExitStack() as held:
            with preparing:
                held.enter_context(grading_slot(progress))
            record(wanted, submission, folder, progress, preparing)
    except InfraFault as error:
        return ended(request, Verdict.UNGRADED, str(error))
    with progress.task("judging"):
        return judge_bundle(request.lab, wanted.bundle, only=request.only)
