"""Report files appear whole or not at all, and staff's log only where there is something for staff."""

import resource
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from graders.faults import InfraFault, UsageError
from graders.reports.registry import EXPORTERS, write_reports
from tests.unit.synthetic_report import graded, ungraded


def test_all_files_are_written_by_their_names(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"

    written = write_reports(ungraded(), None, out)

    assert written == {
        "json": out / "report.json",
        "html": out / "report.html",
        "junit": out / "junit.xml",
        "summary": out / "summary.md",
        "annotations": out / "annotations.json",
        "staff": out / "staff.log",
    }
    assert sorted(path.name for path in out.iterdir()) == sorted(path.name for path in written.values())


def test_only_the_chosen_are_written(tmp_path: Path) -> None:
    assert list(write_reports(graded(), None, tmp_path, ["junit"])) == ["junit"]
    assert [path.name for path in tmp_path.iterdir()] == ["junit.xml"]


def test_staff_log_holds_the_traceback_and_is_private(tmp_path: Path) -> None:
    log = write_reports(ungraded(), None, tmp_path)["staff"]

    assert "=== metrics: error (grader)" in log.read_text(encoding="utf-8")
    assert "KeyError: 'secret-of-the-check'" in log.read_text(encoding="utf-8")
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


def test_a_stale_staff_log_goes_when_there_is_nothing_to_tell(tmp_path: Path) -> None:
    write_reports(ungraded(), None, tmp_path)

    assert "staff" not in write_reports(graded(), None, tmp_path)
    assert not (tmp_path / "staff.log").exists()


@contextmanager
def almost_full() -> Iterator[None]:
    """No file can grow past 100 bytes, as on a file system without room; a log of pytest's neither."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text("old")

    with pytest.raises(InfraFault, match="fix: free some space"), almost_full():
        write_reports(ungraded(), None, tmp_path, ["json"])

    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]
    assert (tmp_path / "report.json").read_text() == "old"


def test_an_unknown_format_names_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"format 'pdf'\n  fix: choose from json, html, junit, .*, staff"):
        write_reports(graded(), None, tmp_path, ["json", "pdf"])
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_is_no_folder_is_the_callers_mistake(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(UsageError, match=r"cannot be written here.*\n  fix: name a folder of your own"):
        write_reports(graded(), None, tmp_path / "file" / "out")


def test_every_exporter_is_registered_by_its_own_name() -> None:
    assert all(name == exporter.name for name, exporter in EXPORTERS.items())
