"""Lays a private Go build cache over a shared one, then becomes the command: runs inside a sandbox.

Usage: golayer.py SHARED PRIVATE COMMAND...  Nothing of kubeproof can be imported here.

Contents are links to the shared files, which nobody in a sandbox can write. The index entries beside them
are copied, because Go may write those anew.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path


def lay(shared: Path, private: Path) -> None:
    """Fill the folder `private` with what `shared` knows."""
    private.mkdir(parents=True, exist_ok=True)
    with os.scandir(shared) as folders:
        for folder in folders:
            if not folder.is_dir():
                continue
            target = private / folder.name
            target.mkdir(exist_ok=True)
            with os.scandir(folder.path) as entries:
                for entry in entries:
                    if entry.name.endswith("-a"):
                        shutil.copyfile(entry.path, target / entry.name)
                    else:
                        (target / entry.name).symlink_to(entry.path)
    # Go looks once a day for entries that were not used for long; to it, all links are old.
    (private / "trim.txt").write_text(str(int(time.time())))


if __name__ == "__main__":
    lay(Path(sys.argv[1]), Path(sys.argv[2]))
    os.execvp(sys.argv[3], sys.argv[3:])  # noqa: S606 - that is what it is for
