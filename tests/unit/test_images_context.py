"""What is packed for a build: the submission's files and ours, the same way every time."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from graders.faults import BadSubmission
from graders.images.context import INSTRUCTIONS, write_context


def submission(folder: Path) -> Path:
    root = folder / "root"
    (root / "pkg").mkdir(parents=True)
    (root / "pkg" / "a.py").write_text("a")
    (root / "run.sh").write_text("#!/bin/sh\n")
    (root / "run.sh").chmod(0o755)
    (root / "link").symlink_to("pkg/a.py")
    (root / "folder-link").symlink_to("pkg")
    return root


def test_all_of_the_submission_is_there_and_says_nothing_of_who_packed_it(tmp_path: Path) -> None:
    root = submission(tmp_path)
    write_context(root, "FROM scratch\n", tmp_path / "one.tar")
    with tarfile.open(tmp_path / "one.tar") as tar:
        found = {member.name: member for member in tar}
        assert tar.extractfile("pkg/a.py").read() == b"a"  # type: ignore[union-attr]
    assert set(found) == {"pkg", "pkg/a.py", "run.sh", "link", "folder-link", INSTRUCTIONS}
    assert found["link"].linkname == "pkg/a.py"
    assert found["folder-link"].issym()
    assert found["run.sh"].mode & 0o111
    assert {(m.uid, m.gid, m.uname, m.gname, m.mtime) for m in found.values()} == {(0, 0, "", "", 0)}
    write_context(root, "FROM scratch\n", tmp_path / "two.tar")
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()


def test_no_file_of_a_learners_stands_for_ours_or_leaves_some_out(tmp_path: Path) -> None:
    root = submission(tmp_path)
    (root / INSTRUCTIONS).write_text("FROM elsewhere\n")
    (root / ".dockerignore").write_text("*\n")
    write_context(root, "FROM scratch\n", tmp_path / "context.tar")
    with tarfile.open(tmp_path / "context.tar") as tar:
        names = tar.getnames()
        assert tar.extractfile(INSTRUCTIONS).read() == b"FROM scratch\n"  # type: ignore[union-attr]
    assert names.count(INSTRUCTIONS) == 1
    assert ".dockerignore" not in names
    assert "pkg/a.py" in names


def test_there_is_a_limit_to_what_is_packed(tmp_path: Path) -> None:
    root = submission(tmp_path)
    (root / "data").write_bytes(bytes(2 << 20))
    with pytest.raises(BadSubmission, match="take over 1 MiB"):
        write_context(root, "", tmp_path / "context.tar", most_bytes=1 << 20)
    write_context(root, "", tmp_path / "context.tar", most_bytes=None)
