"""Data directories of etcd."""

import shutil
from pathlib import Path

from graders.faults import UsageError
from graders.once import remove_tree

_CHUNK_BYTES = 1 << 20


def copy_data(source: Path, target: Path) -> None:
    """Copy a data directory that no etcd uses to `target`, which is not there yet.

    etcd sets 64 MB aside for its log: of what was never written the copy has holes.

    Raises:
        UsageError: `source` is no data directory.
    """
    if not (source / "member" / "snap" / "db").is_file():
        raise UsageError(f"{source} holds no data of etcd", fix="name a folder with member/snap/db in it")
    # The next piece of log, set aside and empty, has a name of its own.
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("*.tmp"), copy_function=_copy_sparse)
    target.chmod(0o700)


def replace_folder(target: Path, source: Path) -> None:
    """Put a copy of the data directory `source` in the place of `target`; raises as `copy_data`."""
    new = target.with_name(f"{target.name}.new")
    remove_tree(new)
    copy_data(source, new)
    remove_tree(target)
    new.rename(target)


def _copy_sparse(source: str, target: str) -> None:
    with Path(source).open("rb") as reading, Path(target).open("wb") as writing:
        while chunk := reading.read(_CHUNK_BYTES):
            if chunk.count(0) == len(chunk):
                writing.seek(len(chunk), 1)
            else:
                writing.write(chunk)
        writing.truncate()
    Path(target).chmod(0o600)
