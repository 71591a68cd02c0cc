"""What a submission may ask for: packages by name; everything else is refused with file, line and fix."""

from __future__ import annotations

from pathlib import Path

import pytest

from graders.faults import BadSubmission
from graders.paths import REPOSITORY
from graders.progress import Silent
from graders.sandbox.environments import ensure_environment, missing_packages
from graders.sandbox.project import passed_over, running_requirements
from graders.sandbox.requirements import (
    MOST_BYTES,
    MOST_FILES,
    MOST_REQUIREMENTS,
    RequiredPackages,
    Requirements,
    read_requirements,
    satisfied,
)
from graders.sandbox.runtime import Runtime

NAME = "requirements.txt"
HASH = "sha256:" + "a1" * 32
OTHER = "sha256:" + "b2" * 32


def read(root: Path, text: str | bytes, **others: str) -> Requirements:
    (root / NAME).write_bytes(text if isinstance(text, bytes) else text.encode())
    for stem, content in others.items():
        (root / f"{stem}.txt").write_text(content)
    return read_requirements(root, NAME)


def shown(found: tuple[RequiredPackages, ...]) -> list[tuple[str, str, int]]:
    return [(str(each), each.file, each.line) for each in found]


def test_a_submission_without_the_file_asks_for_nothing(tmp_path: Path) -> None:
    assert read_requirements(tmp_path, NAME) == Requirements()


def test_names_versions_extras_and_markers_are_read(tmp_path: Path) -> None:
    text = (
        '# what it needs\nkopf>=1.45,<1.46  # the framework\n\nHttpX[http2]==0.28 ; python_version > "3.8"\n'
    )
    found = read(tmp_path, text)
    assert shown(found.wanted) == [
        ("kopf<1.46,>=1.45", NAME, 2),
        ('HttpX[http2]==0.28; python_version > "3.8"', NAME, 4),
    ]
    assert [each.name for each in found.wanted] == ["kopf", "httpx"]


def test_hashes_on_continued_lines_are_read(tmp_path: Path) -> None:
    (found,) = read(tmp_path, f"kopf==1.45.0 \\\n    --hash={HASH} \\\r\n    --hash={OTHER}\n").wanted
    assert found.hashes == {HASH, OTHER}
    assert found.line == 1


def test_files_of_the_submission_are_included(tmp_path: Path) -> None:
    found = read(tmp_path, "-r base.txt\n-c bounds.txt\nkopf\n", base="pyyaml\n", bounds="aiohttp<4\n")
    assert shown(found.wanted) == [("pyyaml", "base.txt", 1), ("kopf", NAME, 3)]
    assert shown(found.constraints) == [("aiohttp<4", "bounds.txt", 1)]


REFUSED = {
    "--index-url https://evil.example/simple": "options of pip",
    "--extra-index-url=https://evil.example/simple": "options of pip",
    "-i https://evil.example/simple": "options of pip",
    "--find-links /tmp": "options of pip",
    "--trusted-host evil.example": "options of pip",
    "--no-binary :all:": "options of pip",
    "--pre": "options of pip",
    "-e .": "options of pip",
    "--editable git+https://evil.example/x": "options of pip",
    "kopf --global-option=build": "is no requirement",
    "kopf --config-settings a=b": "is no requirement",
    "https://evil.example/kopf-9-py3-none-any.whl": "address or a path",
    "git+https://evil.example/kopf": "address or a path",
    "file:///etc/passwd": "address or a path",
    "./vendored": "address or a path",
    "../other": "address or a path",
    "/etc": "address or a path",
    "wheels/kopf-9-py3-none-any.whl": "address or a path",
    "kopf @ https://evil.example/kopf.whl": "is an address or a path",
    "kopf @ file:///etc": "names an address",
    "kopf @ git+ssh://evil.example/x": "names an address",
    "kopf==${HOME}": "variables are not filled in",
    "kopf=1": "is no requirement",
    "kopf==": "is no requirement",
    "kopf==1 --hash=md5:00": "is no SHA-256 hash",
    "kopf\x1b[2J": "holds the character 0x1b",
    "kopf\0": "holds the character 0x0",
    "kopf ; " + "(" * 20_000: "is no requirement",
    "kopf ; " + "(" * 30 + "python_version > '3'" + ")" * 30: "is no requirement",
    "kopf>=" + "9" * 5000: "is no requirement",
    "kopf ; os_name ~= 'x'": "cannot be compared",
    "kopf ; 'a' in 'b'": "cannot be compared",
    "-r " + "a" * 5000: "no file of the submission",
    "-r ../requirements.txt": "no file of the submission",
    "-r /etc/passwd": "no file of the submission",
    "-r https://evil.example/r.txt": "no file of the submission",
    "-c missing.txt": "is not there",
    "-r requirements.txt": "includes itself",
}


@pytest.mark.parametrize("line", REFUSED, ids=lambda line: line[:30])
def test_everything_else_is_refused_where_it_stands(tmp_path: Path, line: str) -> None:
    with pytest.raises(BadSubmission) as caught:
        read(tmp_path, f"pyyaml\n\n{line}\n")
    assert REFUSED[line] in caught.value.problem
    assert (caught.value.file, caught.value.line) == (NAME, 3)
    assert caught.value.fix
    assert str(caught.value).replace("\n", "").isprintable()
    assert len(str(caught.value)) < 400


def test_a_link_out_of_the_submission_is_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("kopf\n")
    root = tmp_path / "submission"
    root.mkdir()
    (root / "linked.txt").symlink_to(secret)
    (root / NAME).write_text("-r linked.txt\n")
    with pytest.raises(BadSubmission, match="no file of the submission"):
        read_requirements(root, NAME)
    (root / NAME).unlink()
    (root / NAME).symlink_to(secret)
    with pytest.raises(BadSubmission, match="no file of the submission"):
        read_requirements(root, NAME)


def test_links_that_lead_in_a_circle_are_refused(tmp_path: Path) -> None:
    (tmp_path / "circle.txt").symlink_to("circle.txt")
    with pytest.raises(BadSubmission, match="no file of the submission"):
        read(tmp_path, "-r circle.txt\n")
    (tmp_path / NAME).unlink()
    (tmp_path / NAME).symlink_to(NAME)
    with pytest.raises(BadSubmission, match="no file of the submission"):
        read_requirements(tmp_path, NAME)


def test_a_comment_does_not_go_on_in_the_next_line(tmp_path: Path) -> None:
    assert shown(read(tmp_path, "# the framework \\\nkopf\n").wanted) == [("kopf", NAME, 2)]


def test_includes_that_multiply_are_refused(tmp_path: Path) -> None:
    many = 5000
    with pytest.raises(BadSubmission, match=f"over {MOST_FILES} includes"):
        read(tmp_path, "-r a.txt\n" * many, a="-r b.txt\n" * many, b="-r c.txt\n" * many, c="")


def test_circles_and_deep_nests_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadSubmission, match="includes itself"):
        read(tmp_path, "-r a.txt\n", a="-r b.txt\n", b="-r a.txt\n")
    chain = {f"n{place}": f"-r n{place + 1}.txt\n" for place in range(9)}
    with pytest.raises(BadSubmission, match="nested too deeply"):
        read(tmp_path, "-r n0.txt\n", **chain, n9="kopf\n")


def test_what_is_far_too_much_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadSubmission, match=f"over {MOST_REQUIREMENTS} requirements"):
        read(tmp_path, "".join(f"package{place}\n" for place in range(MOST_REQUIREMENTS + 1)))
    with pytest.raises(BadSubmission, match="KiB long"):
        read(tmp_path, "#" * (MOST_BYTES + 1))


def test_other_encodings_are_refused_with_the_line(tmp_path: Path) -> None:
    with pytest.raises(BadSubmission, match="is not UTF-8") as caught:
        read(tmp_path, b"kopf\n# caf\xe9\n")
    assert caught.value.line == 2
    assert shown(read(tmp_path, "\ufeffkopf\n").wanted) == [("kopf", NAME, 1)]


PINS = f"kopf==1.45.2 --hash={HASH}\naiohttp==3.14.5\nwindows==1 ; sys_platform == 'win32'\n"


@pytest.mark.parametrize(
    ("line", "is_there"),
    {
        "kopf": True,
        "Kopf>=1.45,<1.46": True,
        "kopf==1.45.2": True,
        f"kopf==1.45.2 --hash={OTHER} --hash={HASH}": True,
        f"kopf==1.45.2 --hash={OTHER}": False,
        "kopf<1.45": False,
        "kopf[uvloop]": False,
        "pykube-ng": False,
        "windows": False,
        "windows ; sys_platform == 'win32'": True,
    }.items(),
)
def test_what_is_pinned_already_is_recognised(tmp_path: Path, line: str, is_there: bool) -> None:
    pins = read(tmp_path, PINS).wanted
    found = read(tmp_path, f"{line}\n").wanted
    assert satisfied(found, (), pins) == list(found if is_there else ())


def test_nothing_is_there_if_a_pin_breaks_a_constraint(tmp_path: Path) -> None:
    pins = read(tmp_path, PINS).wanted
    for bound, is_there in (("aiohttp<4", True), ("aiohttp<3", False), ("other<3", True)):
        found = read(tmp_path, "-c bounds.txt\nkopf\n", bounds=f"{bound}\n")
        assert bool(satisfied(found.wanted, found.constraints, pins)) is is_there, bound


@pytest.mark.parametrize("folder", ["labs/lab1/starter", "solutions/lab1/reference"])
def test_what_the_course_itself_hands_out_needs_nothing_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    monkeypatch.setenv("KUBEPROOF_CACHE", str(tmp_path))
    course = Runtime(tmp_path / "venv", tmp_path / "venv" / "bin" / "python", tmp_path, "0" * 64)
    assert (REPOSITORY / folder / NAME).is_file()
    assert ensure_environment(course, REPOSITORY / folder, Silent()) is course
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-8-sig"])
def test_what_a_powershell_writes_is_read(tmp_path: Path, encoding: str) -> None:
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    found = read(tmp_path, f"{mark}kopf==1.45.0\r\npyyaml\r\n".encode(encoding))
    assert [str(each) for each in found.wanted] == ["kopf==1.45.0", "pyyaml"]


@pytest.mark.parametrize(
    ("line", "remedy"),
    [
        ("-e .", "remove the line: nothing is installed of the submission itself"),
        ("--editable=.[dev]", "PYTHONPATH: src"),
        (".", "PYTHONPATH: src"),
        (".[test]", "PYTHONPATH: src"),
        ("-e git+https://example.com/x", "remove it: packages are fetched as wheels"),
        ("--index-url https://example.com/simple", "remove it: packages are fetched as wheels"),
        ("./vendored", "put its source into the submission"),
        ("kopf @ file:///tmp/build/kopf", "name a published package and its version"),
        ("kopf=1", "as in `kopf>=1.45,<1.46`"),
    ],
)
def test_a_refusal_says_what_to_do_instead(tmp_path: Path, line: str, remedy: str) -> None:
    with pytest.raises(BadSubmission) as caught:
        read(tmp_path, line)
    assert remedy in caught.value.fix


def project(root: Path, text: str) -> Requirements:
    (root / "pyproject.toml").write_text(text)
    return running_requirements(root)


class TestProjectFile:
    """Without a requirements.txt the dependencies of pyproject.toml are read, under the same rules."""

    TEXT = '[project]\nname = "mltj"\ndependencies = [\n  "kopf>=1.45,<1.46",\n  "httpx==0.28.1",\n]\n'

    def test_its_dependencies_are_read(self, tmp_path: Path) -> None:
        found = project(tmp_path, self.TEXT)
        assert shown(found.wanted) == [
            ("kopf<1.46,>=1.45", "pyproject.toml", 4), ("httpx==0.28.1", "pyproject.toml", 5)
        ]  # fmt: skip
        assert passed_over(tmp_path) == ""
        wish = missing_packages(tmp_path)
        assert wish is not None
        assert wish.requirements_txt == "httpx==0.28.1\nkopf<1.46,>=1.45\n"

    def test_requirements_txt_comes_first_and_that_is_said(self, tmp_path: Path) -> None:
        (tmp_path / NAME).write_text("pyyaml\n")
        assert shown(project(tmp_path, self.TEXT).wanted) == [("pyyaml", NAME, 1)]
        assert passed_over(tmp_path).startswith("packages are read from requirements.txt, not from")
        for text in ("[tool.ruff]\n", "[["):
            assert project(tmp_path, text).wanted
            assert passed_over(tmp_path) == ""

    @pytest.mark.parametrize("text", ["", "[tool.ruff]\n", '[project]\nname = "x"\n', "project = 1\n"])
    def test_without_any_nothing_is_asked_for(self, tmp_path: Path, text: str) -> None:
        assert project(tmp_path, text) == Requirements()

    @pytest.mark.parametrize(
        ("text", "says", "line"),
        [
            ("[project\n", "is not valid TOML", None),
            ("x = " + "[" * 50_000, "is not valid TOML", None),
            ("x = " + "9" * 5_000, "is not valid TOML", None),
            ("[project]\ndependencies = 'kopf'\n", "dependencies is text", 2),
            ("[project]\n\ndependencies = [5]\n", "dependencies holds a number", 3),
            ("[project]\ndependencies = ['kopf @ https://evil.example/k.whl']\n", "is an address", 2),
            ("[project]\ndependencies = [\n'kopf',\n'-e .']\n", "options of pip are not taken", 4),
            ('[project]\ndependencies = ["kopf\\u0000"]\n', "holds the character 0x0", 2),
            ("[project]\ndependencies = [" + "'a'," * 201 + "]\n", "over 200 requirements", 2),
            ("#" * 300_000, "is over 256 KiB long", None),
        ],
    )
    def test_everything_else_is_refused(self, tmp_path: Path, text: str, says: str, line: int | None) -> None:
        with pytest.raises(BadSubmission) as caught:
            project(tmp_path, text)
        assert says in caught.value.problem
        assert (caught.value.file, caught.value.line) == ("pyproject.toml", line)
        assert caught.value.fix
        assert str(caught.value).replace("\n", "").isprintable()
