"""A file or folder is written whole, or what was there stays."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from graders.wholefile import LIST, NotOurs, write_whole, write_whole_folder


def test_a_file_is_replaced_with_its_mode(tmp_path: Path) -> None:
    write_whole(tmp_path / "a", "old")
    write_whole(tmp_path / "a", "neü\r\n", mode=0o600)

    assert (tmp_path / "a").read_bytes() == "neü\r\n".encode()
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600
    assert len(list(tmp_path.iterdir())) == 1


def test_a_file_that_cannot_take_its_place_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()

    with pytest.raises(IsADirectoryError):
        write_whole(tmp_path / "a", "text")

    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_link_is_replaced_and_what_it_leads_to_stays(tmp_path: Path) -> None:
    (tmp_path / "far").write_text("far")
    (tmp_path / "link").symlink_to(tmp_path / "far")

    write_whole(tmp_path / "link", "near")

    assert (tmp_path / "far").read_text() == "far"
    assert (tmp_path / "link").read_text() == "near"


def test_a_folder_is_swapped_as_a_whole(tmp_path: Path) -> None:
    write_whole_folder(tmp_path / "site", [("a/b.txt", "1"), ("c", b"2")])

    assert write_whole_folder(tmp_path / "site", [("a/d.txt", "3")]) == (tmp_path / "site" / "a" / "d.txt",)

    there = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert there == [f"site/{LIST}", "site/a/d.txt"]


@pytest.mark.parametrize("list_of_files", ["", "[]", "7", '["other"]'])
def test_what_somebody_put_into_a_folder_keeps_it(tmp_path: Path, list_of_files: str) -> None:
    write_whole_folder(tmp_path / "site", [("a", "1")])
    (tmp_path / "site" / "notes").write_text("mine")
    (tmp_path / "site" / LIST).write_text(list_of_files)

    with pytest.raises(NotOurs):
        write_whole_folder(tmp_path / "site", [("b", "2")])

    assert {path.name for path in (tmp_path / "site").iterdir()} == {"a", "notes", LIST}


def test_a_link_to_a_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "site").symlink_to(tmp_path / "far")

    with pytest.raises(NotOurs):
        write_whole_folder(tmp_path / "site", [("b", "2")])

    assert list((tmp_path / "far").iterdir()) == []


def test_a_maker_that_fails_leaves_the_earlier_folder(tmp_path: Path) -> None:
    write_whole_folder(tmp_path / "site", [("a", "1")])

    def breaks() -> Iterator[tuple[str, str]]:
        yield "a", "2"
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError):
        write_whole_folder(tmp_path / "site", breaks())

    assert (tmp_path / "site" / "a").read_text() == "1"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x"])
def test_a_name_that_leads_out_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "in").mkdir()

    with pytest.raises(ValueError, match="leads out"):
        write_whole_folder(tmp_path / "in" / "site", [("ok", "1"), (name, "2")])

    assert list((tmp_path / "in").iterdir()) == []
