"""Costly things are made once, and what a dead maker left is removed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from graders.once import one_at_a_time, remove_tree, scratch_folder
from graders.progress import Silent


def test_a_scratch_folder_is_beside_the_result_and_ends_with_the_block(tmp_path: Path) -> None:
    with scratch_folder(tmp_path / "cache") as scratch:
        assert scratch.parent == tmp_path / "cache"
        (scratch / "half").write_text("made")
    assert list((tmp_path / "cache").iterdir()) == []


def test_what_a_dead_maker_left_is_removed(tmp_path: Path) -> None:
    leftover = tmp_path / ".making-abandoned" / "read-only"
    leftover.mkdir(parents=True)
    (leftover / "half").write_text("made")
    leftover.chmod(0o500)
    (tmp_path / "result").write_text("whole")
    with scratch_folder(tmp_path) as scratch:
        assert {p.name for p in tmp_path.iterdir()} == {scratch.name, "result"}


def test_the_holder_of_a_lock_is_written_into_it(tmp_path: Path) -> None:
    progress = Silent()
    for _ in range(2):
        with one_at_a_time(tmp_path / "deep" / "lock", "a thing", progress):
            assert (tmp_path / "deep" / "lock").read_text() == f"{os.getpid()}\n"
    assert progress.said == []


def test_a_lock_is_free_again_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), one_at_a_time(tmp_path / "lock", "a thing", Silent()):
        raise ZeroDivisionError
    with one_at_a_time(tmp_path / "lock", "a thing", Silent()):
        pass


def test_a_lock_that_is_a_link_elsewhere_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "precious")
    with pytest.raises(OSError, match="lock"), one_at_a_time(tmp_path / "lock", "a thing", Silent()):
        pass
    assert not (tmp_path / "precious").exists()


def test_removing_what_is_not_there_is_quiet(tmp_path: Path) -> None:
    remove_tree(tmp_path / "nothing")
