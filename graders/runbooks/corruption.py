"""Backups that are not what they were: truncated, or with one digit changed."""

import shutil
from collections.abc import Collection
from pathlib import Path

from graders.runbooks.sealed import seal

_DIGIT = 10
"""Which digit of a record's seal is changed; any would do."""


def truncate(source: Path, target: Path) -> None:
    """A copy of a backup whose files all end in the middle."""
    _copy(source, target)
    for path in _files(target):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    seal(target)


def tamper(source: Path, target: Path, seals: Collection[str], *, exports_alone: bool = False) -> str:
    """A copy in which one digit of a ledger record is another, wherever that record stands; says what is.

    Where none of `seals` stands in plain text, one bit in the middle of each file is another. With
    `exports_alone`, files that are no text stay as they are, if a record stands in one that is.
    """
    _copy(source, target)
    files = {path: path.read_bytes() for path in _files(target)}
    if exports_alone:
        texts = {path: data for path, data in files.items() if b"\0" not in data}
        files = texts if any(each.encode() in data for each in seals for data in texts.values()) else files
    wanted = next((each for each in seals if any(each.encode() in data for data in files.values())), None)
    for path, data in files.items():
        if wanted is not None:
            changed = wanted[:_DIGIT] + ("0" if wanted[_DIGIT] != "0" else "1") + wanted[_DIGIT + 1 :]
            path.write_bytes(data.replace(wanted.encode(), changed.encode()))
        elif data:
            middle = len(data) // 2
            path.write_bytes(data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :])
    seal(target)
    return "a digit of a record" if wanted is not None else "a bit of each file"


def _copy(source: Path, target: Path) -> None:
    shutil.copytree(source, target)
    for path in (target, *target.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]
