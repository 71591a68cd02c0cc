"""Lab 3's scenario: what needs no cluster, then lanes with a cluster each."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from graders.evidence.filing import record_files
from graders.evidence.manifest import Calibration, TrackResult
from graders.lab3.handin import Lab3Manifest
from graders.lab3.lanes import AT_ONCE, LANES, ready_lanes
from graders.lab3.names import JUDGED_FILES, JUDGED_FOLDERS, NOTEBOOK, PAPERS
from graders.lab3.runtimes import NOTEBOOK as NOTEBOOK_LOCK
from graders.model import Submission
from graders.notebooks.executing import execute
from graders.sandbox.runtime import ensure_runtime
from graders.scenario.lanes import LaneRunner
from graders.scenario.spec import Acting, Recorded, Run

TRACKS = (PAPERS, *LANES)


def examine(submission: Submission) -> None:
    """Nothing to see before: a part that is missing costs the rows that read it, no others."""
    del submission


@contextmanager
def prepare(run: Run) -> Iterator[Acting]:
    """Have everything ready; gives what acts.

    Raises:
        InfraFault: something cannot be had.
    """
    wanted: Lab3Manifest = run.submission.manifest
    with ExitStack() as ready:
        written = PAPERS in run.selection and (run.submission.root / NOTEBOOK).is_file()
        kernel = ensure_runtime(run.progress, lock=NOTEBOOK_LOCK) if written else None
        chosen = [track for track in LANES if track in run.selection]
        lanes = ready.enter_context(ready_lanes(run, chosen)) if chosen else None

        def act() -> Recorded:
            tracks: dict[str, TrackResult] = {}
            scale, began = 1.0, run.recording.clock.now()
            named = tuple(each.file for each in wanted.chaos.experiments)
            record_files(run.recording, run.submission.root, (*JUDGED_FILES, *named), JUDGED_FOLDERS)
            if kernel is not None:
                execute(run, kernel, NOTEBOOK)
            if PAPERS in run.selection:
                tracks[PAPERS] = TrackResult("done", began, run.recording.clock.now())
            if lanes is not None:
                acted, scale = LaneRunner(run, AT_ONCE).act(lanes)
                tracks |= acted
            return Recorded(
                tracks=tracks,
                calibration=Calibration(scale, round(run.settings.deadline_s * scale, 3)),
                block=wanted.as_block(),
            )

        yield act
