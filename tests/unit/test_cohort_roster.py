"""A roster is read strictly: whoever it names is that person, and every mistake has a line and a fix."""

from __future__ import annotations

from pathlib import Path

import pytest

from graders.cohort.instants import Extension
from graders.cohort.roster import Learner, Roster, load_roster
from graders.faults import UsageError

WHOLE = """\
learner_id,name,email,section,late_days,excused,extension:lab1,extension:lab2,id:canvas
ada,"Lovelace, Ada",ada@example.edu,A,5,lab3 lab2,2026-10-15 12:00,+3d,1815
bob,=HYPERLINK("http://x"),,,,,,+12h,
"""


def read(folder: Path, content: str | bytes) -> Roster:
    path = folder / "roster.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return load_roster(path)


def refused(folder: Path, content: str | bytes) -> str:
    with pytest.raises(UsageError) as error:
        read(folder, content)
    return str(error.value).replace(f"{folder}/", "")


def test_every_column_is_read(tmp_path: Path) -> None:
    ada, bob = read(tmp_path, WHOLE.replace('=HYPERLINK("http://x")', "Bob")).learners
    assert ada == Learner(
        "ada",
        "Lovelace, Ada",
        "ada@example.edu",
        "A",
        {"canvas": "1815"},
        {"lab1": Extension(until="2026-10-15 12:00"), "lab2": Extension(days=3)},
        5,
        frozenset({"lab2", "lab3"}),
    )
    assert bob == Learner("bob", "Bob", extensions={"lab2": Extension(hours=12)})


@pytest.mark.parametrize(
    "content",
    [
        "\ufefflearner_id,name\r\nada,Ada\r\n",
        "learner_id;name\nada;Ada\n",
        "learner_id\tname\nada\tAda\n",
        "\nlearner_id;name\n\n ada ; Ada \n;\n",
        'learner_id,name\nada,"\n\u00a0Ada\t"\n',
    ],
    ids=["mark-and-crlf", "semicolons", "tabs", "blanks", "breaks"],
)
def test_what_spreadsheets_make_of_a_csv_is_the_same(tmp_path: Path, content: str) -> None:
    assert read(tmp_path, content).learners == (Learner("ada", "Ada"),)


def test_learners_are_found_in_any_case(tmp_path: Path) -> None:
    roster = read(tmp_path, "learner_id\nAda\n")
    assert roster.find("aDA") == Learner("Ada")
    assert roster.find("eve") is None


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("name,email\nAda,\n", 'roster.csv:1: the column "learner_id" is missing'),
        ("Learner Id,name\nada,\n", 'roster.csv:1: there is no column "Learner Id"'),
        ("Learner Id,name\nada,\n", 'fix: did you mean "learner_id"?'),
        ("learner_id,,name\nada,,\n", "roster.csv:1: column 2 has no name"),
        ("learner_id,name,name\nada,,\n", 'roster.csv:1: the column "name" is there twice'),
        ("", "roster.csv:1: the roster is empty"),
        ("learner_id\n", "roster.csv:2: the roster names nobody"),
        ("learner_id,name\nada,Ada\n\nada,Eve\n", 'roster.csv:4: learner_id "ada" is in line 2 already'),
        ("learner_id,name\nada,Ada\nADA,Eve\n", 'roster.csv:3: learner_id "ADA" is in line 2 already'),
        ("learner_id,email\nada,a@b.c\neve,A@b.c\n", 'roster.csv:3: email "A@b.c" is in line 2 already'),
        ("learner_id,id:canvas\nada,7\neve,7\n", 'roster.csv:3: id:canvas "7" is in line 2 already'),
        ('learner_id,name\nada,"x\ny"\n,Eve\n', "roster.csv:4: the learner_id is empty"),
        ("learner_id\n=cmd|'/C calc'!A0\n", "roster.csv:2: \"=cmd|'/C calc'!A0\" is no learner_id"),
        ("learner_id,name\nada\n", "roster.csv:2: this line has 1 cells, where the header has 2"),
        ("learner_id,name\nada,Love,lace\n", 'fix: put quotes around a cell that holds ","'),
        ('learner_id,name\nada,"Ada\neve,Eve\n', "roster.csv:2: this is no CSV"),
        ("learner_id,email\nada,ada\n", 'roster.csv:2: "ada" is no e-mail address'),
        ("learner_id,late_days\nada,-1\n", 'roster.csv:2: late_days is "-1"'),
        ("learner_id,late_days\nada,1.5\n", "fix: write a whole number"),
        ("learner_id,excused\nada,Lab1\n", 'roster.csv:2: "Lab1" is no lab'),
        ("learner_id,extension:lab1\nada,2026-02-30\n", "roster.csv:2: extension:lab1"),
        ("learner_id,extension:lab1\nada,15.10.2026\n", "is no date\n  fix: write a date, such as"),
        ("learner_id,extension:lab1\nada,+0d\n", '"+0d" is no extension'),
        ("learner_id,name\nada,A\u202edа\n", "roster.csv:2: the roster holds the character U+202E"),
        ("learner_id,name\nada,\x00\n", "roster.csv:2: the roster holds the character U+0000"),
        (b"learner_id,name\nada,Zo\xeb\n", "roster.csv:2: the roster is not UTF-8\n  fix: save it"),
        ("learner_id\nada\n".encode("utf-16"), "roster.csv:1: the roster is UTF-16"),
        (b"PK\x03\x04", "roster.csv:1: the roster is a workbook"),
        ("x" * (8 * 1024 * 1024 + 1), "the roster is larger than 8 MiB"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_line_and_fix(tmp_path: Path, content: str | bytes, told: str) -> None:
    said = refused(tmp_path, content)
    assert told in said
    assert "fix: " in said


def test_a_roster_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no such roster"):
        load_roster(tmp_path / "roster.csv")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("learner_id,excused\nada,lab1\nbob,yes\n", 'roster.csv:3: there is no lab "yes"'),
        ("learner_id,extension:lab7\nada,2026-10-10\n", 'roster.csv:2: there is no lab "lab7"'),
    ],
)
def test_what_is_granted_for_a_lab_that_is_not_there_is_refused(
    tmp_path: Path, content: str, told: str
) -> None:
    file = tmp_path / "roster.csv"
    file.write_text(content)
    with pytest.raises(UsageError) as error:
        load_roster(file, labs=("lab1", "lab2"))
    assert str(error.value).replace(f"{tmp_path}/", "") == f"{told}\n  fix: there are: lab1, lab2"
