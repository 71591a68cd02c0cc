"""Writes a file or a folder whole or not at all: a reader sees what was there before, or all of the new.

What is written stands under a temporary name beside its place, reaches the disk, and is then renamed. A
process that is killed leaves at most a hidden name that begins with a dot; whoever fails otherwise leaves
nothing.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

LIST = ".kubeproof-files.json"
"""What a folder that was written here holds, so that it can be told from somebody else's."""


class NotOurs(Exception):
    """Something stands where a folder was to be written, and nobody can say that it is worth nothing."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} was not written by kubeproof")
        self.path = path


def write_whole(path: Path, content: str | bytes, *, mode: int = 0o644) -> None:
    """Have `content` at `path`; text is stored as UTF-8, as it is.

    Raises:
        OSError: the folder is missing or cannot be written, or the disk is full; `path` is then as it was.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.name[:100]}.", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(_bytes(content))
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(mode)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_whole_folder(folder: Path, files: Iterable[tuple[str, str | bytes]]) -> tuple[Path, ...]:
    """Have a folder that holds `files`, pairs of relative name and content, and a list of them; returns them.

    An earlier folder is replaced if it is empty or holds nothing but what was written here. Between the two
    renames of the swap the name is missing for a moment; old and new never mix.

    Raises:
        NotOurs: there is something else, and it is left alone.
        ValueError: a name leads out of the folder.
        OSError: as `write_whole`; an earlier folder is then as it was.
    """
    see_replaceable(folder)
    made = Path(tempfile.mkdtemp(prefix=f".{folder.name[:100]}.", dir=folder.parent))
    aside = made.with_name(made.name + ".old")
    names = []
    try:
        for name, content in files:
            if Path(name).is_absolute() or ".." in Path(name).parts:
                raise ValueError(f"{name!r} leads out of the folder")
            place = made / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(_bytes(content))
            names.append(name)
        (made / LIST).write_text(json.dumps(names))
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
    return tuple(folder / name for name in names)


def see_replaceable(folder: Path) -> None:
    """See that nothing would be lost if a folder were written here.

    Raises:
        NotOurs: it is a file or a link, or holds what was not written by `write_whole_folder`.
    """
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise NotOurs(folder)
    there = [path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()]
    try:
        known = {LIST, *json.loads((folder / LIST).read_text("utf-8"))} if there else set()
    except (OSError, ValueError, TypeError):
        known = set()
    for path in there:
        if str(path.relative_to(folder)) not in known:
            raise NotOurs(path)


def _bytes(content: str | bytes) -> bytes:
    return content.encode() if isinstance(content, str) else content
