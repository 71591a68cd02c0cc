"""Submissions made to read, write or exhaust what is not theirs: all refused, and nothing is left."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import random
import resource
import socket
import stat
import struct
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from graders.documents import Strict, load_document
from graders.faults import BadSubmission, InfraFault, UsageError
from graders.submissions import SubmissionLimits, digest_of, load_submission, snapshot
from graders.submissions.archives import read_archive
from graders.submissions.tree import Tree

pytestmark = pytest.mark.adversarial

HEAD = "schema: kubeproof/submission/v1\nlab: lab1\n"


class Nothing(Strict):
    """A lab that wants no keys of its own."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "handed-in"
    folder.mkdir()
    (folder / "submission.yaml").write_text(HEAD)
    (tmp_path / "secret").write_text("the answer key")
    return folder


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder


def refused(submission: Path, scratch: Path) -> str:
    with pytest.raises(BadSubmission) as caught:
        load_submission(submission, lab="lab1", block=Nothing, scratch=scratch)
    assert list(scratch.iterdir()) == []
    assert caught.value.file
    assert caught.value.fix
    return str(caught.value)


class TestLinks:
    @pytest.mark.parametrize("target", ["/etc/passwd", "../secret", "a/../../secret", "..", "../handed-in/x"])
    def test_that_leave(self, root: Path, scratch: Path, target: str) -> None:
        (root / "a").mkdir()
        (root / "a" / "x").write_text("x")
        (root / "link").symlink_to(target)
        assert "link: is a link that leaves the submission" in refused(root, scratch)

    def test_that_leave_through_a_chain(self, root: Path, scratch: Path) -> None:
        (root / "a" / "b").mkdir(parents=True)
        (root / "a" / "b" / "up").symlink_to("../..")
        (root / "deep").symlink_to("a/b")
        (root / "exit").symlink_to("deep/up/../secret")
        message = refused(root, scratch)
        assert "link" in message
        (root / "a" / "b" / "up").unlink()
        (root / "a" / "b" / "up").symlink_to("../../submission.yaml")
        (root / "exit").unlink()
        (root / "exit").symlink_to("deep/../../../secret")
        assert "exit: is a link that leaves the submission" in refused(root, scratch)

    def test_that_leave_by_way_of_another_link_s_parent(self, root: Path, scratch: Path) -> None:
        # As text a/link/../../x stays inside; followed, a/link is at the top and the second .. leaves.
        (root / "a" / "b").mkdir(parents=True)
        (root / "c").mkdir()
        (root / "a" / "b" / "link").symlink_to("../../c")
        (root / "exit").symlink_to("a/b/link/../../secret")
        assert "exit: is a link that leaves the submission" in refused(root, scratch)

    def test_that_run_in_circles(self, root: Path, scratch: Path) -> None:
        (root / "x").symlink_to("y")
        (root / "y").symlink_to("x")
        assert "is a link that leaves the submission" in refused(root, scratch)

    def test_to_a_folder_around_them(self, root: Path, scratch: Path) -> None:
        (root / "a").mkdir()
        (root / "a" / "again").symlink_to("../a")
        assert "a/again: is a link to a folder that contains it" in refused(root, scratch)

    def test_for_a_manifest(self, root: Path, scratch: Path) -> None:
        (root / "submission.yaml").unlink()
        (root / "submission.yaml").symlink_to("../secret")
        assert "leaves the submission" in refused(root, scratch)

    def test_hard_links_to_files_of_others(self, root: Path, scratch: Path, tmp_path: Path) -> None:
        (root / "key").hardlink_to(tmp_path / "secret")
        assert "key: is a hard link to a file outside" in refused(root, scratch)

    def test_hard_links_among_themselves_are_fine(self, root: Path, scratch: Path) -> None:
        (root / "a").write_text("x")
        (root / "b").hardlink_to(root / "a")
        copy = load_submission(root, lab="lab1", block=Nothing, scratch=scratch).root
        assert (copy / "b").stat().st_nlink == 1


class TestKinds:
    def test_pipes_do_not_hold_us(self, root: Path, scratch: Path) -> None:
        os.mkfifo(root / "pipe")
        assert "pipe: is a named pipe" in refused(root, scratch)

    def test_sockets(self, root: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(root)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("s")
            assert "s: is a socket" in refused(root, scratch)

    @pytest.mark.skipif(os.getuid() != 0, reason="only root can make a device")
    def test_devices(self, root: Path, scratch: Path) -> None:
        try:
            os.mknod(root / "zero", 0o644 | stat.S_IFCHR, os.makedev(1, 5))
        except PermissionError:
            pytest.skip("this container may make no devices")
        assert "zero: is a device" in refused(root, scratch)

    def test_setuid(self, root: Path, scratch: Path) -> None:
        (root / "su").write_text("#!/bin/sh\n")
        (root / "su").chmod(0o4755)
        assert "su: has the setuid or setgid bit" in refused(root, scratch)

    def test_a_pipe_for_a_manifest(self, root: Path, scratch: Path) -> None:
        (root / "submission.yaml").unlink()
        os.mkfifo(root / "submission.yaml")
        assert "submission.yaml: is a named pipe" in refused(root, scratch)

    def test_a_folder_for_a_manifest(self, root: Path) -> None:
        (root / "submission.yaml").unlink()
        (root / "submission.yaml").mkdir()
        with pytest.raises(BadSubmission, match=r"submission\.yaml: is not a regular file"):
            load_submission(root, lab="lab1", block=Nothing)

    @pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
    def test_a_file_without_read_permission(self, root: Path, scratch: Path) -> None:
        (root / "x").write_text("x")
        (root / "x").chmod(0)
        assert "x: cannot be read: Permission denied" in refused(root, scratch)


class TestNumbersAndSizes:
    def test_too_many_files_are_not_even_listed(self, root: Path, scratch: Path) -> None:
        (root / "many").mkdir()
        for number in range(5_010):
            (root / "many" / f"{number}").touch()
        assert "the submission holds over 5000 files and folders" in refused(root, scratch)

    def test_too_many_folders(self, root: Path, scratch: Path) -> None:
        for number in range(5_001):
            (root / f"{number}").mkdir()
        assert "over 5000 files and folders" in refused(root, scratch)

    def test_large_files_without_content(self, root: Path, scratch: Path) -> None:
        with (root / "sparse").open("wb") as out:
            out.truncate(1 << 40)
        assert "sparse: is larger than 64 MiB" in refused(root, scratch)

    def test_many_large_files(self, root: Path, scratch: Path) -> None:
        for number in range(3):
            with (root / f"sparse{number}").open("wb") as out:
                out.truncate(50 * 1024 * 1024)
        assert "sparse2: the submission is larger than 128 MiB in all" in refused(root, scratch)

    def test_deep_paths(self, root: Path, scratch: Path) -> None:
        (root / "/".join(["d"] * 40)).mkdir(parents=True)
        assert "stands over 32 folders deep" in refused(root, scratch)

    @pytest.mark.parametrize("name", ["a\nb", "a\x1b[2Jb", "a\u202eb", "a\\b", "a\u2028b", b"a\xffb"])
    def test_names_that_deceive(self, root: Path, scratch: Path, name: str | bytes) -> None:
        (root / os.fsdecode(name)).write_text("x")
        message = refused(root, scratch)
        assert "has control or unreadable characters" in message
        assert all(c.isprintable() or c == "\n" for c in message)
        assert len(message.splitlines()) == 2

    def test_a_full_disk_is_nobody_s_bad_submission(self, root: Path, scratch: Path) -> None:
        (root / "x").write_bytes(b"x" * 100_000)
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
        try:
            with pytest.raises(InfraFault, match="cannot be written"):
                snapshot(root, scratch / "copy")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert not (scratch / "copy").exists()


class TestTreesThatChange:
    def test_a_file_swapped_for_a_link_is_never_followed(self, root: Path, scratch: Path) -> None:
        """Whoever swaps names while we read gains a refusal or a harmless copy, never the secret."""
        stop = threading.Event()
        (root / "dir").mkdir()
        (root / "dir" / "x").write_text("mine")

        def swap() -> None:
            while not stop.is_set():
                (root / "n").symlink_to("../../secret")
                (root / "n").replace(root / "dir" / "x")
                (root / "n").write_text("mine")
                (root / "n").replace(root / "dir" / "x")

        swapper = threading.Thread(target=swap)
        swapper.start()
        outcomes = set()
        try:
            for attempt in range(200):
                copy = scratch / str(attempt)
                try:
                    snapshot(root, copy)
                except BadSubmission:
                    outcomes.add("refused")
                    continue
                outcomes.add("copied")
                assert (copy / "dir" / "x").read_text() == "mine"
                assert not (copy / "dir" / "x").is_symlink()
        finally:
            stop.set()
            swapper.join()
        assert outcomes <= {"refused", "copied"}

    def test_a_file_that_grows_is_cut_off_at_the_limit(self) -> None:
        class Endless(io.RawIOBase):
            def read(self, size: int = -1) -> bytes:
                return b"x" * size

        with pytest.raises(BadSubmission, match="log: is larger than 64 MiB"):
            Tree(None, SubmissionLimits()).file("log", Endless(), executable=False)  # type: ignore[arg-type]


class TestManifests:
    def test_a_billion_laughs(self, root: Path) -> None:
        lines = ["a0: &a0 [" + ", ".join(["lol"] * 10) + "]"]
        lines += [f"a{n}: &a{n} [" + ", ".join([f"*a{n - 1}"] * 10) + "]" for n in range(1, 9)]
        (root / "submission.yaml").write_text(HEAD + "\n".join(lines))
        with pytest.raises(BadSubmission, match=r"submission\.yaml:\d+: grows past 100000 values"):
            load_submission(root, lab="lab1", block=Nothing)

    def test_aliases_of_long_text(self, root: Path) -> None:
        text = "x" * 500_000
        (root / "submission.yaml").write_text(f"a: &a '{text}'\nb: &b [{', '.join(['*a'] * 50)}]\n")
        with pytest.raises(BadSubmission, match="grows past"):
            load_submission(root, lab="lab1", block=Nothing)

    @pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "])
    def test_depth(self, root: Path, opening: str) -> None:
        (root / "submission.yaml").write_text(opening * 200_000)
        with pytest.raises(BadSubmission) as caught:
            load_submission(root, lab="lab1", block=Nothing)
        assert caught.value.line is not None

    def test_size(self, root: Path) -> None:
        (root / "submission.yaml").write_text(HEAD + "#" * 1024 * 1024)
        with pytest.raises(BadSubmission, match="is larger than 1024 KiB"):
            load_submission(root, lab="lab1", block=Nothing)

    def test_any_bytes_are_read_or_refused(self, tmp_path: Path) -> None:
        """Nothing that a file may hold raises anything but the error that names it."""
        chance = random.Random(201)
        alphabet = [
            "a",
            ":",
            " ",
            "\n",
            "-",
            "[",
            "]",
            "{",
            "}",
            "&a",
            "*a",
            "!",
            "'",
            '"',
            "|",
            "<<",
            "#",
            "?",
        ]
        alphabet += ["0x", "1", ".", "e", "~", "%", "---", "\t", ",", "@", "\\", "é"]
        file = tmp_path / "x.yaml"
        for _ in range(3_000):
            file.write_text("".join(chance.choices(alphabet, k=chance.randint(1, 30))))
            with contextlib.suppress(BadSubmission):
                load_document(file)


def tar_of(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as out:
        manifest = tarfile.TarInfo("submission.yaml")
        manifest.size = len(HEAD)
        out.addfile(manifest, io.BytesIO(HEAD.encode()))
        for member, content in members:
            member.size = len(content)
            out.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "", mode: int = 0o644) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname, made.mode = kind, target, mode
    return made


def zip_of(*members: tuple[str | zipfile.ZipInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as out:
        for name, content in (("submission.yaml", HEAD.encode()), *members):
            out.writestr(name, content)
    return buffer.getvalue()


def with_mode(name: str, mode: int) -> zipfile.ZipInfo:
    made = zipfile.ZipInfo(name)
    made.create_system, made.external_attr = 3, mode << 16
    return made


@pytest.fixture
def unpack(tmp_path: Path, scratch: Path) -> Iterator[Callable[[bytes, str], str]]:
    """Unpacks an archive that must be refused; and nothing may have been written beside the scratch."""
    archive_folder = tmp_path / "inbox"
    archive_folder.mkdir()
    before = set(tmp_path.iterdir())

    def refuse(content: bytes, suffix: str) -> str:
        archive = archive_folder / f"ada{suffix}"
        archive.write_bytes(content)
        return refused(archive, scratch)

    yield refuse
    assert set(tmp_path.iterdir()) == before
    assert len(list(archive_folder.iterdir())) == 1


Unpack = Callable[[bytes, str], str]


class TestTar:
    @pytest.mark.parametrize(
        ("made", "says"),
        [
            (member("../evil"), "../evil: is a path that leads out"),
            (member("a/../../evil"), "is a path that leads out"),
            (member("/tmp/evil"), "/tmp/evil: is an absolute path"),
            (member("a\nb"), "has control or unreadable characters"),
            (member("/".join("d" * 40)), "stands over 32 folders deep"),
            (member("/".join("d" * 5_000)), "stands over 32 folders deep"),
            (member("n" * 300), "has a name of over 255 bytes"),
            (member("x", tarfile.SYMTYPE, "/etc/passwd"), "x: is a link that leaves the submission"),
            (member("x", tarfile.SYMTYPE, "../secret"), "x: is a link that leaves the submission"),
            (member("x", tarfile.SYMTYPE, "."), "x: is a link to a folder that contains it"),
            (member("x", tarfile.SYMTYPE, ""), "x: is a link with an odd target"),
            (member("x", tarfile.LNKTYPE, "/etc/passwd"), "is an absolute path"),
            (member("x", tarfile.LNKTYPE, "../secret"), "is a path that leads out"),
            (member("x", tarfile.LNKTYPE, "later"), "x: is a hard link to later, which is no file"),
            (member("x", tarfile.CHRTYPE), "x: is a device"),
            (member("x", tarfile.BLKTYPE), "x: is a device"),
            (member("x", tarfile.FIFOTYPE), "x: is a named pipe"),
            (member("x", mode=0o4755), "x: has the setuid or setgid bit"),
            (member("submission.yaml"), "submission.yaml: is there twice"),
            (member("Submission.yaml"), 'differs from "submission.yaml" in case or accents only'),
            (member("submission.yaml/x"), "submission.yaml: is there twice"),
        ],
    )
    def test_members(self, unpack: Unpack, made: tarfile.TarInfo, says: str) -> None:
        assert says in unpack(tar_of((made, b"")), ".tar")

    def test_names_that_differ_in_unicode_form_only(self, unpack: Unpack) -> None:
        content = tar_of((member("caf\u00e9"), b"1"), (member("cafe\u0301"), b"2"))
        assert "in case or accents only" in unpack(content, ".tar")

    def test_writing_through_a_link(self, unpack: Unpack, tmp_path: Path) -> None:
        content = tar_of((member("a", tarfile.SYMTYPE, str(tmp_path)), b""), (member("a/evil"), b"x"))
        assert "a: is there twice" in unpack(content, ".tar")

    def test_a_gzip_bomb(self, unpack: Unpack) -> None:
        big = tar_of((member("zeros"), bytes(65 * 1024 * 1024)))
        assert "zeros: is larger than 64 MiB" in unpack(gzip.compress(big, 9), ".tgz")

    def test_a_gzip_bomb_among_what_is_ignored(self, tmp_path: Path) -> None:
        archive = tmp_path / "ada.tar.gz"
        archive.write_bytes(gzip.compress(tar_of((member(".venv/zeros"), bytes(3 * 1024 * 1024)))))
        limits = SubmissionLimits(unpacked_bytes=2 * 1024 * 1024)
        with pytest.raises(BadSubmission, match="unpacks to more than a submission may hold"):
            read_archive(archive, Tree(None, limits), limits)

    def test_a_header_that_claims_gigabytes(self, unpack: Unpack) -> None:
        header = member("x", tarfile.XHDTYPE)
        header.size = 8 * 1024**3 - 1
        content = header.tobuf(tarfile.USTAR_FORMAT) + bytes(100_000)
        assert "is damaged" in unpack(content, ".tar")

    def test_a_header_of_a_hundred_kilobytes(self, unpack: Unpack) -> None:
        content = io.BytesIO()
        with tarfile.open(fileobj=content, mode="w", format=tarfile.GNU_FORMAT) as out:
            out.addfile(member("d/" * 50_000))
        assert "is damaged" in unpack(content.getvalue(), ".tar")

    def test_sparse_files(self, unpack: Unpack) -> None:
        header = member("x", tarfile.GNUTYPE_SPARSE)
        assert "is damaged" in unpack(header.tobuf(tarfile.GNU_FORMAT) + bytes(20_000), ".tar")

    def test_endless_extension_headers(self, unpack: Unpack) -> None:
        header = member("x", tarfile.GNUTYPE_LONGNAME)
        header.size = 10
        content = (header.tobuf(tarfile.GNU_FORMAT) + b"a".ljust(512, b"\0")) * 5_000
        assert "is damaged" in unpack(content, ".tar")

    def test_members_without_end(self, unpack: Unpack) -> None:
        content = tar_of(*((member(f"f{number}"), b"") for number in range(5_001)))
        assert "over 5000 files and folders" in unpack(content, ".tar")

    def test_what_is_no_archive(self, unpack: Unpack) -> None:
        assert "is damaged, or not the archive its name says" in unpack(b"hello", ".tar.gz")


class TestZip:
    @pytest.mark.parametrize(
        ("name", "says"),
        [
            ("../evil", "../evil: is a path that leads out"),
            ("/etc/evil", "/etc/evil: is an absolute path"),
            ("a\\..\\..\\evil", "or a backslash, in its name"),
            ("a\x07b", "has control or unreadable characters"),
            ("SUBMISSION.YAML", "in case or accents only"),
            (with_mode("x", stat.S_IFLNK | 0o777), "x: is a link that leaves the submission"),
            (with_mode("x", stat.S_IFCHR | 0o644), "x: is a device"),
            (with_mode("x", stat.S_IFIFO | 0o644), "x: is a named pipe"),
            (with_mode("x", stat.S_IFSOCK | 0o644), "x: is a socket"),
            (with_mode("x", stat.S_IFREG | 0o4755), "x: has the setuid or setgid bit"),
            ("a/" * 20_000 + "x", "stands over 32 folders deep"),
        ],
    )
    def test_members(self, unpack: Unpack, name: str | zipfile.ZipInfo, says: str) -> None:
        assert says in unpack(zip_of((name, b"../../secret")), ".zip")

    def test_a_name_that_goes_on_after_a_nul(self, unpack: Unpack) -> None:
        content = zip_of(("safe_name", b"x")).replace(b"safe_name", b"safe\0name")
        assert "has control or unreadable characters" in unpack(content, ".zip")

    @pytest.mark.filterwarnings("ignore:Duplicate name")
    def test_twins(self, unpack: Unpack) -> None:
        assert "x: is there twice" in unpack(zip_of(("x", b"1"), ("x", b"2")), ".zip")

    def test_a_bomb_that_tells_its_size(self, unpack: Unpack) -> None:
        assert "zeros: is larger than 64 MiB" in unpack(zip_of(("zeros", bytes(65 * 1024**2))), ".zip")

    def test_a_bomb_that_lies_about_its_size(self, unpack: Unpack) -> None:
        honest = struct.pack("<L", 65 * 1024**2)
        content = zip_of(("zeros", bytes(65 * 1024**2)))
        assert content.count(honest) == 2
        assert "is damaged" in unpack(content.replace(honest, struct.pack("<L", 10)), ".zip")

    def test_many_members_on_one_body(self, unpack: Unpack) -> None:
        """Entries that overlap make little into much; what comes out is counted, not what is declared."""
        bodies = [(f"z{number}", bytes(50 * 1024**2)) for number in range(3)]
        assert "the submission is larger than 128 MiB in all" in unpack(zip_of(*bodies), ".zip")

    def test_an_archive_in_an_archive_stays_a_file(self, tmp_path: Path, scratch: Path) -> None:
        archive = tmp_path / "ada.zip"
        archive.write_bytes(zip_of(("inner.zip", zip_of(("zeros", bytes(1024**2))))))
        root = load_submission(archive, lab="lab1", block=Nothing, scratch=scratch).root
        assert sorted(path.name for path in root.iterdir()) == ["inner.zip", "submission.yaml"]

    def test_encrypted_members(self, unpack: Unpack) -> None:
        content = bytearray(zip_of())
        content[6] |= 1
        content[content.index(b"PK\x01\x02") + 8] |= 1
        assert "is encrypted" in unpack(bytes(content), ".zip")

    def test_methods_of_compression_we_do_not_read(self, unpack: Unpack) -> None:
        odd = zipfile.ZipInfo("x")
        odd.compress_type = zipfile.ZIP_LZMA
        assert "x: is compressed by method 14" in unpack(zip_of((odd, b"x")), ".zip")

    def test_a_table_of_contents_that_never_ends(self, unpack: Unpack) -> None:
        entry = b"PK\x01\x02" + bytes(42) + b""
        table = entry * 200_000
        end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, len(table), 0, 0)
        assert "lists far too many files" in unpack(table + end, ".zip")

    def test_damage_anywhere_is_a_refusal(self, tmp_path: Path, scratch: Path) -> None:
        """Nothing that an archive may hold raises anything but the error that names it."""
        chance = random.Random(201)
        whole = {".zip": zip_of(("a/b.txt", b"text" * 50)), ".tar": tar_of((member("a/b.txt"), b"text"))}
        whole[".tgz"] = gzip.compress(whole[".tar"])
        for number in range(600):
            suffix = chance.choice(sorted(whole))
            content = bytearray(whole[suffix])
            for _ in range(chance.randint(1, 4)):
                content[chance.randrange(len(content))] = chance.randrange(256)
            archive = tmp_path / f"ada{suffix}"
            archive.write_bytes(content[: chance.choice([len(content), chance.randrange(len(content))])])
            (scratch / str(number)).mkdir()
            with contextlib.suppress(BadSubmission):
                load_submission(archive, lab="lab1", block=Nothing, scratch=scratch / str(number))


def test_an_archive_over_the_limit_is_not_opened(tmp_path: Path, scratch: Path) -> None:
    archive = tmp_path / "ada.zip"
    with archive.open("wb") as out:
        out.truncate(129 * 1024 * 1024)
    assert "is larger than 128 MiB" in refused(archive, scratch)


def test_a_folder_that_may_not_be_opened_is_the_caller_s_affair(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no such submission"):
        digest_of(tmp_path / "gone")
