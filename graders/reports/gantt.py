"""The timeline of a run as a Mermaid gantt chart: a picture made of text alone.

Where GitHub shows Markdown, job summaries included, it takes neither inline SVG nor images as data, but it
draws Mermaid; so does GitLab. The run is drawn as if it began at midnight: milliseconds since an epoch would
be shown in the reader's time zone.
"""

import re
from collections.abc import Iterator

from graders.evidence.bundle import Bundle
from graders.model import GradeReport
from graders.reports.critical import Step, critical_path
from graders.reports.text import one_line

ROWS = 80
"""Rows of one chart; GitHub refuses a diagram of more than 50,000 characters."""

_LEAST_S = 0.1
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9 ._/()+-]+")
_WORDS = re.compile(r"\b(?=(?:done|active|crit|milestone|vert|section|title|click)\b)", re.IGNORECASE)


def gantt(report: GradeReport, bundle: Bundle | None) -> str:
    """The chart's source; empty where no bundle tells of the run.

    What the whole run waited for is marked critical; below it is each track, from its start to its end.
    """
    if bundle is None:
        return ""
    tracks = sorted(bundle.manifest.tracks.items(), key=lambda item: (item[1].started, item[0]))
    rows = [*_path(critical_path(report, bundle))]
    if tracks:
        rows.append("  section Tracks")
    for name, track in tracks[:ROWS]:
        state = "" if track.status == "done" else "active, "
        rows.append(_row(name if track.status == "done" else f"{name} ({track.status})", state,
                         track.started, track.ended))  # fmt: skip
    if not rows:
        return ""
    head = [
        "gantt",
        "  dateFormat HH:mm:ss.SSS",
        "  axisFormat %M:%S",
        "  title Minutes and seconds of the run",
    ]
    return "\n".join([*head, *rows])


def _path(steps: tuple[Step, ...]) -> Iterator[str]:
    worth = sorted(steps, key=lambda step: step.seconds, reverse=True)[:ROWS]
    if worth:
        yield "  section What the run waited for"
    for step in sorted(worth, key=lambda step: step.start):
        what = f"{step.track} - {step.told}" if step.track else step.told
        yield _row(what, "crit, ", step.start, step.end)


def _row(name: str, state: str, start: float, end: float) -> str:
    ends = max(end, start + _LEAST_S)
    return f"    {_plain(name)} :{state}{_clock(start)}, {_clock(ends)}"


def _clock(seconds: float) -> str:
    """A time of the run as the time of a day, which it does not outlast."""
    total = min(max(round(seconds * 1000), 0), 24 * 3600 * 1000 - 1)
    return f"{total // 3_600_000:02}:{total // 60_000 % 60:02}:{total // 1000 % 60:02}.{total % 1000:03}"


def _plain(name: str) -> str:
    """What Mermaid reads as a name: no colon, semicolon, comma or hash, no word of its own at the start."""
    words = " ".join(_NOT_PLAIN.sub(" ", one_line(name, 60)).split())
    return _WORDS.sub("- ", words, count=1) if _WORDS.match(words) else words or "-"
