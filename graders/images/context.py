"""Packs what a build may copy from: the files of the submission, and nothing else.

The submission is a checked copy already: plain files, and links that stay inside it. `.dockerignore` is not
read and not packed; what was handed in is the context, whole.
"""

import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from graders.faults import BadSubmission

INSTRUCTIONS = ".kubeproof-dockerfile"
"""What the engine builds by; nothing a submission holds can take its place."""

_IGNORE_FILE = ".dockerignore"

MOST_BYTES = 128 * 1024 * 1024


def write_context(
    root: Path, instructions: str, archive: Path, *, most_bytes: int | None = MOST_BYTES
) -> None:
    """Pack the submission at `root`, and `instructions` beside it, into the tar file `archive`.

    Owners and times say nothing: the same files always give the same archive.

    Raises:
        BadSubmission: it is too large.
    """
    packed_bytes = 0
    with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as tar:
        for path in _paths(root):
            name = PurePosixPath(path.relative_to(root)).as_posix()
            if name in (INSTRUCTIONS, _IGNORE_FILE):
                continue
            entry = tar.gettarinfo(path, name)
            packed_bytes += entry.size if entry.isreg() else 0
            if most_bytes is not None and packed_bytes > most_bytes:
                limit = f"{most_bytes // 1024**2} MiB"
                raise BadSubmission(f"the files to build from take over {limit}", fix="leave out data")
            _add(tar, entry, path)
        written = tarfile.TarInfo(INSTRUCTIONS)
        content = instructions.encode()
        written.size, written.mode = len(content), 0o644
        tar.addfile(written, io.BytesIO(content))


def _paths(root: Path) -> Iterator[Path]:
    """Everything below `root`, folders before what is in them; links are not followed."""
    for folder, folders, files in os.walk(root):
        folders.sort()
        # A link to a folder is listed among the folders, and not entered.
        for name in sorted([*folders, *files]):
            yield Path(folder, name)


def _add(tar: tarfile.TarFile, entry: tarfile.TarInfo, path: Path) -> None:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mtime = 0
    if entry.isreg():
        with path.open("rb") as content:
            tar.addfile(entry, content)
    elif entry.isdir() or entry.issym():
        tar.addfile(entry)
