"""Puts what was handed in on record: judging sees no folder."""

import hashlib
from collections.abc import Collection, Iterator
from pathlib import Path

from graders.evidence.handedin import HandedInFile
from graders.evidence.recording import Recording

MOST_TEXT_BYTES = 20 * 1024 * 1024


def record_files(recording: Recording, root: Path, named: Collection[str], folders: Collection[str]) -> None:
    """Record every file below `root`: its digest, and its text where something judges that.

    That is so for those that are `named`, and all in some `folders`.
    """
    for path in sorted(_files(root)):
        where = path.relative_to(root).as_posix()
        raw = path.read_bytes()
        judged = where in named or where.partition("/")[0] in folders
        recording.writer.add(
            HandedInFile(
                t=recording.clock.now(),
                path=where,
                size_bytes=len(raw),
                sha256=hashlib.sha256(raw).hexdigest(),
                text=_text(raw) if judged else None,
            )
        )


def _text(raw: bytes) -> str | None:
    if len(raw) > MOST_TEXT_BYTES:
        return None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None


def _files(root: Path) -> Iterator[Path]:
    """Regular files; a link is read at the place that it leads to, which is inside."""
    for path in root.rglob("*"):
        if path.is_file() and not path.is_symlink():
            yield path
