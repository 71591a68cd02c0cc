"""Stores of other versions: a new one is made, an older one migrated after a copy, a newer one refused."""

import contextlib
import os
import sqlite3
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

from graders.faults import InfraFault, UsageError
from graders.progress import Progress
from graders.store.engine import Database, one_at_a_time
from graders.store.schema import METADATA, VERSION_TABLE

MIGRATIONS = Path(__file__).with_name("migrations")


def bring_up_to_date(database: Database, progress: Progress, *, create: bool) -> None:
    """See that the store is of this kubeproof's version.

    Raises:
        UsageError: there is none and it is not to be made, it is of a newer version, or no store.
        InfraFault: the database failed.
    """
    known = versions()
    head = known[0]
    with database.reading() as connection:
        if _version(database, connection, known, create=create) == head:
            return
    with database.writing() as connection:
        one_at_a_time(connection)
        # Somebody else may have done it in the meantime.
        version = _version(database, connection, known, create=create)
        if version == head:
            return
        if version is not None:
            kept = (
                _copy_file(database, version) if database.address.file else _copy_tables(connection, version)
            )
            progress.say(
                f"the store {database.address.shown} becomes one of version {head}; a copy is {kept}"
            )
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


@cache
def versions() -> tuple[str, ...]:
    """Every version that this kubeproof knows, today's first."""
    scripts = ScriptDirectory.from_config(_config())
    return tuple(each.revision for each in scripts.walk_revisions())


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _version(
    database: Database, connection: Connection, known: tuple[str, ...], *, create: bool
) -> str | None:
    """The version of a store, None for a database with nothing of ours."""
    shown = database.address.shown
    options = {"version_table": VERSION_TABLE}
    version = MigrationContext.configure(connection, opts=options).get_current_revision()
    if version is None:
        there = set(inspect(connection).get_table_names())
        # In a file we are alone; a server's database may have what is somebody else's.
        foreign = there if database.address.file else there & set(METADATA.tables)
        if foreign - {VERSION_TABLE}:
            raise UsageError(
                f"this database is no store of kubeproof: it has a table {sorted(foreign)[0]!r}",
                file=shown,
                fix="name another; nothing in it was changed",
            )
        if not create:
            raise UsageError("there is no store here", file=shown, fix="`kubeproof batch` makes one")
    elif version not in known:
        raise UsageError(
            f"a newer kubeproof made this store: it is of version {version}, and this one knows {known[0]}",
            file=shown,
            fix="use that kubeproof, or a newer one; nothing was changed",
        )
    return version


def _stamp() -> str:
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")


def _copy_file(database: Database, version: str) -> Path:
    """Copy the file as it was last committed; a copy that is there under its name is whole."""
    file = database.address.file
    assert file is not None
    kept = file.with_name(f"{file.name}.{version}-{_stamp()}.bak")
    partly = kept.with_name(f".{kept.name}.{os.getpid()}")
    try:
        # As private as a store is.
        os.close(os.open(partly, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        with (
            contextlib.closing(sqlite3.connect(file)) as source,
            contextlib.closing(sqlite3.connect(partly)) as copy,
        ):
            source.backup(copy)
        partly.replace(kept)
    except (sqlite3.Error, OSError) as error:
        raise InfraFault(
            f"no copy of the store {database.address.shown} can be made before it is changed: {error}",
            fix="free some space beside it, and make its folder writable; nothing was changed",
        ) from error
    finally:
        for each in (partly, partly.with_name(f"{partly.name}-journal")):
            each.unlink(missing_ok=True)
    return kept


def _copy_tables(connection: Connection, version: str) -> str:
    """Copy the tables into a schema of their own, in the very transaction that changes them."""
    schema = f"kubeproof_{version}_{_stamp().lower()}"
    connection.execute(text(f'CREATE SCHEMA "{schema}"'))
    for table in {*inspect(connection).get_table_names()} & {*METADATA.tables, VERSION_TABLE}:
        connection.execute(text(f'CREATE TABLE "{schema}"."{table}" AS TABLE "{table}"'))
    return f"the schema {schema}"
