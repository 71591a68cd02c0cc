"""What of a learner's Dockerfile is taken, what is refused and with which words, and what the engine gets."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graders.faults import BadSubmission
from graders.images.dockerfile import Dockerfile, read_dockerfile
from graders.images.instructions import MOST_BYTES

OFFERED = ("kubeproof/go:1.27", "kubeproof/python:3.11")
IMAGES = {"kubeproof/python:3.11": "sha256:aaa", "kubeproof/go:1.27": "sha256:bbb"}


def read(folder: Path, text: str) -> Dockerfile:
    (folder / "Dockerfile").write_bytes(text.encode())
    return read_dockerfile(folder, OFFERED)


def rewritten(folder: Path, text: str) -> list[str]:
    return read(folder, text).rewritten(IMAGES, "l=1").splitlines()


def test_a_stage_starts_from_the_image_that_is_there_and_carries_the_label(tmp_path: Path) -> None:
    assert rewritten(tmp_path, "FROM kubeproof/python:3.11\nUSER 65532\n") == [
        "FROM sha256:aaa",
        "LABEL l=1",
        "USER 65532",
    ]


def test_stages_may_build_on_each_other_and_copy_from_those_before(tmp_path: Path) -> None:
    text = """
    from kubeproof/go:1.27 as Build
    RUN go build -o /op .
    FROM build AS test
    RUN /op --version
    FROM scratch
    COPY --from=BUILD --chown=1:1 /op /op
    COPY --from=1 /x /x
    """
    assert rewritten(tmp_path, text) == [
        "FROM sha256:bbb AS build", "LABEL l=1", "RUN go build -o /op .",
        "FROM build AS test", "LABEL l=1", "RUN /op --version",
        "FROM scratch", "LABEL l=1", "COPY --from=BUILD --chown=1:1 /op /op", "COPY --from=1 /x /x",
    ]  # fmt: skip
    assert read(tmp_path, text).bases == {"kubeproof/go:1.27"}


def test_continued_lines_are_one_instruction_and_comments_in_them_are_none(tmp_path: Path) -> None:
    text = "\ufeff# a comment\nFROM scratch\r\nRUN one && \\\r\n  # not this\n\n  two \\ \n three\n"
    assert rewritten(tmp_path, text) == ["FROM scratch", "LABEL l=1", "RUN one &&   two  three"]


def test_labels_are_left_out_for_they_say_whose_a_build_is(tmp_path: Path) -> None:
    text = "FROM scratch\nLABEL kubeproof.dev/build=somebody-elses\nMAINTAINER me\n"
    assert rewritten(tmp_path, text) == ["FROM scratch", "LABEL l=1"]


def test_an_argument_may_stand_before_the_first_stage(tmp_path: Path) -> None:
    assert rewritten(tmp_path, "ARG A=1\nFROM scratch\nARG A\n")[0] == "ARG A=1"


REFUSED = [
    ("FROM debian", 1, 'FROM "debian" is no image on offer', "kubeproof/python:3.11, scratch"),
    ("FROM kubeproof/python:3.12", 1, "no image on offer", "nothing is fetched"),
    ("ARG B=debian\nFROM ${B}", 2, "cannot be taken", "write FROM, an image"),
    ("FROM --platform=linux/amd64 scratch", 1, "cannot be taken", "write FROM"),
    ("FROM scratch AS", 1, "cannot be taken", "write FROM"),
    ("FROM scratch AS a/b", 1, "cannot be the name of a stage", "another"),
    ("FROM scratch AS a\nFROM scratch AS A", 2, "cannot be the name of a stage", "another"),
    ("FROM scratch\nFROM build", 2, 'FROM "build" is no image', "start from"),
    ("FROM scratch\nCOPY --from=nginx /x /x", 2, "names no stage of this file", "that comes before"),
    ("FROM scratch\nCOPY --from=0 /x /x", 2, "names no stage", "before"),
    ("FROM scratch AS a\nCOPY --from=a /x /x", 2, "names no stage", "before"),
    ('FROM scratch\nCOPY --fr"om"=nginx /x /x', 2, "option is not known", "--chown"),
    ("FROM scratch\nCOPY --from=$X /x /x", 2, "option is not known", "--chown"),
    ("FROM scratch\nCOPY --chmod=755 x /x", 2, "option is not known", "--chown"),
    ("FROM scratch\nRUN --mount=type=secret,id=x cat x", 2, "option is not known", "leave it out"),
    ("FROM scratch\nRUN --network=host true", 2, "option is not known", "leave it out"),
    ("FROM scratch\nADD https://example.com/x /x", 2, "ADD is not allowed", "write COPY"),
    ("FROM scratch\nONBUILD RUN x", 2, "ONBUILD is not allowed", "itself"),
    ("FROM scratch\nRUN cat <<EOF > /x\nhello\nEOF", 2, "texts after <<", "COPY it"),
    ("FROM scratch\nCOPY <<'EOF' /x", 2, "texts after <<", "COPY it"),
    ("# syntax=docker/dockerfile:1\nFROM scratch", 1, "another reader", "remove"),
    ("#escape=`\nFROM scratch", 1, "another reader", "remove"),
    ("RUN true\nFROM scratch", 1, "before the first FROM", "begin with FROM"),
    ("FROM scratch\nSUDO true", 2, '"SUDO" is no instruction', "Docker knows"),
    ("FROM scratch\nRUN", 2, "no complete instruction", "act on"),
    ("FROM scratch\nRUN a \\\\\nb", 2, "two backslashes", "with one"),
    ("FROM scratch\nRUN a \\", 2, "middle of an instruction", "last backslash"),
    ("FROM scratch\nRUN a\x0bb", 2, "character 0xb", "remove"),
    ("FROM scratch\nRUN a\u00a0b", 2, "character 0xa0", "remove"),
    ("FROM scratch\nRUN a\u202eb", 2, "character 0x202e", "remove"),
    ("# nothing", None, "has no FROM", "begin with FROM"),
    ("FROM scratch\n" * 9, 9, "over 8 stages", "fewer"),
    ("FROM scratch\n" + "RUN x\n" * 201, 201, "over 200 instructions", "one RUN"),
]


@pytest.mark.parametrize(("text", "line", "problem", "fix"), REFUSED)
def test_what_is_not_allowed_is_refused_with_line_and_fix(
    tmp_path: Path, text: str, line: int | None, problem: str, fix: str
) -> None:
    with pytest.raises(BadSubmission) as caught:
        read(tmp_path, text)
    assert problem in caught.value.problem
    assert fix in caught.value.fix
    assert (caught.value.file, caught.value.line) == ("Dockerfile", line)


def test_there_has_to_be_one_inside_the_submission(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    with pytest.raises(BadSubmission, match="Dockerfile: is not there"):
        read_dockerfile(root, OFFERED)
    (tmp_path / "elsewhere").write_text("FROM scratch")
    (root / "Dockerfile").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BadSubmission, match="is not there"):
        read_dockerfile(root, OFFERED)


def test_it_is_short_and_text(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_bytes(b"#" * (MOST_BYTES + 1))
    with pytest.raises(BadSubmission, match="over 64 KiB"):
        read_dockerfile(tmp_path, OFFERED)
    (tmp_path / "Dockerfile").write_bytes(b"FROM scratch\nRUN \xff\n")
    with pytest.raises(BadSubmission, match="Dockerfile:2: is not UTF-8"):
        read_dockerfile(tmp_path, OFFERED)


PIECES = st.sampled_from(
    [
        "FROM", "from", "scratch", "debian", "kubeproof/python:3.11", "AS", "a", "COPY", "--from=a",
        "--from=x", "RUN", "LABEL", "ADD", " ", "\t", "\n", "\\\n", "\\", "#", "$X", "<<E", '"', "=",
        "ONBUILD", "--x", "\r\n",
    ]
)  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(text=st.lists(PIECES, max_size=30).map("".join))
def test_whatever_is_written_the_engine_starts_from_our_images_and_gets_our_label(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    try:
        lines = rewritten(tmp_path_factory.getbasetemp(), text)
    except BadSubmission:
        return
    froms = [number for number, line in enumerate(lines) if line.split()[0] == "FROM"]
    earlier: set[str] = set()
    for number in froms:
        words = lines[number].split()
        assert words[1] in {"sha256:aaa", "sha256:bbb", "scratch"} | earlier
        assert lines[number + 1] == "LABEL l=1"
        earlier |= set(words[3:])
    assert sum(line.split()[0] == "LABEL" for line in lines) == len(froms)
    assert all(line.split()[0] not in ("ADD", "ONBUILD") and not line.endswith("\\") for line in lines)
