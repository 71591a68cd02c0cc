"""Who handed in what: a folder with one entry for each learner, or a Git repository with a ref for each."""

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from graders.documents.wording import file_name
from graders.faults import UsageError
from graders.submissions.archives import SUFFIXES

_MOST_NAMED = 10


@dataclass(frozen=True)
class HandIn:
    """What one learner handed in: a folder or an archive, and when, as far as that can be told.

    `problem` says why there is nothing at `path` that could be graded; `rejected` that it is the learner's.
    """

    learner_id: str
    path: Path
    submitted_at: datetime | None = None
    problem: str = ""
    rejected: bool = False


def hand_ins_in(folder: Path, learners: Collection[str] | None = None) -> list[HandIn]:
    """The entries of `folder`, each named after its learner: `ada/`, `ada.zip`, `ada.tar.gz`.

    `learners` are those that there are; None takes whoever there is an entry of.

    Names that begin with a dot are left out. An entry counts as handed in when the newest file in it changed,
    an archive when it did.

    Raises:
        UsageError: there is no such folder, an entry belongs to nobody, or two to one learner.
    """
    try:
        entries = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
        raise UsageError(
            f"no submissions can be read here: {error.strerror}",
            file=file_name(folder),
            fix="name a folder with an entry for each learner, or the URL of a Git repository",
        ) from error
    by_learner: dict[str, list[Path]] = {}
    for entry in entries:
        by_learner.setdefault(_owner(entry), []).append(entry)
    owners = [owner for owner in by_learner if learners is not None and owner not in learners]
    if unknown := [entry for owner in owners for entry in by_learner[owner]]:
        raise UsageError(
            f"{_listed(unknown)}: {'belongs' if len(unknown) == 1 else 'belong'} to nobody on the roster",
            file=file_name(folder),
            fix="name entries after the learner_id of the roster (ada/, ada.zip, ada.tar.gz), "
            "or add the learner",
        )
    if doubled := [paths for paths in by_learner.values() if len(paths) > 1]:
        raise UsageError(
            f"{_listed(doubled[0])} belong to the same learner",
            file=file_name(folder),
            fix="leave the one that counts; what was graded before stays in the store as an attempt",
        )
    return [HandIn(owner, path, _changed(path)) for owner, (path,) in by_learner.items()]


def _owner(entry: Path) -> str:
    """The learner that an entry is named after."""
    suffix = next((each for each in sorted(SUFFIXES, key=len, reverse=True) if _ends(entry, each)), "")
    return entry.name[: -len(suffix)] if suffix and not entry.is_dir() else entry.name


def _ends(entry: Path, suffix: str) -> bool:
    return entry.name.lower().endswith(suffix)


def instant(seconds: float | str) -> datetime | None:
    """When that was, since 1970; None where a file or a commit claims a time of no course."""
    try:
        at = datetime.fromtimestamp(float(seconds), UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return at if 1970 <= at.year <= 9000 else None


def _changed(path: Path) -> datetime | None:
    return instant(max(_times(path)))


def _times(path: Path) -> Iterator[float]:
    """When `path` and all files below it changed; the folder itself counts only where it holds none."""
    files = [Path(parent, name) for parent, _, names in os.walk(path) for name in names] or [path]
    yield from (file.lstat().st_mtime for file in files)


def _listed(paths: list[Path]) -> str:
    named = ", ".join(file_name(path.name) for path in paths[:_MOST_NAMED])
    return named + (f" and {len(paths) - _MOST_NAMED} more" if len(paths) > _MOST_NAMED else "")
