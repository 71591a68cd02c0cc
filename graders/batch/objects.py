"""A place for objects that many machines reach: a folder, S3, whatever fsspec knows.

An object appears whole or not at all; what is written over has the same content, for names are digests of it.
"""

import contextlib
import importlib
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec

from graders.documents.wording import printable
from graders.faults import InfraFault, UsageError

_PART = ".part-"
"""In the name of what is not whole yet."""

_BUCKETS = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss")
"""Schemes of places without folders, where nobody sees an object before it is whole."""

_CLAIM = "kubeproof-place.json"
_CLAIMED = b'{"schema": "kubeproof/place/v1"}\n'

_EXTRAS = {"s3": "s3", "s3a": "s3"}
"""The extra of this package that a scheme needs."""


class ObjectPlace:
    """Objects below one URL, by names with slashes; each method raises InfraFault if it is out of reach."""

    def __init__(self, url: str) -> None:
        """Find the file system of `url`, such as `file:///srv/class` or `s3://bucket/class`.

        Raises:
            UsageError: it is none, or its file system is not installed.
        """
        self.url = url.rstrip("/")
        scheme, marked, rest = self.url.partition("://")
        if not marked or not scheme or not rest.strip("/") or (scheme == "file" and not rest.startswith("/")):
            raise UsageError(
                f"--objects {printable(url)} names no place for objects",
                fix="name a folder, file:///srv/class, or a bucket and a prefix, s3://bucket/class",
            )
        self._folders = scheme not in _BUCKETS
        try:
            self._fs, self._root = fsspec.core.url_to_fs(self.url, use_listings_cache=False)
        except (ImportError, ValueError) as error:
            extra = _EXTRAS.get(scheme)
            raise UsageError(
                f"--objects {printable(url)} cannot be used: {error}",
                fix=f"pip install 'kubeproof[{extra}]'" if extra else "install what fsspec needs for it",
            ) from error

    def put(self, name: str, content: bytes | Path) -> None:
        """Have an object of that name and content; in a folder under another name until it is whole."""
        place = self._path(name)
        with self._reached(f"writing {name}"):
            if not self._folders:
                self._write(place, content)
                return
            part = f"{place}{_PART}{uuid.uuid4().hex}"
            self._fs.makedirs(place.rpartition("/")[0], exist_ok=True)
            self._write(part, content)
            self._fs.mv(part, place)

    def has(self, name: str) -> bool:
        """Whether there is an object of that name, as the place says now."""
        with self._reached(f"looking for {name}"):
            self._fs.invalidate_cache()
            return bool(self._fs.isfile(self._path(name)))

    def read(self, name: str, most_bytes: int) -> bytes | None:
        """The content of an object; None where there is none, or it is larger than `most_bytes`."""
        with self._reached(f"reading {name}"):
            try:
                with self._fs.open(self._path(name), "rb", cache_type="none") as stream:
                    content = stream.read(most_bytes + 1)
            except FileNotFoundError:
                return None
        return bytes(content) if len(content) <= most_bytes else None

    def fetch(self, name: str, file: Path, most_bytes: int) -> bool:
        """Copy an object to the new file `file`; false where there is none, or it is too large."""
        with self._reached(f"reading {name}"):
            try:
                self._fs.invalidate_cache()
                if self._fs.size(self._path(name)) > most_bytes:
                    return False
                self._fs.get_file(self._path(name), str(file))
            except FileNotFoundError:
                return False
        return True

    def names(self, folder: str) -> list[str]:
        """The names of the whole objects in a folder, and in those within it, sorted."""
        with self._reached(f"listing {folder}"):
            self._fs.invalidate_cache()
            found = [str(each) for each in self._fs.find(self._path(folder))]
        return sorted(each[len(self._root) + 1 :] for each in found if _PART not in each)

    def remove(self, name: str) -> None:
        """Have no object of that name."""
        with self._reached(f"removing {name}"), contextlib.suppress(FileNotFoundError):
            self._fs.rm_file(self._path(name))

    def claim(self) -> None:
        """See that something can be written and read here, before anything is paid for."""
        self.put(_CLAIM, _CLAIMED)
        self.check()

    def check(self) -> None:
        """See that this is still the place that was claimed: where a folder went, nothing is in it."""
        if self.read(_CLAIM, len(_CLAIMED)) != _CLAIMED:
            raise InfraFault(
                f"{self.url} is no longer what it was: {_CLAIM} is gone, or cannot be read back",
                fix="put it back, or mount it again, and run the same command again; nothing is lost",
            )

    def _write(self, place: str, content: bytes | Path) -> None:
        if isinstance(content, Path):
            self._fs.put_file(str(content), place)
        else:
            self._fs.pipe_file(place, content)

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    @contextlib.contextmanager
    def _reached(self, doing: str) -> Iterator[None]:
        try:
            yield
        except _troubles() as error:
            told = printable(str(error).strip() or type(error).__name__)[:300]
            raise InfraFault(
                f"{self.url} is out of reach ({doing}): {told}",
                fix="see that the place is there, that its credentials hold, and run the same command again; "
                "nothing is lost",
            ) from error


def _troubles() -> tuple[type[Exception], ...]:
    """What file systems raise: mostly OSError; S3's library has errors of its own beside."""
    found: list[type[Exception]] = [OSError, TimeoutError, fsspec.exceptions.FSTimeoutError]
    for module, name in (("botocore.exceptions", "BotoCoreError"), ("botocore.exceptions", "ClientError")):
        with contextlib.suppress(ImportError):
            loaded: Any = importlib.import_module(module)
            found.append(getattr(loaded, name))
    return tuple(found)
