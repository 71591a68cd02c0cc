"""From what somebody names to a store that is ready."""

import contextlib
import os
import sqlite3
from collections.abc import Iterator

from graders.faults import InfraFault, UsageError
from graders.polling import NotYet, TimedOut, wait_for
from graders.progress import Progress, Silent
from graders.store.address import Address, address_of
from graders.store.engine import Database
from graders.store.store import GradeStore
from graders.store.troubles import WAITS_S, told
from graders.store.versions import bring_up_to_date
from graders.surroundings import make_folder


@contextlib.contextmanager
def open_store(
    url: str | os.PathLike[str], *, create: bool = True, progress: Progress | None = None
) -> Iterator[GradeStore]:
    """Have the store at a path or URL for as long as the block runs; an older one is migrated first.

    Args:
        url: a file for SQLite, or `postgresql://user@host/database`.
        create: whether one is made where there is none.
        progress: who is told that a store is migrated.

    Raises:
        UsageError: it is no store, or a newer kubeproof's, or there is none and `create` is false.
        InfraFault: the database cannot be had.
    """
    address = address_of(url)
    if address.file is not None:
        _expect(address, create=create)
    database = Database(address)
    try:
        bring_up_to_date(database, progress or Silent(), create=create)
        if address.file is not None:
            _write_ahead(database)
        database.watch_file()
        yield GradeStore(database)
    finally:
        database.close()


def _expect(address: Address, *, create: bool) -> None:
    file = address.file
    assert file is not None
    if file.is_dir() or (file.exists() and not file.is_file()):
        raise UsageError("this is no file", file=address.shown, fix="name a file, such as class.db")
    if not file.exists() and not create:
        raise UsageError("there is no store here", file=address.shown, fix="`kubeproof batch` makes one")
    try:
        make_folder(file.parent)
        if create:
            # Grades are nobody else's to read, whatever the umask; SQLite's other files take after this one.
            os.close(os.open(file, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise UsageError(
            f"the store cannot be made here: {error.strerror}", file=address.shown, fix="name another folder"
        ) from error


def _write_ahead(database: Database) -> None:
    """Have readers never wait for a writer; the mode stays with the file."""
    file = database.address.file
    assert file is not None

    def switched() -> str:
        try:
            with contextlib.closing(sqlite3.connect(file)) as connection:
                return str(connection.execute("PRAGMA journal_mode=WAL").fetchone()[0])
        except sqlite3.OperationalError as error:
            # To change the mode, nobody else may have the file open, if only to do the same.
            if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY:
                raise NotYet(str(error)) from error
            raise

    try:
        with told(database.address):
            mode = wait_for(switched, timeout_s=WAITS_S)
    except TimedOut as error:
        raise InfraFault(
            f"the store {database.address.shown}: another process has locked it for more than {WAITS_S} s",
            fix="wait until that one is done, or end it, and run the same command again",
        ) from error
    if mode != "wal":
        raise InfraFault(
            f"the store {database.address.shown}: its file system cannot share memory ({mode})",
            fix="keep it on a local disk, or name a PostgreSQL server",
        )
