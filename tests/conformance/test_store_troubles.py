"""What goes wrong with a store: each time it is said what, what to do, and nothing is half written."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic import command
from sqlalchemy import event, text

from graders.faults import InfraFault, UsageError
from graders.paths import REPOSITORY
from graders.progress import Silent
from graders.store import GradeStore, engine, open_store
from graders.store.address import address_of
from graders.store.engine import Database
from graders.store.versions import _config, versions
from tests.unit.postgres_server import Server
from tests.unit.store_grades import LEARNERS, enrol_all, grade, small_bundle

NEWEST, OLDER = versions()[0], versions()[1]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "class.db"
    with open_store(path) as store:
        enrol_all(store)
        store.save(grade())
    return path


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "WAITS_S", 0.2)


@contextlib.contextmanager
def opened(place: str | Path, **options: Any) -> Iterator[GradeStore]:
    with open_store(place, create=False, **options) as store:
        yield store


def of_version(place: str, version: str) -> None:
    """Make a store as an older kubeproof did."""
    database = Database(address_of(place))
    config = _config()
    with database.writing() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, version)
        connection.execute(text("INSERT INTO learners VALUES ('ada', 0, true, 'Ada', '', '', :granted)"), {
            "granted": '{"ids": {}, "extensions": {}, "late_days": null, "excused": []}'
        })  # fmt: skip
    database.close()


# --- versions --------------------------------------------------------------------------------------


def test_an_older_store_is_migrated_after_a_copy_is_made(tmp_path: Path) -> None:
    place = tmp_path / "class.db"
    of_version(str(place), OLDER)
    before = place.read_bytes()
    progress = Silent()
    with opened(place, progress=progress) as store:
        assert [one.learner_id for one in store.roster().learners] == ["ada"]
        assert store.overrides() == []
    (copy,) = tmp_path.glob("*.bak")
    assert progress.said == [f"the store {place} becomes one of version {NEWEST}; a copy is {copy}"]
    with contextlib.closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("SELECT version_num FROM kubeproof_version").fetchone() == (OLDER,)
        assert connection.execute("SELECT learner_id FROM learners").fetchone() == ("ada",)
    assert len(before) > 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["class.db", copy.name]
    with opened(place, progress=Silent()):
        assert len(list(tmp_path.glob("*.bak"))) == 1


def test_an_older_store_on_a_server_is_migrated_after_a_copy_is_made(postgres_server: Server) -> None:
    place = postgres_server.url()
    of_version(place, OLDER)
    progress = Silent()
    with opened(place, progress=progress) as store:
        assert [one.learner_id for one in store.roster().learners] == ["ada"]
    schema = progress.said[0].rpartition(" ")[2]
    with psycopg.connect(place) as connection:
        found = connection.execute(f'SELECT learner_id FROM "{schema}".learners').fetchall()  # type: ignore[call-overload]
        connection.execute(f'DROP SCHEMA "{schema}" CASCADE')  # type: ignore[call-overload]
    assert found == [("ada",)]


def test_where_no_copy_can_be_made_nothing_is_migrated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "class.db"
    of_version(str(place), OLDER)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with (
        pytest.raises(InfraFault, match=r"no copy of the store .* No space left(.|\n)*nothing was changed"),
        opened(place),
    ):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["class.db"]
    with contextlib.closing(sqlite3.connect(place)) as connection:
        assert connection.execute("SELECT version_num FROM kubeproof_version").fetchone() == (OLDER,)


def test_a_store_of_a_newer_version_is_refused_and_stays_as_it_is(file: Path) -> None:
    with contextlib.closing(sqlite3.connect(file)) as connection:
        connection.execute("UPDATE kubeproof_version SET version_num = '9999'")
        connection.commit()
    before = file.read_bytes()
    with (
        pytest.raises(UsageError, match=r"a newer kubeproof made this store: .* 9999(.|\n)*use that"),
        opened(file),
    ):
        pass
    assert file.read_bytes() == before


# --- what is no store ------------------------------------------------------------------------------


def test_a_file_that_is_no_database_is_refused_and_stays_as_it_is(tmp_path: Path) -> None:
    place = tmp_path / "thesis.txt"
    place.write_text("My thesis. " * 500)
    with pytest.raises(UsageError, match="this file is no store of kubeproof"), open_store(place):
        pass
    assert place.read_text() == "My thesis. " * 500


def test_a_database_of_somebody_else_is_refused_and_stays_as_it_is(tmp_path: Path) -> None:
    place = tmp_path / "photos.db"
    with contextlib.closing(sqlite3.connect(place)) as connection:
        connection.execute("CREATE TABLE photos (id INTEGER)")
        connection.commit()
    before = place.read_bytes()
    with (
        pytest.raises(UsageError, match=r"is no store of kubeproof: it has a table 'photos'"),
        open_store(place),
    ):
        pass
    assert place.read_bytes() == before


def test_a_server_may_have_other_tables_but_not_ours_of_somebody_else(postgres_server: Server) -> None:
    place = postgres_server.url()
    with psycopg.connect(place, autocommit=True) as connection:
        connection.execute("CREATE TABLE photos (id int)")
        with open_store(place) as store:
            enrol_all(store)
    place = postgres_server.url()
    with psycopg.connect(place, autocommit=True) as connection:
        connection.execute("CREATE TABLE grades (id int)")
    with pytest.raises(UsageError, match="it has a table 'grades'"), open_store(place):
        pass


@pytest.mark.parametrize(
    ("named", "told"),
    [
        ("", "no store is named"),
        ("sqlite://", "a store in memory would be lost"),
        ("mysql://u@h/d", "a store cannot be in mysql"),
        ("postgresql://u:p@h:x/d", "this is no URL of a store"),
        ("nonsense://", "a store cannot be in nonsense"),
    ],
)
def test_a_name_of_no_store_is_told(named: str, told: str) -> None:
    with pytest.raises(UsageError, match=told) as error, open_store(named):
        pass
    assert "fix: name a file, such as class.db, or a URL" in str(error.value)


def test_a_folder_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="this is no file"), open_store(tmp_path):
        pass


def test_a_place_where_nothing_can_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be made here"), open_store(tmp_path / "file" / "class.db"):
        pass


def test_a_damaged_store_is_told(file: Path) -> None:
    whole = file.read_bytes()
    file.write_bytes(whole[:4096] + os.urandom(len(whole) - 4096))
    with (
        pytest.raises(InfraFault, match=r"the file is damaged \([^;]*\)\n  fix: put it back from a backup"),
        opened(file) as store,
    ):
        store.grades()


def test_no_password_is_ever_told(postgres_server: Server) -> None:
    place = postgres_server.url().replace("grader@", "nobody-there:s3cret@")
    with pytest.raises(InfraFault, match='role "nobody-there" does not exist') as error, open_store(place):
        pass
    assert "s3cret" not in str(error.value)


# --- others, and ends ------------------------------------------------------------------------------


def test_a_store_that_another_process_has_locked_is_told(file: Path, impatient: None) -> None:
    with opened(file) as store, contextlib.closing(sqlite3.connect(file)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(InfraFault, match=r"another process has locked it(.|\n)*fix: wait until that"):
            store.save(grade(LEARNERS[1]))
        # Whoever only looks never waits.
        assert len(store.grades()) == 1
        other.rollback()
        store.save(grade(LEARNERS[1]))


def test_a_store_locked_on_a_server_is_told(postgres_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "WAITS_S", 1)
    place = postgres_server.url()
    with open_store(place) as store, psycopg.connect(place) as other:
        enrol_all(store)
        other.execute("LOCK TABLE grades")
        with pytest.raises(InfraFault, match="another process has locked it"):
            store.save(grade())
        other.rollback()
        store.save(grade())


def test_a_writer_waits_for_another_that_ends_in_time(file: Path) -> None:
    with opened(file) as store, opened(file) as other:
        inside, go_on = threading.Event(), threading.Event()

        def hold() -> None:
            with other._database.writing():
                inside.set()
                go_on.wait()

        holder = threading.Thread(target=hold)
        holder.start()
        inside.wait()
        writer = threading.Thread(target=lambda: store.save(grade(LEARNERS[1])))
        writer.start()
        assert len(store.grades()) == 1
        go_on.set()
        writer.join()
        holder.join()
        assert len(store.grades()) == 2


def test_a_full_disk_is_told_and_what_was_kept_stays(file: Path) -> None:
    with opened(file) as store:

        @event.listens_for(store._database.engine, "begin")
        def fill(connection: Any) -> None:
            connection.exec_driver_sql("PRAGMA max_page_count=1")

        with pytest.raises(InfraFault, match=r"the disk is full(.|\n)*fix: free some space"):
            store.save_all([grade(learner) for learner in LEARNERS])
        assert len(store.grades()) == 1
    with opened(file) as store:
        store.save(grade(LEARNERS[1]))


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("53100", "the server's disk is full"),
        ("40001", "another command wrote at the same moment"),
        ("42501", "this user may not do that there"),
        ("25006", "the server takes no writes"),
    ],
)
def test_what_a_server_refuses_is_told_and_nothing_is_written(
    postgres_server: Server, code: str, told: str
) -> None:
    place = postgres_server.url()
    with open_store(place) as store:
        enrol_all(store)
        with psycopg.connect(place, autocommit=True) as connection:
            body = f"BEGIN RAISE EXCEPTION 'refused' USING ERRCODE = '{code}'; END"
            connection.execute(
                f"CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $${body}$$;"  # type: ignore[call-overload]
                "CREATE TRIGGER refusal BEFORE INSERT ON grades FOR EACH ROW EXECUTE FUNCTION refuse()"
            )
            with pytest.raises(InfraFault, match=told):
                store.save(grade())
            assert store.grades() == []
            connection.execute("DROP TRIGGER refusal ON grades")
        store.save(grade())


def test_a_file_that_is_removed_in_the_middle_is_told(file: Path) -> None:
    with opened(file) as store:
        file.unlink()
        for act in (lambda: store.save(grade(LEARNERS[1])), store.grades):
            with pytest.raises(InfraFault, match="was removed or replaced while it was in use"):
                act()
    assert not file.exists()


def test_a_file_that_is_replaced_within_a_transaction_is_told(file: Path, tmp_path: Path) -> None:
    shutil.copy(file, tmp_path / "other.db")
    with opened(file) as store:

        @event.listens_for(store._database.engine, "commit")
        def replace(_: Any) -> None:
            (tmp_path / "other.db").replace(file)

        with pytest.raises(InfraFault, match="what was written last is not kept"):
            store.save(grade(LEARNERS[1]))


def test_a_server_that_goes_away_in_the_middle_is_told_and_the_same_store_goes_on_with_it(
    postgres_server: Server,
) -> None:
    place = postgres_server.url()
    with open_store(place) as store:
        enrol_all(store)
        store.save(grade())

        def go_away(_: Any) -> None:
            if postgres_server.running:
                postgres_server.stop(signal.SIGQUIT)

        event.listen(store._database.engine, "commit", go_away)
        try:
            with pytest.raises(InfraFault, match=r"does not answer(.|\n)*run the same command again"):
                store.save_all([grade(LEARNERS[1]), grade(LEARNERS[2])])
            with pytest.raises(InfraFault, match="does not answer"):
                store.grades()
        finally:
            event.remove(store._database.engine, "commit", go_away)
            postgres_server.start()
        assert [one.learner_id for one in store.grades()] == [LEARNERS[0]]
        store.save(grade(LEARNERS[1]))
        assert len(store.grades()) == 2


def test_a_server_that_is_not_there_is_told(tmp_path: Path) -> None:
    place = f"postgresql://grader@/class?host={tmp_path}"
    with (
        pytest.raises(InfraFault, match=r"does not answer(.|\n)*fix: see that the server runs"),
        open_store(place),
    ):
        pass


# --- where bundles lie -----------------------------------------------------------------------------


def test_a_store_is_nobody_elses_to_read(tmp_path: Path) -> None:
    place = tmp_path / "class.db"
    of_version(str(place), OLDER)
    with opened(place) as store:
        store.history()
    (copy,) = tmp_path.glob("*.bak")
    assert copy.stat().st_mode & 0o777 == 0o600
    with open_store(tmp_path / "other.db") as store:
        enrol_all(store)
        files = list(tmp_path.glob("other.db*"))
        assert len(files) == 3
        assert {path.stat().st_mode & 0o777 for path in files} == {0o600}


def test_a_class_moves_with_its_store(tmp_path: Path) -> None:
    home, elsewhere = tmp_path / "class", tmp_path / "archive"
    inside = small_bundle(home / "out" / "ada" / "bundle")
    outside = small_bundle(tmp_path / "far" / "bundle")
    with open_store(home / "class.db") as store:
        enrol_all(store)
        store.save_all([grade(LEARNERS[0], bundle=None), grade(LEARNERS[1])])
        place = store.address.place_of
        assert place(inside) == "out/ada/bundle"
        assert place(outside) == str(outside)
    home.rename(elsewhere)
    with opened(elsewhere / "class.db") as store:
        assert store.address.bundle_at("out/ada/bundle") == elsewhere / "out" / "ada" / "bundle"
        assert store.address.bundle_at(str(outside)) == outside


def test_a_full_file_system_is_told(tmp_path: Path) -> None:
    """On a real one, of a megabyte, mounted where nobody else sees it."""
    script = Path(__file__).parent.parent / "unit" / "store_on_a_full_disk.sh"
    ran = subprocess.run(
        ["sh", str(script), str(tmp_path)],
        env={**os.environ, "PYTHON": sys.executable, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    if ran.returncode == 77:
        pytest.skip(f"nothing can be mounted here: {ran.stderr.strip()}")
    assert ran.returncode == 0, ran.stderr
    assert "the disk is full" in ran.stdout or "does not take" in ran.stdout
    assert "whole grades, as many as were told to be kept" in ran.stdout
