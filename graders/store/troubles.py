"""What goes wrong with a database, in words that say what to do."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from typing import TYPE_CHECKING

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from graders.faults import InfraFault, KubeproofError, UsageError
from graders.store.address import Address

if TYPE_CHECKING:
    import psycopg

WAITS_S = 30
"""How long a writer waits for another one."""

_WHOLE = "every grade in it is whole, and the one being written is in it or not"
_AGAIN = "run the same command again: it goes on where it was"

_IN_FILE = {
    sqlite3.SQLITE_BUSY: (
        f"another process has locked it for more than {WAITS_S} s",
        "wait until that one is done, or end it, and run the same command again",
    ),
    sqlite3.SQLITE_LOCKED: ("another process has locked it", _AGAIN),
    sqlite3.SQLITE_FULL: ("the disk is full", f"free some space, and {_AGAIN}"),
    sqlite3.SQLITE_IOERR: (
        "the disk does not take or give what is written",
        "see what the kernel's log says of the disk; keep the store on a local one that is not full",
    ),
    sqlite3.SQLITE_READONLY: ("it cannot be written", "make the file and its folder writable for you"),
    sqlite3.SQLITE_CANTOPEN: ("it cannot be opened", "make the file and its folder readable and writable"),
    sqlite3.SQLITE_PERM: ("it cannot be opened", "make the file and its folder readable and writable"),
    sqlite3.SQLITE_CORRUPT: ("the file is damaged", "put it back from a backup"),
}

_ON_SERVER = {
    "53100": ("the server's disk is full", f"free some space there, and {_AGAIN}"),
    "53200": ("the server is out of memory", _AGAIN),
    "53300": ("the server has no connection left", "end some, or raise its max_connections"),
    "55P03": (f"another process has locked it for more than {WAITS_S} s", _AGAIN),
    "40P01": ("two commands waited for each other", _AGAIN),
    "40001": ("another command wrote at the same moment", _AGAIN),
    "25006": ("the server takes no writes: it is a standby", "name the primary server"),
    "42501": ("this user may not do that there", "grant the user CREATE and USAGE on the schema"),
}


@contextlib.contextmanager
def told(address: Address) -> Iterator[None]:
    """Errors of the database become faults that name the store.

    Raises:
        InfraFault: the machine or the server failed. UsageError: the file is no store.
    """
    try:
        yield
    except DBAPIError as error:
        raise _fault(error, address) from error
    except sqlite3.Error as error:
        raise _of_file(error, address) or error from error
    except PoolTimeout as error:
        raise InfraFault(
            f"the store {address.shown}: no connection was free for {WAITS_S} s", fix=_AGAIN
        ) from error


def _fault(error: DBAPIError, address: Address) -> KubeproofError | DBAPIError:
    cause = error.orig
    if isinstance(cause, sqlite3.Error):
        return _of_file(cause, address) or error
    import psycopg  # noqa: PLC0415  (a store in a file has no need of it)

    if isinstance(cause, psycopg.Error):
        return _of_server(cause, error, address) or error
    return error


def _of_file(cause: sqlite3.Error, address: Address) -> KubeproofError | None:
    code = getattr(cause, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_NOTADB:
        return UsageError(
            "this file is no store of kubeproof",
            file=address.shown,
            fix="name another file; nothing was changed",
        )
    if code not in _IN_FILE:
        return None
    problem, fix = _IN_FILE[code]
    whole = "" if code == sqlite3.SQLITE_CORRUPT else f"; {_WHOLE}"
    return InfraFault(f"the store {address.shown}: {problem} ({cause}){whole}", fix=fix)


def _of_server(cause: psycopg.Error, error: DBAPIError, address: Address) -> KubeproofError | None:
    if cause.sqlstate in _ON_SERVER:
        problem, fix = _ON_SERVER[cause.sqlstate]
        return InfraFault(f"the store {address.shown}: {problem}; {_WHOLE}", fix=fix)
    import psycopg  # noqa: PLC0415

    gone = error.connection_invalidated or isinstance(cause, psycopg.OperationalError)
    if not gone:
        return None
    words = " ".join(str(cause).split()) or type(cause).__name__
    return InfraFault(
        f"the store {address.shown} does not answer: {words}; {_WHOLE}",
        fix=f"see that the server runs and the URL is right, and {_AGAIN}",
    )
