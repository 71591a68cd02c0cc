"""Reading archives without letting them choose how much is read."""

import io
import tarfile
from typing import IO

from graders.faults import BadSubmission
from graders.submissions.limits import MEBIBYTE

_DIRECTORY_BYTES = 8 * MEBIBYTE
_HEADER_BYTES = 64 * 1024
_GLOBAL_KEYS = 100


class PlainTarInfo(tarfile.TarInfo):
    """A header that may be followed by others only while those are small; no sparse files."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        # tarfile reads extension headers whole, whatever size they claim.
        extension = self.type not in tarfile.SUPPORTED_TYPES or self.type in (
            tarfile.GNUTYPE_LONGNAME,
            tarfile.GNUTYPE_LONGLINK,
            tarfile.XHDTYPE,
            tarfile.XGLTYPE,
            tarfile.SOLARIS_XHDTYPE,
        )
        if extension and self.size > _HEADER_BYTES:
            raise tarfile.ReadError("an extension header is too large")
        if self.type == tarfile.GNUTYPE_SPARSE:
            raise tarfile.ReadError("sparse files are not read")
        if len(archive.pax_headers) > _GLOBAL_KEYS:
            raise tarfile.ReadError("too many global headers")
        member: tarfile.TarInfo = super()._proc_member(archive)  # type: ignore[misc]
        if member.sparse is not None:
            raise tarfile.ReadError("sparse files are not read")
        return member


class Counted(io.RawIOBase):
    """A stream that ends in an error once more than `most_bytes` came out of it."""

    def __init__(self, stream: IO[bytes], most_bytes: int, shown: str) -> None:
        self._stream = stream
        self._left = most_bytes
        self._shown = shown

    def read(self, size: int = -1) -> bytes:
        """Read at most `size` bytes; tarfile asks for one block at a time."""
        data = self._stream.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise BadSubmission(
                "unpacks to more than a submission may hold",
                file=self._shown,
                fix="leave out .git, environments and data",
            )
        return data


class CappedReads(io.BufferedIOBase):
    """A file of which no single read is large: zipfile takes a whole table of contents in one."""

    def __init__(self, stream: IO[bytes], shown: str) -> None:
        self._stream = stream
        self._shown = shown

    def read(self, size: int | None = -1) -> bytes:
        """Read at most `size` bytes."""
        wanted = _DIRECTORY_BYTES + 1 if size is None or size < 0 else size
        data = self._stream.read(min(wanted, _DIRECTORY_BYTES + 1))
        if len(data) > _DIRECTORY_BYTES:
            raise BadSubmission(
                "lists far too many files", file=self._shown, fix="leave out .git, environments and data"
            )
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move in the file."""
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        """Where in the file we are."""
        return self._stream.tell()

    def seekable(self) -> bool:
        """It is."""
        return True

    def readable(self) -> bool:
        """It is."""
        return True
