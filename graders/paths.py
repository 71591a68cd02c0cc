"""Where kubeproof keeps things: the cache (kept, shared between runs) and the state folder (never kept)."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import platformdirs

from graders.faults import InfraFault

REPOSITORY = Path(__file__).resolve().parent.parent
"""The checkout this package runs from: labs/, rubrics/ and solutions/ stand here."""


def cache_folder() -> Path:
    """The folder for downloads and builds; `KUBEPROOF_CACHE` overrides the platform's own place."""
    folder = Path(os.environ.get("KUBEPROOF_CACHE") or platformdirs.user_cache_path("kubeproof"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def state_folder() -> Path:
    """The folder for what must not outlive a run, private to this user.

    `KUBEPROOF_STATE` overrides it.

    Raises:
        InfraFault: somebody else owns that folder.
    """
    named = os.environ.get("KUBEPROOF_STATE")
    folder = Path(named) if named else Path(tempfile.gettempdir()) / f"kubeproof-{os.getuid()}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise InfraFault(
            f"{folder} belongs to another user",
            fix="remove it, or set KUBEPROOF_STATE to a folder of your own",
        )
    return folder
