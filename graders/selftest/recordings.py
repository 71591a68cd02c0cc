"""Records of solutions, kept in the cache under their record key: what is there is not recorded again."""

import os
import shutil
import tarfile
import time
from pathlib import Path

from graders.paths import cache_folder

KEPT_FOR_S = 30 * 24 * 3600.0
"""A record that nobody asked for in so long goes."""

_SUFFIX = ".tar.gz"


class Recordings:
    """The kept records of one lab; each is a bundle in one compressed file."""

    def __init__(self, lab: str, *, cache: Path | None = None) -> None:
        """Use the cache of this user, or the folder `cache`."""
        self._folder = (cache or cache_folder()) / "recordings" / lab

    def has(self, key: str) -> bool:
        """Whether there is a record of that key."""
        return self._file(key).exists()

    def unpack(self, key: str, bundle: Path) -> bool:
        """Put the record of that key at `bundle`, a folder not there yet; False where it cannot be read."""
        file = self._file(key)
        try:
            file.touch()
            with tarfile.open(file, "r:gz") as packed:
                packed.extractall(bundle, filter="data")
        except (OSError, EOFError, tarfile.TarError):
            file.unlink(missing_ok=True)
            shutil.rmtree(bundle, ignore_errors=True)
            return False
        return True

    def keep(self, key: str, bundle: Path) -> None:
        """Keep a finished bundle under that key, in the place of any other."""
        self._folder.mkdir(parents=True, exist_ok=True)
        packed = self._folder / f".{key}.{os.getpid()}"
        try:
            with tarfile.open(packed, "w:gz", compresslevel=3) as archive:
                for path in sorted(bundle.iterdir()):
                    archive.add(path, path.name)
            packed.replace(self._file(key))
        finally:
            packed.unlink(missing_ok=True)

    def forget(self, key: str) -> None:
        """Remove the record of that key."""
        self._file(key).unlink(missing_ok=True)

    def prune(self) -> None:
        """Remove what nobody has asked for in a long time."""
        oldest = time.time() - KEPT_FOR_S
        for file in self._folder.glob(f"*{_SUFFIX}"):
            if file.stat().st_mtime < oldest:
                file.unlink(missing_ok=True)

    def _file(self, key: str) -> Path:
        return self._folder / f"{key}{_SUFFIX}"
