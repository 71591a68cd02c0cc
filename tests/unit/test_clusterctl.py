"""What CLUSTER_CTL is sent by a learner's program, which may be anything."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from graders.clusterctl import door as control
from graders.clusterctl.door import Refused, unpack


def packed(*members: tarfile.TarInfo) -> io.BytesIO:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w|") as tar:
        for member in members:
            tar.addfile(member, io.BytesIO(bytes(member.size)) if member.isreg() else None)
    return io.BytesIO(stream.getvalue())


def member(name: str, kind: bytes = tarfile.REGTYPE, *, size: int = 0, to: str = "") -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type, found.size, found.linkname = kind, size, to
    return found


def test_files_and_folders_arrive_whole(tmp_path: Path) -> None:
    unpack(packed(member("data", tarfile.DIRTYPE), member("data/member/snap/db", size=70_000)), tmp_path)
    assert (tmp_path / "data/member/snap/db").stat().st_size == 70_000


@pytest.mark.parametrize(
    ("sent", "says"),
    [
        (member("/etc/passwd"), "no place for a file"),
        (member("data/../../escaped"), "no place for a file"),
        (member("data/link", tarfile.SYMTYPE, to="/etc"), "neither a file nor a folder"),
        (member("data/link", tarfile.LNKTYPE, to="/etc/passwd"), "neither a file nor a folder"),
        (member("data/pipe", tarfile.FIFOTYPE), "neither a file nor a folder"),
        (member("data/device", tarfile.CHRTYPE), "neither a file nor a folder"),
    ],
)
def test_nothing_else_is_taken(tmp_path: Path, sent: tarfile.TarInfo, says: str) -> None:
    with pytest.raises(Refused, match=says):
        unpack(packed(sent), tmp_path / "here")
    assert not (tmp_path / "escaped").exists()


def test_more_than_there_is_room_for_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "MOST_FILE_BYTES", 1000)
    with pytest.raises(Refused, match="of more than 256 MiB"):
        unpack(packed(member("data/db", size=1001)), tmp_path)


@pytest.mark.parametrize("cut", [0, 100, 700])
def test_what_is_cut_off_is_refused(tmp_path: Path, cut: int) -> None:
    whole = packed(member("data/db", size=5000)).getvalue()
    with pytest.raises(Refused, match="did not arrive whole"):
        unpack(io.BytesIO(whole[:cut]), tmp_path)
