"""Pairs the reports that were handed in with the submissions they are about, by learner."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from graders.faults import UsageError
from graders.submissions.archives import SUFFIXES

REPORT = "report.json"
_DEPTH = 3


@dataclass(frozen=True)
class HandedIn:
    """One learner's: `results` is the folder with report.json, `submission` a folder, archive, repository."""

    learner: str
    results: Path
    submission: Path | None


def hand_ins(reports: Path, submissions: Path) -> tuple[HandedIn, ...]:
    """Every learner with a report below `reports`, in order of name.

    A report is REPORTS/LEARNER/report.json, or deeper, as downloaded artifacts have it; a submission is
    SUBMISSIONS/LEARNER, or an archive, or a bare repository, of that name.

    Raises:
        UsageError: there is no report, or a learner has two.
    """
    found: dict[str, Path] = {}
    for learner, results in _results(reports):
        if learner in found:
            raise UsageError(
                f"learner {learner} has two reports: {found[learner]} and {results}",
                file=reports,
                fix="leave the one that counts, such as that of the last run",
            )
        found[learner] = results
    if not found:
        raise UsageError(
            f"there is no {REPORT} of any learner here",
            file=reports,
            fix=f"put each learner's results in a folder of their name: {reports}/LEARNER/{REPORT}",
        )
    return tuple(
        HandedIn(learner, results, _submission(submissions, learner))
        for learner, results in sorted(found.items())
    )


def _results(reports: Path) -> Iterator[tuple[str, Path]]:
    if not reports.is_dir():
        raise UsageError("is no folder", file=reports, fix="name the folder with a folder for each learner")
    for folder in sorted(path for path in reports.iterdir() if path.is_dir()):
        at = [folder]
        for _ in range(_DEPTH):
            here = [path for path in at if (path / REPORT).is_file()]
            yield from ((folder.name, path) for path in here)
            if here:
                break
            at = [
                below
                for path in at
                for below in sorted(path.iterdir())
                if below.is_dir() and not below.is_symlink()
            ]


def _submission(submissions: Path, learner: str) -> Path | None:
    names = [learner, f"{learner}.git", *(learner + suffix for suffix in SUFFIXES)]
    return next((submissions / name for name in names if (submissions / name).exists()), None)
