"""Where kubeproof keeps things: the cache (kept, shared between runs) and the state folder (never kept)."""

import os
import shutil
import tempfile
from pathlib import Path

import platformdirs

from graders.faults import InfraFault

REPOSITORY = Path(__file__).resolve().parent.parent
"""The checkout this package runs from: labs/, rubrics/ and solutions/ stand here."""

COURSE = "KUBEPROOF_COURSE"
"""Names the folder of another course, for this process and those it starts."""

_LEAST_FREE_MIB = 128
"""etcd alone sets 64 MiB aside for its log."""

_CACHE_FIX = "set HOME or KUBEPROOF_CACHE to a folder of your own that can be written"


def course_folder() -> Path:
    """The folder with the labs, rubrics and solutions of the course that is graded."""
    named = os.environ.get(COURSE)
    return Path(named).resolve() if named else REPOSITORY


def cache_folder() -> Path:
    """The folder for downloads and builds; `KUBEPROOF_CACHE` overrides the platform's own place.

    Raises:
        InfraFault: it cannot be made.
    """
    named = os.environ.get("KUBEPROOF_CACHE")
    folder = Path(named) if named else platformdirs.user_cache_path("kubeproof")
    if not named and not folder.is_absolute():
        # Of a user without an entry in passwd, and without HOME, that is a folder called "~".
        raise InfraFault("there is no folder for the cache: HOME is not set", fix=_CACHE_FIX)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InfraFault(
            f"the cache folder {folder} cannot be made: {error.strerror}", fix=_CACHE_FIX
        ) from error
    return folder


def require_room(folder: Path) -> None:
    """See that a run has the room that it needs in `folder`; a database without it ends obscurely.

    Raises:
        InfraFault: it has not.
    """
    free_mib = shutil.disk_usage(folder).free // 2**20
    if free_mib < _LEAST_FREE_MIB:
        raise InfraFault(
            f"the disk that holds {folder} has {free_mib} MiB free, and a run needs {_LEAST_FREE_MIB}",
            fix="free some space, or set TMPDIR or KUBEPROOF_STATE to a folder on another disk",
        )


def state_folder() -> Path:
    """The folder for what must not outlive a run, private to this user.

    `KUBEPROOF_STATE` overrides it.

    Raises:
        InfraFault: somebody else owns that folder, or it cannot be made.
    """
    named = os.environ.get("KUBEPROOF_STATE")
    try:
        folder = Path(named) if named else Path(tempfile.gettempdir()) / f"kubeproof-{os.getuid()}"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise InfraFault(
            f"there is no folder for what a run needs: {error}",
            fix="set TMPDIR or KUBEPROOF_STATE to a folder that can be written and has 2 GB of room",
        ) from error
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise InfraFault(
            f"{folder} belongs to another user",
            fix="remove it, or set KUBEPROOF_STATE to a folder of your own",
        )
    return folder
