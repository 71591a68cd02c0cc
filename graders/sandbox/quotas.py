"""Folders in memory that take so many bytes and so many files, made before bubblewrap makes the view.

bubblewrap bounds a tmpfs by its bytes alone, and a million empty files cost the machine a gigabyte. So the
kernel is asked ahead of it, in a mount namespace that ends with the sandbox: the host never sees them.
"""

import os
import shlex
from collections.abc import Mapping
from pathlib import Path

_FILES = 1024
_BYTES_PER_FILE = 2048
"""Half a page: room for as many small files as fill the bytes, and for the names of all of them."""


def bounded_folders(sizes: Mapping[Path, int]) -> list[str]:
    """The arguments before a command that make each folder hold its bytes for that command alone."""
    if not sizes:
        return []
    mounts = []
    for folder, size_bytes in sizes.items():
        files = _FILES + size_bytes // _BYTES_PER_FILE
        options = f"nosuid,nodev,mode=1777,size={size_bytes},nr_inodes={files}"
        mounts.append(f"mount -n -i -t tmpfs -o {options} tmpfs {shlex.quote(str(folder))}")
    # An ordinary user may mount where it is root: in a user namespace, around that of bubblewrap.
    own = ["--user", "--map-root-user"] if os.getuid() != 0 else []
    return ["unshare", "--mount", *own, "--", "sh", "-c", " && ".join([*mounts, 'exec "$@"']), "sh"]
