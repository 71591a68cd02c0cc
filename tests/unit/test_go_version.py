"""Any patch release of the Go that the lab names will do; for a later one it is told which Go there is."""

from __future__ import annotations

from pathlib import Path

import pytest

from graders.faults import BadSubmission
from graders.sandbox.goversion import accept_patches, check_go_version
from graders.tools.toolchain import pinned_go_version


def go_mod(root: Path, line: str, folder: str = "") -> Path:
    file = root / folder / "go.mod"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(f"module example.com/x\n\n{line}\n\nrequire go.uber.org/zap v1.27.1\n".encode())
    return file


@pytest.mark.parametrize(
    ("line", "becomes"),
    [
        ("go 1.27.99", "go 1.27.3"),
        ("go\t1.27.4 // of my machine\r", "go\t1.27.3 // of my machine\r"),
        ("go 1.27.3", None),
        ("go 1.27", None),
        ("go 1.21.13", None),
        ("toolchain go1.28.1", None),
        ("// go 1.27.99", None),
    ],
)
def test_a_later_patch_is_built_with_the_one_there_is(tmp_path: Path, line: str, becomes: str | None) -> None:
    file = go_mod(tmp_path, line)
    before = file.read_bytes()
    check_go_version(tmp_path, "1.27.3")
    asked = accept_patches(tmp_path, "1.27.3")
    assert file.read_bytes() == (before.replace(line.encode(), becomes.encode()) if becomes else before)
    assert len(asked) == (becomes is not None)


def test_modules_inside_count_too(tmp_path: Path) -> None:
    go_mod(tmp_path, "go 1.27.1")
    inner = go_mod(tmp_path, "go 1.27.98", "lib")
    assert accept_patches(tmp_path, "1.27.3") == ["1.27.98"]
    assert b"go 1.27.3\n" in inner.read_bytes()


@pytest.mark.parametrize("line", ["go 1.28", "go 1.28.0", "go 2.0.1"])
def test_a_later_release_is_refused_with_what_to_type(tmp_path: Path, line: str) -> None:
    go_mod(tmp_path, "go 9.9", "unused")
    check_go_version(tmp_path, "1.27.3")
    go_mod(tmp_path, line)
    with pytest.raises(BadSubmission) as caught:
        check_go_version(tmp_path, "1.27.3")
    assert str(caught.value) == (
        f"go.mod:3: asks for Go {line[3:]}, and what builds it is Go 1.27.3\n"
        "  fix: go mod edit -go=1.27.3, and see that GOTOOLCHAIN=go1.27.3 go build ./... succeeds"
    )


def test_what_is_no_file_of_ours_is_not_touched(tmp_path: Path) -> None:
    theirs = go_mod(tmp_path / "theirs", "go 1.27.99")
    before = theirs.read_bytes()
    (tmp_path / "mine" / "go.mod").mkdir(parents=True)
    (tmp_path / "mine" / "a").mkdir()
    (tmp_path / "mine" / "a" / "go.mod").symlink_to(theirs)
    assert accept_patches(tmp_path / "mine", "1.27.3") == []
    assert theirs.read_bytes() == before


def test_the_pinned_go_has_three_numbers() -> None:
    assert len([int(part) for part in pinned_go_version().split(".")]) == 3
