"""Sealed backups: what a runbook left in `BACKUP_DIR`, read-only from then on."""

import os
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class SealedBackup:
    """A sealed backup: its id, which tells nothing, and when it was begun and ended."""

    id: str
    began: float
    ended: float


@dataclass
class SealedBackups:
    """The sealed backups of a cluster, each a folder in `folder` by its id."""

    folder: Path
    sealed: list[SealedBackup] = field(default_factory=list)


def seal(folder: Path) -> None:
    """Make a backup read-only, open to whoever restores, and all its times the same."""
    for path in [*folder.rglob("*"), folder]:
        path.chmod(0o555 if path.is_dir() or path.stat().st_mode & 0o100 else 0o444)
        os.utime(path, (0, 0))
