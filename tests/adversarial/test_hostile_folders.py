"""What hostile code leaves in a folder it may write, to harm the host that keeps or reads it."""

from __future__ import annotations

import os
import stat
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from graders.faults import BadSubmission
from graders.sandbox import Limits, Mount, SandboxedProcess, SandboxSpec, sandbox_named
from graders.sandbox.collecting import collect_folder

pytestmark = pytest.mark.adversarial

MIB = 1024 * 1024
DATA = "/data"
USUAL, VAST = Limits(), Limits(file_bytes=1 << 41)
Attack = Callable[..., SandboxedProcess]


@pytest.fixture
def attack(tmp_path: Path) -> Iterator[Attack]:
    """Runs Python code to its end, in a sandbox with a writable mount of `size_bytes` that it starts in."""
    submission = tmp_path / "submission"
    submission.mkdir()
    with ExitStack() as started:

        def run(code: str, size_bytes: int = MIB, limits: Limits = USUAL) -> SandboxedProcess:
            (submission / "main.py").write_text(f"import os\nos.chdir({DATA!r})\n" + textwrap.dedent(code))
            spec = SandboxSpec(
                submission=submission,
                command=("python", "main.py"),
                folder=tmp_path / "scratch",
                venv=Path(sys.prefix),
                python=Path(sys.prefix) / "bin/python",
                base=Path(sys.base_prefix),
                mounts=(Mount(DATA, writable=True, size_bytes=size_bytes),),
                limits=limits,
            )
            process = started.enter_context(sandbox_named("bubblewrap").start(spec))
            status = process.wait(60)
            assert status is not None
            assert status.code == 0, process.log_tail()
            return process

        yield run


def collected(process: SandboxedProcess, tmp_path: Path) -> list[str]:
    """The names in what was collected, each of which is a plain file or folder."""
    process.collect(DATA, tmp_path / "out", most_bytes=MIB)
    for path in (tmp_path / "out").rglob("*"):
        assert stat.S_IFMT(path.lstat().st_mode) in (stat.S_IFREG, stat.S_IFDIR)
    return sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*"))


def nothing_collected(tmp_path: Path) -> bool:
    return sorted(path.name for path in tmp_path.iterdir()) == ["scratch", "submission"]


# Keeping it.


def test_what_goes_past_the_quota_is_refused_and_the_host_holds_none_of_it(
    attack: Attack, tmp_path: Path
) -> None:
    process = attack("""
        import errno
        written = 0
        try:
            while True:
                with open(str(written), "wb", buffering=0) as file:
                    written += file.write(b"x" * 65536)
        except OSError as error:
            print(errno.errorcode[error.errno], written)
    """)
    said, written = process.log_tail().split()
    assert said == "ENOSPC"
    assert MIB // 2 < int(written) <= MIB
    assert sum(path.stat().st_size for path in (tmp_path / "scratch").rglob("*") if path.is_file()) < MIB


@pytest.mark.parametrize(
    "make",
    ["os.mknod(str(n))", "os.mkdir(str(n))", "os.symlink('x', str(n))", "os.link('first', str(n))"],
    ids=["files", "folders", "links", "hard-links"],
)
def test_empty_files_run_out_too(attack: Attack, make: str) -> None:
    process = attack(f"""
        import errno, itertools
        os.mknod("first")
        try:
            for n in itertools.count():
                {make}
        except OSError as error:
            print(errno.errorcode[error.errno], n)
    """)
    said, made = process.log_tail().split()
    assert said == "ENOSPC"
    assert int(made) <= 1024 + MIB // 2048


def test_the_quota_cannot_be_raised_nor_the_folder_exchanged(attack: Attack) -> None:
    process = attack("""
        import ctypes, errno, subprocess
        for command in ("mount -o remount,size=1G /data", "umount /data"):
            assert subprocess.run(command.split(), capture_output=True).returncode != 0
        for act in (lambda: os.rename("/data", "/tmp/data"), lambda: os.rmdir("/data")):
            try:
                act()
                print("DONE")
            except OSError:
                pass
        print(sorted(os.listdir("/proc/self/fd"))[:3], os.statvfs("/data").f_blocks * 4096)
    """)
    assert process.log_tail() == f"['0', '1', '2'] {MIB}"


# Reading it.


def test_links_and_special_files_stay_behind(attack: Attack, tmp_path: Path) -> None:
    process = attack("""
        import socket
        os.symlink("/etc/shadow", "shadow")
        os.symlink("../../../../../../etc", "up")
        os.symlink("/", "root")
        os.symlink("loop", "loop")
        os.mkfifo("fifo")
        socket.socket(socket.AF_UNIX).bind("socket")
        for kind in (0o020600, 0o060600):
            try:
                os.mknod("device", kind, os.makedev(1, 3))
                print("MADE")
            except PermissionError:
                pass
        os.mkdir("folder")
        open("folder/honest", "w").write("x")
        os.symlink("folder", "again")
    """)
    assert "MADE" not in process.log_tail()
    assert collected(process, tmp_path) == ["folder", "folder/honest"]


@pytest.mark.skipif(os.getuid() != 0, reason="only root makes devices")
def test_a_device_that_came_to_be_there_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "left").mkdir()
    os.mknod(tmp_path / "left/device", 0o020666, os.makedev(1, 3))
    folder = os.open(tmp_path / "left", os.O_PATH)
    try:
        collect_folder(folder, DATA, tmp_path / "out", MIB)
    finally:
        os.close(folder)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_terabyte_of_nothing_is_refused_before_a_byte_is_read(attack: Attack, tmp_path: Path) -> None:
    process = attack("os.truncate(os.open('big', os.O_CREAT | os.O_RDWR), 1 << 40)", limits=VAST)
    with pytest.raises(BadSubmission, match=f"it left more than {MIB} bytes in /data"):
        collected(process, tmp_path)
    assert nothing_collected(tmp_path)


def test_one_file_under_many_names_counts_as_often(attack: Attack, tmp_path: Path) -> None:
    process = attack("""
        open("first", "wb").write(b"x" * 500_000)
        for number in range(100):
            os.link("first", str(number))
    """)
    with pytest.raises(BadSubmission, match="it left more than"):
        collected(process, tmp_path)
    assert nothing_collected(tmp_path)


@pytest.mark.parametrize(("name", "depth"), [("d", 200), ("d" * 250, 10)], ids=["deep", "long"])
def test_a_path_that_no_tool_could_handle_is_refused(
    attack: Attack, tmp_path: Path, name: str, depth: int
) -> None:
    process = attack(f"""
        for _ in range({depth}):
            os.mkdir({name!r})
            os.chdir({name!r})
    """)
    with pytest.raises(BadSubmission, match="it left a path in /data that is too long") as refused:
        collected(process, tmp_path)
    assert refused.value.fix == "use at most 48 folders in each other and 1024 bytes"
    assert nothing_collected(tmp_path)


def test_strange_names_are_names(attack: Attack, tmp_path: Path) -> None:
    process = attack("""
        for name in (b"...", b"-rf", b"new\\nline", b"\\xff\\xfe", b"\\x1b[31m", b"..\\\\up", b"x" * 255):
            open(name, "w").close()
    """)
    assert len(collected(process, tmp_path)) == 7
    assert {path.parent for path in (tmp_path / "out").rglob("*")} == {tmp_path / "out"}


def test_nothing_that_is_left_running_writes_while_it_is_read(attack: Attack, tmp_path: Path) -> None:
    process = attack("""
        import time
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                while True:
                    for kind in (lambda: os.symlink("/etc/shadow", "it"), lambda: open("it", "w").close()):
                        kind()
                        os.unlink("it")
            os._exit(0)
        os.wait()
        time.sleep(0.1)
    """)
    assert collected(process, tmp_path) in ([], ["it"])


def test_programs_with_rights_of_their_own_have_none_outside(attack: Attack, tmp_path: Path) -> None:
    process = attack("open('run', 'w').close(); os.chmod('run', 0o6777)")
    assert collected(process, tmp_path) == ["run"]
    status = (tmp_path / "out/run").stat()
    assert (stat.S_IMODE(status.st_mode), status.st_uid) == (0o755, os.getuid())


def test_another_sandbox_has_a_folder_of_its_own(attack: Attack, tmp_path: Path) -> None:
    first = attack("open('secret', 'w').write('x')")
    assert attack("print(os.listdir('.'))").log_tail() == "[]"
    assert collected(first, tmp_path) == ["secret"]
