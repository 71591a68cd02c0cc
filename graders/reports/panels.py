"""What a picture shows: rows, spans and ticks, nothing drawn yet; a lab may make its own of them."""

from dataclasses import dataclass

COLOURS = ("created", "pending", "running", "restarting", "suspended", "complete", "failed", "other")
"""Colours of spans, in the order of a legend; a state that is one of these words has its own."""

LANES = ("create", "update", "patch", "delete", "status", "event")
"""Lanes of writes, top to bottom; `status` are writes of a status, `event` of Events."""

PODS = "pods"
"""The kind of a row that is a pod's, which is drawn smaller."""


@dataclass(frozen=True)
class Span:
    """A stretch of time in one state; `states` holds more than one where conditions overlap.

    `colour` is one of `COLOURS` for a state that is called otherwise, `label` what stands in it instead.
    """

    start: float
    end: float
    states: tuple[str, ...]
    title: str
    terminating: bool = False
    colour: str = ""
    label: str = ""


@dataclass(frozen=True)
class Row:
    """One name's life: a job by its conditions or a pod by its phases; `gone` are times of deletion."""

    label: str
    kind: str
    spans: tuple[Span, ...]
    gone: tuple[float, ...] = ()


@dataclass(frozen=True)
class Tick:
    """A moment: a mark, or a write (`lane`), red when the API server refused it."""

    t: float
    label: str
    title: str
    lane: str = ""
    failed: bool = False


@dataclass(frozen=True)
class MeasuredClaim:
    """Something that the learner claims, beside what was measured."""

    about: str
    claimed: str
    measured: str


@dataclass(frozen=True)
class Panel:
    """One picture of a track; times in seconds of the run. `hidden` counts what the caps left out.

    `title` is its heading where a track has more than one picture. `decisive` are the stretches by which it
    can decide when the run ends, where that is not all of it.
    """

    track: str
    status: str
    problem: str
    start: float
    end: float
    marks: tuple[Tick, ...]
    rows: tuple[Row, ...]
    writes: tuple[Tick, ...]
    processes: tuple[Tick, ...]
    hidden: int = 0
    title: str = ""
    comparisons: tuple[MeasuredClaim, ...] = ()
    decisive: tuple[tuple[float, float], ...] = ()

    @property
    def heading(self) -> str:
        """What it is called."""
        return self.title or self.track

    @property
    def summary(self) -> str:
        """What the panel shows, in words."""
        jobs = sum(row.kind != PODS for row in self.rows)
        pods = sum(row.kind == PODS for row in self.rows)
        refused = sum(write.failed for write in self.writes)
        writes = _count(len(self.writes), "write") + (f" ({refused} refused)" if refused else "")
        parts = [_count(jobs, "object"), *([_count(pods, "pod")] if pods else ()), writes]
        if self.processes:
            parts.append(_count(len(self.processes), "process event"))
        return ", ".join(parts)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
