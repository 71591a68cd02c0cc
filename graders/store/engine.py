"""A database and its transactions: whole or not at all, one writer after another."""

import contextlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text

from graders.faults import InfraFault
from graders.store.address import Address
from graders.store.troubles import WAITS_S, told

# What goes wrong is raised; a pool that tells of it too would print a traceback beside it.
logging.getLogger("sqlalchemy").addHandler(logging.NullHandler())

_WRITES = "kubeproof_writes"

_OURS = 0x6B756265
"""The key of the lock, which other programs on a server do not take."""


class Database:
    """A database by address; safe to use from many threads."""

    def __init__(self, address: Address) -> None:
        """Connect to nothing yet."""
        self.address = address
        self.engine = _file_engine(address) if address.file else _server_engine(address)
        self._file: tuple[int, int] | None = None

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees one state of the store and changes nothing.

        Raises:
            InfraFault: the database failed or is gone.
        """
        with self._transaction(writes=False) as connection:
            yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that is kept as a whole when the block ends, and else not at all.

        Raises:
            InfraFault: the database failed or is gone, or another process holds it.
        """
        with self._transaction(writes=True) as connection:
            yield connection

    def watch_file(self) -> None:
        """From now on the file must stay the one that it is."""
        if self.address.file:
            self._file = _identity(self.address.file)

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()

    @contextlib.contextmanager
    def _transaction(self, *, writes: bool) -> Iterator[Connection]:
        self._expect_file()
        with told(self.address), self.engine.connect() as connection:
            options: dict[str, Any] = {_WRITES: writes}
            if not self.address.file and not writes:
                options["isolation_level"] = "REPEATABLE READ"
            connection = connection.execution_options(**options)  # noqa: PLW2901  (the same one, with options)
            with connection.begin():
                yield connection
                # What is written to a file that was removed is written nowhere.
                self._expect_file()
        self._expect_file()

    def _expect_file(self) -> None:
        if self._file is None or self.address.file is None:
            return
        if _identity(self.address.file) != self._file:
            raise InfraFault(
                f"the store {self.address.shown} was removed or replaced while it was in use: "
                "what was written last is not kept",
                fix="put the file back, and run the same command again",
            )


def one_at_a_time(connection: Connection) -> None:
    """Have nobody else past this point until the transaction ends; in a file that holds for every writer."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _OURS})


def _identity(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _file_engine(address: Address) -> Engine:
    # A report is long, and nobody's to be printed in an error.
    engine = create_engine(address.url, hide_parameters=True, connect_args={"timeout": WAITS_S})

    @event.listens_for(engine, "connect")
    def settle(connection: Any, _: object) -> None:
        # Else Python's sqlite3 begins transactions itself, and only at the first write.
        connection.isolation_level = None
        connection.execute("PRAGMA foreign_keys=ON")
        # A grade that was told to be kept is on the disk, also after a power failure.
        connection.execute("PRAGMA synchronous=FULL")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get(_WRITES)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _server_engine(address: Address) -> Engine:
    arguments = {
        "connect_timeout": 10,
        "application_name": f"kubeproof-{os.getpid()}",
        "options": f"-c lock_timeout={WAITS_S}s -c client_encoding=UTF8",
    }
    given = {name: value for name, value in arguments.items() if name not in address.url.query}
    return create_engine(address.url, hide_parameters=True, pool_pre_ping=True, connect_args=given)
