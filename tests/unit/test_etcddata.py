"""A copy of an etcd data directory has what it needs, takes little room, and replaces another as a whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from graders.clusters.etcddata import copy_data, replace_folder
from graders.faults import UsageError

LOG_BYTES = 8 << 20


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Something like a data directory: a log with a little at its start, and the next log."""
    folder = tmp_path / "data" / "member"
    for part in ("snap", "wal"):
        (folder / part).mkdir(parents=True)
    (folder / "snap" / "db").write_bytes(b"everything")
    (folder / "wal" / "0.wal").write_bytes(b"begun" + bytes(LOG_BYTES) + b"end")
    (folder / "wal" / "1.tmp").write_bytes(bytes(1024))
    return tmp_path / "data"


def test_a_copy_reads_as_the_original_and_has_holes_where_that_is_empty(data: Path, tmp_path: Path) -> None:
    copy_data(data, tmp_path / "copy")
    log, copied = data / "member/wal/0.wal", tmp_path / "copy/member/wal/0.wal"

    assert copied.read_bytes() == log.read_bytes()
    assert copied.stat().st_blocks * 512 < LOG_BYTES
    assert not (tmp_path / "copy/member/wal/1.tmp").exists()


def test_a_file_that_ends_empty_keeps_its_length(data: Path, tmp_path: Path) -> None:
    (data / "member/wal/0.wal").write_bytes(bytes(LOG_BYTES))
    copy_data(data, tmp_path / "copy")

    assert (tmp_path / "copy/member/wal/0.wal").stat().st_size == LOG_BYTES


def test_nobody_else_may_read_a_copy(data: Path, tmp_path: Path) -> None:
    copy_data(data, tmp_path / "copy")

    assert (tmp_path / "copy").stat().st_mode & 0o077 == 0
    assert (tmp_path / "copy/member/snap/db").stat().st_mode & 0o077 == 0


def test_what_was_there_is_replaced_as_a_whole(data: Path, tmp_path: Path) -> None:
    target = tmp_path / "etcd"
    (target / "member" / "old").mkdir(parents=True)
    replace_folder(target, data)

    assert not (target / "member" / "old").exists()
    assert (target / "member/snap/db").read_bytes() == b"everything"


def test_what_is_no_data_replaces_nothing(tmp_path: Path) -> None:
    target = tmp_path / "etcd"
    target.mkdir()
    (target / "kept").touch()

    with pytest.raises(UsageError, match="holds no data of etcd") as refused:
        replace_folder(target, tmp_path)
    assert "member/snap/db" in refused.value.fix
    assert (target / "kept").exists()
