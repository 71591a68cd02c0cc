"""Where a store is: a file, or the URL of a database."""

import os
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from graders.faults import UsageError

_FIX = "name a file, such as class.db, or a URL: postgresql://user@host/database"


@dataclass(frozen=True)
class Address:
    """One store; `file` is None where a server has it. `shown` has no password in it."""

    url: URL
    shown: str
    file: Path | None = None

    @property
    def folder(self) -> Path | None:
        """What places of bundles are told from, so that a store can move together with them."""
        return self.file.parent if self.file else None

    def place_of(self, bundle: Path) -> str:
        """How the store writes down where a bundle lies."""
        bundle = bundle.resolve()
        if self.folder and bundle.is_relative_to(self.folder):
            return bundle.relative_to(self.folder).as_posix()
        return str(bundle)

    def bundle_at(self, place: str) -> Path:
        """Where the bundle lies that `place_of` wrote down."""
        return (self.folder or Path("/")) / place


def address_of(text: str | os.PathLike[str]) -> Address:
    """The store that somebody named, by path or URL.

    Raises:
        UsageError: it is neither, or of a database that kubeproof cannot use.
    """
    named = os.fspath(text)
    if not named.strip() or "\0" in named:
        raise UsageError("no store is named", fix=_FIX)
    if "://" not in named:
        return _in_file(Path(named))
    try:
        url = make_url(named)
    except (ArgumentError, ValueError) as error:
        raise UsageError("this is no URL of a store", fix=_FIX) from error
    kind = url.get_backend_name()
    if kind == "sqlite":
        if not url.database or url.database == ":memory:":
            raise UsageError("a store in memory would be lost with this command", fix=_FIX)
        return _in_file(Path(url.database))
    if kind in ("postgresql", "postgres"):
        url = url.set(drivername="postgresql+psycopg")
        return Address(url, url.set(drivername="postgresql").render_as_string(hide_password=True))
    raise UsageError(f"a store cannot be in {kind}", fix=_FIX)


def _in_file(path: Path) -> Address:
    file = path.absolute()
    # The file itself may be a link; its companions stand beside what it leads to.
    file = file.resolve() if file.exists() else file.parent.resolve() / file.name
    return Address(URL.create("sqlite", database=str(file)), str(path), file)
