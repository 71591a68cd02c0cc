"""What a submission may hold, and what in it is not looked at."""

from __future__ import annotations

from dataclasses import dataclass

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True)
class SubmissionLimits:
    """Sizes in bytes; `depth` counts the folders and the file of a path.

    `files` counts folders and links too. `skipped` bounds the ignored entries of an archive,
    `archive_bytes` its own size and `unpacked_bytes` the stream a compressed tar unpacks to.
    """

    files: int = 5_000
    file_bytes: int = 16 * MEBIBYTE
    total_bytes: int = 64 * MEBIBYTE
    depth: int = 32
    name_bytes: int = 255
    skipped: int = 50_000
    archive_bytes: int = 64 * MEBIBYTE
    unpacked_bytes: int = 256 * MEBIBYTE


IGNORED = frozenset(
    {
        ".git",
        ".hg",
        ".svn",
        ".jj",
        ".venv",
        "venv",
        "node_modules",
        "__pycache__",
        "__MACOSX",
        ".cache",
        ".direnv",
        ".eggs",
        ".hypothesis",
        ".idea",
        ".ipynb_checkpoints",
        ".mypy_cache",
        ".nox",
        ".pytest_cache",
        ".ruff_cache",
        ".terraform",
        ".tox",
        ".vscode",
        ".DS_Store",
    }
)
"""Names of version control, environments, caches and editors: neither checked, copied nor digested."""


def is_ignored(name: str) -> bool:
    """Whether nothing of that name belongs to a submission; `._x` and `.#x` are left by macOS and Emacs."""
    return name in IGNORED or name.startswith(("._", ".#"))
