"""Folders that a sandboxed command may write: what they begin with, and what is taken out of them."""

from __future__ import annotations

import errno
import stat
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from graders.faults import BadSubmission, InfraFault
from graders.sandbox import SANDBOXES, Mount, Sandbox, SandboxedProcess, SandboxSpec, sandbox_named

MIB = 1024 * 1024
DATA = "/var/data"
Start = Callable[..., SandboxedProcess]


@pytest.fixture(params=sorted(SANDBOXES))
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    return sandbox_named(request.param)


@pytest.fixture
def start(sandbox: Sandbox, tmp_path: Path) -> Iterator[Start]:
    """Starts Python code with a writable mount, which it finds in DATA, or with other mounts."""
    submission = tmp_path / "submission"
    submission.mkdir()
    with ExitStack() as started:

        def begin(code: str, *mounts: Mount) -> SandboxedProcess:
            (submission / "main.py").write_text(textwrap.dedent(code))
            spec = SandboxSpec(
                submission=submission,
                command=("python", "main.py"),
                folder=tmp_path / "scratch",
                venv=Path(sys.prefix),
                python=Path(sys.prefix) / "bin/python",
                base=Path(sys.base_prefix),
                mounts=mounts or (Mount(DATA, writable=True, size_bytes=MIB),),
                environment=lambda view: {"DATA": view.mounts.get(DATA, "")},
            )
            return started.enter_context(sandbox.start(spec))

        yield begin


def ended(process: SandboxedProcess) -> SandboxedProcess:
    status = process.wait(60)
    assert status is not None
    assert status.code == 0, process.log_tail()
    return process


def tree(folder: Path) -> dict[str, str]:
    """What every file below holds, by its path; empty for a folder."""
    return {
        str(path.relative_to(folder)): path.read_text() if path.is_file() else ""
        for path in folder.rglob("*")
    }


WRITES = """
    import os
    os.chdir(os.environ["DATA"])
    os.makedirs("member/wal")
    open("member/wal/0.wal", "w").write("entry")
    open("run", "w").write("#!/bin/sh")
    os.chmod("run", 0o700)
    os.mkdir("empty")
"""


def test_it_begins_empty_and_what_is_written_is_collected(start: Start, tmp_path: Path) -> None:
    process = ended(start(WRITES))
    process.collect(DATA, tmp_path / "out", most_bytes=MIB)
    content = {"member": "", "member/wal": "", "member/wal/0.wal": "entry", "run": "#!/bin/sh", "empty": ""}
    assert tree(tmp_path / "out") == content
    modes = {name: stat.S_IMODE((tmp_path / "out" / name).stat().st_mode) for name in (*content, ".")}
    assert modes == {**dict.fromkeys([*content, "."], 0o755), "member/wal/0.wal": 0o644}
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("mode", [0o644, 0o400])
def test_it_begins_as_a_copy_that_is_the_commands_own(start: Start, tmp_path: Path, mode: int) -> None:
    seed = tmp_path / "seed"
    (seed / "refs").mkdir(parents=True)
    (seed / "refs/main").write_text("0")
    (seed / "refs/main").chmod(mode)
    code = """
        import os
        os.chdir(os.environ["DATA"])
        with open("refs/main", "r+") as file:
            assert file.read() == "0"
            file.write("1")
        os.rename("refs/main", "refs/trunk")
    """
    process = ended(start(code, Mount(DATA, seed, size_bytes=MIB, writable=True)))
    process.collect(DATA, tmp_path / "out", most_bytes=MIB)
    assert tree(tmp_path / "out") == {"refs": "", "refs/trunk": "01"}
    assert tree(seed) == {"refs": "", "refs/main": "0"}


def test_what_one_run_leaves_is_what_another_begins_with(start: Start, tmp_path: Path) -> None:
    code = """
        import os
        at = os.path.join(os.environ["DATA"], "log")
        before = open(at).read() if os.path.exists(at) else ""
        open(at, "w").write(before + "x")
    """
    left: Path | None = None
    for number in range(3):
        process = ended(start(code, Mount(DATA, left, writable=True, size_bytes=MIB)))
        left = tmp_path / f"left-{number}"
        process.collect(DATA, left, most_bytes=MIB)
    assert tree(tmp_path / "left-2") == {"log": "xxx"}


def test_all_that_can_be_collected_fits_the_next_mount(start: Start, tmp_path: Path) -> None:
    """Many files with nothing or a hole in them take no memory, and their copies do."""
    size_bytes = 64 * 4096
    code = """
        import os
        os.chdir(os.environ["DATA"])
        for number in range(64):
            with open(str(number), "w") as file:
                file.truncate(4096 * (number % 2))
    """
    process = ended(start(code, Mount(DATA, size_bytes=size_bytes, writable=True)))
    process.collect(DATA, tmp_path / "out", most_bytes=size_bytes)
    again = Mount(DATA, tmp_path / "out", size_bytes=size_bytes, writable=True)
    ended(start("import os; assert len(os.listdir(os.environ['DATA'])) == 64", again))


def test_what_was_stopped_is_collected_too(start: Start, tmp_path: Path) -> None:
    process = start(WRITES + "    print('up', flush=True)\n    import time\n    time.sleep(600)\n")
    while "up" not in process.log_tail():
        assert process.wait(0.05) is None
    with pytest.raises(RuntimeError, match="collected once nothing runs"):
        process.collect(DATA, tmp_path / "out", most_bytes=MIB)
    process.stop()
    process.collect(DATA, tmp_path / "out", most_bytes=MIB)
    assert "member/wal/0.wal" in tree(tmp_path / "out")


def test_only_writable_mounts_are_collected_and_none_once_the_sandbox_is_left(
    start: Start, tmp_path: Path
) -> None:
    (tmp_path / "rules").mkdir()
    with start("", Mount("/opt/rules", tmp_path / "rules"), Mount(DATA, writable=True)) as process:
        ended(process)
        with pytest.raises(KeyError, match="/opt/rules"):
            process.collect("/opt/rules", tmp_path / "out", most_bytes=MIB)
    with pytest.raises(KeyError, match=DATA):
        process.collect(DATA, tmp_path / "out", most_bytes=MIB)
    assert not (tmp_path / "out").exists()


def test_folders_that_were_closed_to_all_are_collected(start: Start, tmp_path: Path) -> None:
    process = ended(start(WRITES + "    os.chmod('member/wal/0.wal', 0)\n    os.chmod('member', 0)\n"))
    process.collect(DATA, tmp_path / "out", most_bytes=MIB)
    assert tree(tmp_path / "out")["member/wal/0.wal"] == "entry"


@pytest.mark.parametrize(
    "leave",
    [
        "open('big', 'w').write('x' * 70_000)",
        "[open(str(n), 'w').close() for n in range(17)]",
        "[os.symlink('nowhere', str(n)) for n in range(17)]",
    ],
    ids=["bytes", "files", "names"],
)
def test_more_than_may_be_collected_is_the_learners_and_leaves_nothing(
    start: Start, tmp_path: Path, leave: str
) -> None:
    process = ended(start(f"import os; os.chdir(os.environ['DATA']); {leave}"))
    with pytest.raises(BadSubmission, match="it left more than 65536 bytes in /var/data") as refused:
        process.collect(DATA, tmp_path / "out", most_bytes=65536)
    assert "each file counts with its full length" in refused.value.fix
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scratch", "submission"]


def test_a_disk_that_takes_no_more_is_the_machines_fault(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    process = ended(start(WRITES))
    monkeypatch.setattr("graders.sandbox.collecting._copy_bytes", full)
    with pytest.raises(InfraFault, match=r"left in /var/data cannot be copied: .*No space left") as raised:
        process.collect(DATA, tmp_path / "out", most_bytes=MIB)
    assert raised.value.fix == "make room on the disk"


def test_a_read_only_mount_is_found_where_the_view_says(start: Start, tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules/one").write_text("read me")
    process = start(
        "import os; print(open(os.environ['DATA'] + '/one').read())", Mount(DATA, tmp_path / "rules")
    )
    assert "read me" in ended(process).log_tail()


@pytest.mark.parametrize("sandbox", ["bubblewrap"], indirect=True)
def test_a_seed_that_does_not_fit_is_the_fault_of_who_chose_the_quota(start: Start, tmp_path: Path) -> None:
    (tmp_path / "seed").mkdir()
    (tmp_path / "seed/big").write_bytes(b"x" * 100_000)
    with pytest.raises(InfraFault, match="/var/data cannot be filled: No space left on device") as raised:
        start("", Mount(DATA, tmp_path / "seed", size_bytes=65536, writable=True))
    assert raised.value.fix == "let it hold more bytes"


@pytest.mark.parametrize("target", ["data", "/", "/a/../b", "/a/", "//a/b/."])
def test_a_mount_has_a_plain_absolute_place(target: str) -> None:
    with pytest.raises(ValueError, match="is no place for a mount: it takes a plain absolute path"):
        Mount(target, writable=True)


def test_a_mount_has_something_to_show() -> None:
    with pytest.raises(ValueError, match="the mount at /a has nothing to show: name a source, or let it"):
        Mount("/a")


def test_descriptors_are_given_back(start: Start, tmp_path: Path) -> None:
    before = psutil.Process().num_fds()
    with start(WRITES) as process:
        ended(process).collect(DATA, tmp_path / "out", most_bytes=MIB)
    assert psutil.Process().num_fds() == before
