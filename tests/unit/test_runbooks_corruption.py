"""Backups that are not what they were: what is changed, and that nothing else is."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from graders.runbooks.corruption import tamper, truncate
from graders.runbooks.sealed import seal

SEAL = "0123456789abcdef" * 4


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    folder = tmp_path / "sealed"
    (folder / "below").mkdir(parents=True)
    (folder / "objects.json").write_text(f'{{"seal": "{SEAL}", "other": "kept"}}')
    (folder / "below" / "snapshot").write_bytes(b"\0\1" * 50 + SEAL.encode() + b"\2" * 100)
    (folder / "packed.gz").write_bytes(gzip.compress(SEAL.encode() * 3))
    seal(folder)
    return folder


def different(before: Path, after: Path) -> dict[str, int]:
    """How many bytes differ, by file; all files are as long as before."""
    found = {}
    for path in (each for each in before.rglob("*") if each.is_file()):
        one, other = path.read_bytes(), (after / path.relative_to(before)).read_bytes()
        assert len(one) == len(other)
        found[path.name] = sum(a != b for a, b in zip(one, other, strict=True))
    return found


def test_one_digit_of_a_record_is_changed_wherever_it_stands(sealed: Path, tmp_path: Path) -> None:
    tamper(sealed, tmp_path / "forged", ["f" * 64, SEAL])
    assert different(sealed, tmp_path / "forged") == {"objects.json": 1, "snapshot": 1, "packed.gz": 0}


def test_of_exports_alone_a_snapshot_beside_them_stays_as_it_is(sealed: Path, tmp_path: Path) -> None:
    tamper(sealed, tmp_path / "forged", [SEAL], exports_alone=True)
    assert different(sealed, tmp_path / "forged") == {"objects.json": 1, "snapshot": 0, "packed.gz": 0}


def test_where_no_export_is_text_the_snapshot_is_changed(sealed: Path, tmp_path: Path) -> None:
    (sealed / "objects.json").chmod(0o644)
    (sealed / "objects.json").write_text("{}")
    tamper(sealed, tmp_path / "forged", [SEAL], exports_alone=True)
    assert different(sealed, tmp_path / "forged") == {"objects.json": 0, "snapshot": 1, "packed.gz": 0}


def test_where_no_record_stands_one_bit_of_each_file_is_changed(sealed: Path, tmp_path: Path) -> None:
    tamper(sealed, tmp_path / "forged", ["f" * 64])
    assert different(sealed, tmp_path / "forged") == {"objects.json": 1, "snapshot": 1, "packed.gz": 1}


def test_what_is_cut_ends_in_the_middle(sealed: Path, tmp_path: Path) -> None:
    truncate(sealed, tmp_path / "cut")
    for path in (each for each in sealed.rglob("*") if each.is_file()):
        assert (tmp_path / "cut" / path.relative_to(sealed)).read_bytes() == path.read_bytes()[
            : path.stat().st_size // 2
        ]


def test_what_is_sealed_tells_nothing_of_its_age_and_cannot_be_written(sealed: Path) -> None:
    for path in (sealed, *sealed.rglob("*")):
        assert path.stat().st_mtime == 0
        assert not path.stat().st_mode & 0o222
        assert path.stat().st_mode & 0o444 == 0o444
