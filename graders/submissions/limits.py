"""How much a submission may hold."""

from dataclasses import dataclass

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True)
class SubmissionLimits:
    """Sizes in bytes; `depth` counts the folders and the file of a path.

    `files` counts folders and links too. `skipped` bounds the ignored entries of an archive,
    `archive_bytes` its own size and `unpacked_bytes` the stream a compressed tar unpacks to.
    """

    files: int = 5_000
    file_bytes: int = 64 * MEBIBYTE
    total_bytes: int = 128 * MEBIBYTE
    depth: int = 32
    name_bytes: int = 255
    skipped: int = 50_000
    archive_bytes: int = 128 * MEBIBYTE
    unpacked_bytes: int = 512 * MEBIBYTE
