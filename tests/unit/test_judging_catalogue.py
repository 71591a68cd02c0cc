"""Finding the checks of a lab, and refusing what an author got wrong."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from graders.faults import CourseError, UsageError
from graders.judging import collect_checks, tracks_for
from graders.model import Capability

HEAD = "from graders.judging import check\nfrom graders.model import Capability\n"

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def module(source: str, name: str = "some") -> Path:
        (tmp_path / f"{name}.py").write_text(HEAD + textwrap.dedent(source))
        return tmp_path

    return module


def test_a_check_says_what_it_is(write: Write) -> None:
    folder = write("""
        @check("in-cluster", tracks=("image", "train"), needs=(Capability.REAL_PODS,), hint="Look.")
        def check_in_cluster():
            '''Your image runs.'''
    """)
    (info,) = collect_checks("lab1", folder=folder)
    assert (info.id, info.title, info.hint) == ("in-cluster", "Your image runs.", "Look.")
    assert (info.tracks, info.requires) == (("image", "train"), ())
    assert info.needs == {Capability.REAL_PODS}
    assert (info.file, info.line) == (str(folder / "some.py"), 4)


def test_checks_come_in_the_order_of_files_but_after_what_they_require(write: Write) -> None:
    write(
        """
        @check("a", requires=("d",))
        def check_a():
            '''A.'''

        @check("b")
        def check_b():
            '''B.'''
        """,
        "one",
    )
    folder = write(
        """
        @check("c")
        def check_c():
            '''C.'''

        @check("d")
        def check_d():
            '''D.'''
        """,
        "two",
    )
    assert [info.id for info in collect_checks("lab1", folder=folder)] == ["d", "a", "b", "c"]


def test_modules_share_code_and_only_their_own_checks_count(write: Write) -> None:
    write(
        """
        @check("a")
        def check_a():
            '''A.'''

        LIMIT = 3
        """,
        "one",
    )
    folder = write(
        """
        from .one import LIMIT, check_a

        @check("b", hint=f"At most {LIMIT}.")
        def check_b():
            '''B.'''
        """,
        "two",
    )
    assert [info.id for info in collect_checks("lab1", folder=folder)] == ["a", "b"]


def test_two_folders_with_the_same_file_names_stay_apart(tmp_path: Path) -> None:
    ids = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "pods.py").write_text(f"{HEAD}@check('{name}')\ndef check_it():\n    'It.'\n")
        ids += [info.id for info in collect_checks("lab1", folder=folder)]
    assert ids == ["one", "two"]


def test_tracks_include_those_of_required_checks(write: Write) -> None:
    folder = write("""
        @check("a", tracks=("install",))
        def check_a():
            '''A.'''

        @check("b", tracks=("lifecycle",), requires=("a",))
        def check_b():
            '''B.'''

        @check("c", tracks=("tools",))
        def check_c():
            '''C.'''
    """)
    assert tracks_for("lab1", ["b"], folder=folder) == {"install", "lifecycle"}
    assert tracks_for("lab1", ["a", "c"], folder=folder) == {"install", "tools"}
    assert tracks_for("lab1", folder=folder) == {"install", "lifecycle", "tools"}


def test_tracks_of_an_unknown_check_are_refused_with_what_there_is(write: Write) -> None:
    folder = write("""
        @check("retries")
        def check_a():
            '''A.'''
    """)
    with pytest.raises(UsageError, match="there is no check 'zzz'\n  fix: there are: retries"):
        tracks_for("lab1", ["zzz"], folder=folder)


@pytest.mark.parametrize("lab", ["../lab1", "Lab1", "", "lab1/checks"])
def test_a_lab_is_named_by_a_slug(lab: str) -> None:
    with pytest.raises(UsageError, match="is no name for a lab"):
        collect_checks(lab)


@pytest.mark.parametrize(
    ("source", "line", "problem", "fix"),
    [
        ('@check("a")\ndef check_a():\n    pass\n', 3, "has no docstring", "first line is the title"),
        ('@check("A_b")\ndef check_a():\n    "A."\n', 3, "'A_b' is no id", "kebab-case"),
        ('@check("a-b")\ndef verify():\n    "A."\n', 3, "named verify", "rename it to check_a_b"),
        (
            '@check("a", tracks="life")\ndef check_a():\n    "A."\n',
            3,
            "tracks of check 'a' is 'life'",
            '("one",)',
        ),
        (
            '@check("a", needs=("api",))\ndef check_a():\n    "A."\n',
            3,
            "needs 'api'",
            "use one of graders.model.Capability: API,",
        ),
        ('def check_a_b():\n    "A."\n', 3, "is not declared a check", '@check("a-b"'),
        (
            '@check("a", requires=("creats",))\ndef check_a():\n    "A."\n\n'
            '@check("creates")\ndef check_b():\n    "B."\n',
            3,
            "check 'a' requires 'creats', which does not exist",
            "did you mean 'creates'?",
        ),
        (
            '@check("a", requires=("b",))\ndef check_a():\n    "A."\n\n'
            '@check("b", requires=("a",))\ndef check_b():\n    "B."\n',
            3,
            "in a circle: a → b → a",
            "drop one of these requires",
        ),
        (
            '@check("a")\ndef check_a():\n    "A."\n\n@check("a")\ndef check_b():\n    "B."\n',
            7,
            "check 'a' is declared twice",
            "some.py:3",
        ),
        ("\n\nimport no_such_module\n", 5, "ModuleNotFoundError", "mend the module"),
        ("def broken(:\n", 3, "SyntaxError", "mend the module"),
    ],
)
def test_a_mistake_is_refused_with_file_line_and_fix(
    write: Write, source: str, line: int, problem: str, fix: str
) -> None:
    folder = write(source)
    with pytest.raises(CourseError) as caught:
        collect_checks("lab1", folder=folder)
    assert (caught.value.file, caught.value.line) == (str(folder / "some.py"), line)
    assert problem in caught.value.problem
    assert fix in caught.value.fix


def test_a_lab_without_checks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CourseError, match="lab 'lab1' has no checks\n  fix: add a module"):
        collect_checks("lab1", folder=tmp_path)
    with pytest.raises(CourseError, match="there is no folder of checks here\n  fix: create it"):
        collect_checks("lab1", folder=tmp_path / "absent")
