"""Lab 3's scenario: lanes, a cluster each, one after another; what needs no cluster goes first."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from graders.evidence.manifest import TrackResult
from graders.lab3.handedin import record_files
from graders.lab3.handin import Lab3Manifest
from graders.lab3.names import PAPERS
from graders.model import Submission
from graders.scenario.spec import Acting, Recorded, Run

TRACKS = (PAPERS,)


def examine(submission: Submission) -> None:
    """Nothing to see before: a part that is missing costs the rows that read it, no others."""
    del submission


@contextmanager
def prepare(run: Run) -> Iterator[Acting]:
    """Have everything ready; gives what acts."""
    wanted: Lab3Manifest = run.submission.manifest

    def act() -> Recorded:
        tracks: dict[str, TrackResult] = {}
        began = run.recording.clock.now()
        files = tuple(each.file for each in wanted.chaos.experiments)
        record_files(run.recording, run.submission.root, files)
        if PAPERS in run.selection:
            tracks[PAPERS] = TrackResult("done", began, run.recording.clock.now())
        return Recorded(tracks=tracks, block=wanted.as_block())

    yield act
