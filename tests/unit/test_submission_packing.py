"""Submissions as people pack them, and as they leave them lying about: read as what was meant, or told so."""

from __future__ import annotations

import io
import tarfile
import unicodedata
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from graders.documents import Strict
from graders.faults import BadSubmission
from graders.model import Submission
from graders.outfolder import OutFolder
from graders.submissions import LabBlock, SubmissionPath, digest_of, load_submission
from graders.submissions.leftout import CACHE_SIGNATURE, told

HEAD = "schema: kubeproof/submission/v1\nlab: lab1\n"
FILES = {"submission.yaml": HEAD, "run.sh": "#!/bin/sh\n", "deploy/crd.yaml": "kind: x\n"}


class Nothing(Strict):
    """A lab that wants no keys of its own."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The submission as a folder."""
    root = tmp_path / "handed-in"
    put(root, FILES)
    (root / "run.sh").chmod(0o755)
    return root


def put(root: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


Load = Callable[[Path], Submission]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def one(submission: Path) -> Submission:
        scratch = tmp_path / "scratch"
        scratch.mkdir(exist_ok=True)
        return load_submission(submission, lab="lab1", block=Nothing, scratch=scratch)

    return one


def refused(load: Load, submission: Path) -> str:
    with pytest.raises(BadSubmission) as caught:
        load(submission)
    assert caught.value.fix
    return str(caught.value)


def zipped(archive: Path, files: Mapping[str, str], *, windows: bool = False) -> Path:
    """A zip archive; one of `windows` has no Unix modes, others only say what may be run."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out:
        for name, text in files.items():
            member = zipfile.ZipInfo("x")
            member.filename = name
            member.create_system = 0 if windows else 3
            runs = 0o111 if name.endswith(".sh") else 0
            member.external_attr = 0x20 if windows else (0o100644 | runs) << 16
            out.writestr(member, text)
    return archive


def within(prefix: str, files: Mapping[str, str] = FILES) -> dict[str, str]:
    return {prefix + name: text for name, text in files.items()}


class TestArchives:
    @pytest.mark.parametrize(
        ("files", "left_out"),
        [
            (within("my-operator/"), []),
            (within("a/b/c/"), []),
            (within("./"), []),
            ({**within("my-operator/"), "desktop.ini": "x"}, ["desktop.ini"]),
            ({**within("a/b/"), "a/notes.txt": "x", "top.txt": "x"}, ["a/notes.txt", "top.txt"]),
            (
                {**within("ada/"), "__MACOSX/ada/._run.sh": "x", "ada/.DS_Store": "x", "ada/._x": "x"},
                ["._x", ".DS_Store", "__MACOSX"],
            ),
            ({**within("ada/"), "ada/env/pyvenv.cfg": "x", "ada/env/lib/submission.yaml": "x"}, ["env"]),
            ({**within(""), ".git/HEAD": "x", "deploy/.git": "x"}, [".git", "deploy/.git"]),
        ],
    )
    def test_the_submission_is_found_in_it(
        self, root: Path, tmp_path: Path, load: Load, files: dict[str, str], left_out: list[str]
    ) -> None:
        submission = load(zipped(tmp_path / "ada.zip", files))
        assert submission.digest == digest_of(root)
        assert sorted(submission.left_out) == sorted(left_out)

    def test_one_of_windows_has_backslashes_and_no_modes(
        self, root: Path, tmp_path: Path, load: Load
    ) -> None:
        files = {name.replace("/", "\\"): text for name, text in within("my-operator/").items()}
        files["my-operator\\deploy\\"] = ""
        assert load(zipped(tmp_path / "ada.zip", files, windows=True)).digest == digest_of(root)

    @pytest.mark.parametrize(
        ("name", "says"),
        [
            ("..\\evil", "../evil: is a path that leads out"),
            ("a\\..\\..\\evil", "is a path that leads out"),
            ("C:\\evil", "/evil: is an absolute path"),
            ("\\\\server\\evil", "is an absolute path"),
            ("DEPLOY\\crd.yaml", 'differs from "deploy" in case'),
        ],
    )
    def test_backslashes_lead_nowhere_else(self, tmp_path: Path, load: Load, name: str, says: str) -> None:
        assert says in refused(load, zipped(tmp_path / "ada.zip", {**FILES, name: "x"}, windows=True))

    def test_on_unix_a_backslash_is_a_letter_and_refused(self, tmp_path: Path, load: Load) -> None:
        said = refused(load, zipped(tmp_path / "ada.zip", {**FILES, "a\\b": "x"}))
        assert "or a backslash, in its name (U+005C)" in said

    def test_names_in_utf_8_that_do_not_say_so(self, tmp_path: Path, load: Load) -> None:
        archive = zipped(tmp_path / "ada.zip", {**FILES, "caf?.txt": "x"})
        # What packers of macOS write: the bytes of UTF-8, without the flag.
        archive.write_bytes(archive.read_bytes().replace(b"caf?.txt", "ca\u00e9.txt".encode()))
        assert (load(archive).root / "ca\u00e9.txt").is_file()

    def test_names_with_joiners(self, tmp_path: Path, load: Load) -> None:
        name = "\U0001f469\u200d\U0001f4bb \u0645\u06cc\u200c\u0631\u0648\u062f.txt"
        assert (load(zipped(tmp_path / "ada.zip", {**FILES, name: "x"})).root / name).is_file()

    def test_names_that_differ_in_what_nobody_sees(self, tmp_path: Path, load: Load) -> None:
        said = refused(load, zipped(tmp_path / "ada.zip", {**FILES, "run\u200d.sh": "x"}))
        assert "in case or accents only" in said

    @pytest.mark.parametrize("name", ["ada.tar.gz", "ada.tgz", "ada.tar"])
    @pytest.mark.parametrize("mode", ["w", "w:gz"])
    def test_a_tar_is_told_by_what_it_is(
        self, root: Path, tmp_path: Path, load: Load, name: str, mode: str
    ) -> None:
        with tarfile.open(tmp_path / name, mode) as out:  # type: ignore[call-overload]
            out.add(root, "ada")
        assert load(tmp_path / name).digest == digest_of(root)

    @pytest.mark.parametrize(
        ("begins", "name", "says"),
        [
            (b"Rar!\x1a\x07\x01\0", "ada.rar", "is a RAR archive"),
            (b"Rar!\x1a\x07\x01\0", "ada.zip", "is a RAR archive"),
            (b"7z\xbc\xaf\x27\x1c", "ada.7z", "is a 7z archive"),
            (b"\xfd7zXZ\0", "ada.tar.xz", "is compressed by xz"),
            (b"BZh9", "ada.tar.bz2", "is compressed by bzip2"),
            (b"\x28\xb5\x2f\xfd", "ada.tar.zst", "is compressed by zstd"),
        ],
    )
    def test_other_packers(self, tmp_path: Path, load: Load, begins: bytes, name: str, says: str) -> None:
        (tmp_path / name).write_bytes(begins + bytes(100))
        said = refused(load, tmp_path / name)
        assert f"{name}: {says}; only .zip, .tar and .tar.gz are read" in said
        assert "fix: unpack it, then pack it again: zip -r submission.zip ." in said

    @pytest.mark.parametrize(
        ("files", "says", "fix"),
        [
            ({"a/ada.zip": "x", "b.txt": "x"}, 'holds "a/ada.zip", "b.txt"', "hand in a/ada.zip itself"),
            ({"ada/submission.yml": "x"}, 'holds "ada/submission.yml"', "rename ada/submission.yml"),
            ({}, "holds no files", "write a submission.yaml"),
            ({"a/b": "x"}, 'holds "a/b"', "write a submission.yaml"),
            (
                {**within("a/"), **within("b/")},
                'holds more than one submission ("a/submission.yaml", "b/submission.yaml")',
                "pack one folder only",
            ),
            (
                {**within("a/"), "b/x.txt": "x"},
                'there is one in "a", and beside that folder there are others ("b/x.txt")',
                'pack what is in "a" alone',
            ),
        ],
    )
    def test_where_nothing_is_found_it_says_what_is_there(
        self, tmp_path: Path, load: Load, files: dict[str, str], says: str, fix: str
    ) -> None:
        said = refused(load, zipped(tmp_path / "ada.zip", files))
        assert says in said
        assert fix in said.partition("fix: ")[2]

    def test_a_link_to_what_was_left_out_leaves_the_submission(self, tmp_path: Path, load: Load) -> None:
        with tarfile.open(tmp_path / "ada.tar", "w") as out:
            for name, text in {**within("ada/"), "stray": "x"}.items():
                member = tarfile.TarInfo(name)
                member.size = len(text)
                out.addfile(member, io.BytesIO(text.encode()))
            link = tarfile.TarInfo("ada/link")
            link.type, link.linkname = tarfile.SYMTYPE, "../stray"
            out.addfile(link)
        assert "link: is a link that leaves the submission" in refused(load, tmp_path / "ada.tar")


class TestWhatIsNoPart:
    @pytest.mark.parametrize(
        ("name", "marks"),
        [
            ("env", {"pyvenv.cfg": "home = /usr/bin"}),
            ("python", {"conda-meta/history": "x"}),
            ("target", {"CACHEDIR.TAG": CACHE_SIGNATURE.decode() + "\n# made by cargo"}),
            ("deep/.venv", {"pyvenv.cfg": "home = /usr/bin"}),
            ("node_modules", {"x": "x"}),
            ("deploy/__pycache__", {"x": "x"}),
            (".git", {"HEAD": "ref: refs/heads/main"}),
        ],
    )
    def test_it_is_known_by_what_it_is(
        self, root: Path, tmp_path: Path, load: Load, name: str, marks: dict[str, str]
    ) -> None:
        before = digest_of(root)
        put(root / name, {**marks, "lib/huge.py": "x"})
        (root / name / "python").symlink_to("/usr/bin/python3")
        submission = load(root)
        assert submission.left_out == (name,)
        assert submission.digest == digest_of(root) == before
        with tarfile.open(tmp_path / "ada.tgz", "w:gz") as out:
            out.add(root, "ada")
        (tmp_path / "scratch" / "submission").rename(tmp_path / "scratch" / "first")
        packed = load(tmp_path / "ada.tgz")
        assert (packed.digest, packed.left_out) == (before, (name,))

    @pytest.mark.parametrize(
        ("name", "file"), [("env", "x.py"), ("venv", "x.py"), (".venv", "x.py"), ("out", "CACHEDIR.TAG")]
    )
    def test_and_not_by_its_name(self, root: Path, load: Load, name: str, file: str) -> None:
        before = digest_of(root)
        put(root / name, {file: "print()"})
        submission = load(root)
        assert submission.left_out == ()
        assert (submission.root / name / file).is_file()
        assert submission.digest != before

    def test_results_of_an_earlier_grading_change_nothing(self, root: Path, load: Load) -> None:
        before = digest_of(root)
        out = OutFolder(root / "out" / "lab1")
        out.begin("report.json")
        (out.path / "audit.jsonl").write_bytes(bytes(70 * 1024**2))
        submission = load(root)
        assert (submission.digest, submission.left_out) == (before, ("out/lab1",))

    def test_a_folder_that_is_an_environment_itself(self, root: Path, tmp_path: Path, load: Load) -> None:
        put(root, {"pyvenv.cfg": "home = /usr/bin"})
        for handed_in in (root, zipped(tmp_path / "ada.zip", within("a/", {**FILES, "pyvenv.cfg": "x"}))):
            said = refused(load, handed_in)
            assert "pyvenv.cfg: the submission's folder is itself a virtual environment" in said
            assert "into a folder of its own" in said

    def test_it_is_told_in_one_line(self) -> None:
        assert told([]) == ""
        assert told(["env", "out/lab1"]) == 'no part of the submission: "env", "out/lab1"'
        many = [f"{folder}/__pycache__" for folder in "abc"]
        assert told([*many, ".git"]) == 'no part of the submission: ".git", 3 times "__pycache__"'
        assert told(map(str, range(9))).endswith('"5" and 3 more')


class TestFolders:
    def test_the_folder_around_it(self, root: Path, load: Load) -> None:
        assert f"fix: grade the folder {root}, which has one" in refused(load, root.parent)

    def test_results_instead_of_a_submission(self, tmp_path: Path, load: Load) -> None:
        OutFolder(tmp_path / "out").begin()
        assert "this folder holds results of a grading" in refused(load, tmp_path / "out")

    @pytest.mark.parametrize("form", ["NFC", "NFD"])
    def test_a_path_is_found_however_its_letters_are_encoded(self, root: Path, form: str) -> None:
        class Block(LabBlock):
            manifests: list[SubmissionPath]

        other = {"NFC": "NFD", "NFD": "NFC"}[form]
        there = unicodedata.normalize(form, "caf\u00e9/crd\u00e9.yaml")
        put(root, {there: "x"})
        (root / "submission.yaml").write_text(f"{HEAD}manifests: [{unicodedata.normalize(other, there)}]\n")
        submission = load_submission(root, lab="lab1", block=Block)
        assert submission.manifest.manifests == [there]
