"""The digest of a bundle: what was stored is what is judged again, to the byte."""

import hashlib
import os
import stat
from pathlib import Path

from graders.faults import InfraFault

_SCHEME = "bundle-sha256:"
_CHUNK = 1024 * 1024


def bundle_digest(folder: Path) -> str:
    """`bundle-sha256:<hex>` over the path and content of every file in `folder`, in the order of paths.

    Raises:
        InfraFault: there is no such folder, it cannot be read, or holds what is no file, such as a link.
    """
    total = hashlib.sha256()
    try:
        for path in _files(folder):
            name = os.fsencode(path.relative_to(folder).as_posix())
            total.update(b"%d:%s %s\n" % (len(name), name, _content(path).encode()))
    except OSError as error:
        raise InfraFault(
            f"the bundle {folder} cannot be read: {error.strerror or error}",
            fix="put it back to where it was recorded, or grade again",
        ) from error
    return _SCHEME + total.hexdigest()


def verify_digest(folder: Path, digest: str) -> None:
    """See that the bundle in `folder` is the one that had that digest.

    Raises:
        InfraFault: it is another, or as `bundle_digest` says.
    """
    if bundle_digest(folder) != digest:
        raise InfraFault(
            f"the bundle {folder} was changed after it was stored: it is evidence no longer",
            fix="put the folder back from a backup, or grade again",
        )


def _files(folder: Path) -> list[Path]:
    found = []
    for parent, folders, files in os.walk(folder, onerror=_raise):
        for name in (*folders, *files):
            path = Path(parent, name)
            mode = path.lstat().st_mode
            if stat.S_ISREG(mode):
                found.append(path)
            elif not stat.S_ISDIR(mode):
                raise InfraFault(
                    f"the bundle {folder} holds {name!r}, which is no file",
                    fix="put the folder back from a backup, or grade again",
                )
    return sorted(found, key=lambda path: os.fsencode(path.relative_to(folder).as_posix()))


def _content(path: Path) -> str:
    one = hashlib.sha256()
    # Not through a link that somebody put there in the meantime.
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        while chunk := file.read(_CHUNK):
            one.update(chunk)
    return one.hexdigest()


def _raise(error: OSError) -> None:
    raise error
