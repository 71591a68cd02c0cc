"""Reads an essay into the record."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from graders.essay.pages import Page

from graders.evidence.manifest import TrackResult
from graders.model import Submission
from graders.scenario.spec import Acting, Recorded, Run

TRACKS = ("reading",)


def examine(submission: Submission) -> None:
    """Nothing to see before."""
    del submission


@contextmanager
def prepare(run: Run) -> Iterator[Acting]:
    """Nothing is started."""

    def act() -> Recorded:
        text = (run.submission.root / run.submission.manifest.essay).read_text("utf-8", "replace")
        now = run.recording.clock.now()
        run.recording.writer.add(Page(now, tuple(text.split())))
        return Recorded(tracks={"reading": TrackResult("done", now, run.recording.clock.now())})

    yield act
