"""Writes a file or a folder whole or not at all: a reader sees what was there before, or all of the new.

What is written stands under a temporary name beside its place, reaches the disk, and is then renamed. A
process that is killed leaves at most a hidden name that begins with a dot; whoever fails otherwise leaves
nothing.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path


def write_whole(path: Path, content: str | bytes, *, mode: int = 0o644) -> None:
    """Have `content` at `path`; text is stored as UTF-8, as it is.

    Raises:
        OSError: the folder is missing or cannot be written, or the disk is full; `path` is then as it was.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.name[:100]}.", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(mode)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_whole_folder(folder: Path, files: Mapping[str, str | bytes]) -> None:
    """Have a folder that holds `files`, by their relative names, and nothing else.

    An earlier one of the name is swapped out and removed: whoever calls this has seen that nothing of worth
    is in it. Between the two renames of the swap the name is missing for a moment; old and new never mix.

    Raises:
        ValueError: a name leads out of the folder.
        OSError: as `write_whole`; the earlier folder is then as it was.
    """
    made = Path(tempfile.mkdtemp(prefix=f".{folder.name[:100]}.", dir=folder.parent))
    aside = made.with_name(made.name + ".old")
    try:
        for name, content in files.items():
            if Path(name).is_absolute() or ".." in Path(name).parts:
                raise ValueError(f"{name!r} leads out of the folder")
            place = made / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content.encode() if isinstance(content, str) else content)
        made.chmod(0o755)
        if folder.exists():
            folder.rename(aside)
        try:
            made.rename(folder)
        except BaseException:
            if aside.exists():
                aside.rename(folder)
            raise
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise
    shutil.rmtree(aside, ignore_errors=True)
