"""Strict YAML: what is read, what is refused, and what the person who wrote it is told."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field

from graders.documents import (
    DocumentLimits,
    Strict,
    load_document,
    load_documents,
    misfit,
    parse,
    read_documents,
)
from graders.faults import BadSubmission, CourseError, LocatedError


def read(text: str | bytes, **limits: int) -> object:
    raw = text.encode() if isinstance(text, str) else text
    (document,) = read_documents(raw, shown_as="lab.yaml", limits=DocumentLimits(**limits))
    return document.data


def refused(text: str | bytes, **limits: int) -> str:
    with pytest.raises(BadSubmission) as caught:
        read(text, **limits)
    return str(caught.value)


class TestPlainData:
    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("a: 1", {"a": 1}),
            ("a: -1_000", {"a": -1000}),
            ("a: 0644", {"a": 0o644}),
            ("a: 0x1F", {"a": 31}),
            ("a: 1.5", {"a": 1.5}),
            ("a: 1e3", {"a": 1000.0}),
            ("a: yes", {"a": True}),
            ("a: Off", {"a": False}),
            ("a: ~", {"a": None}),
            ("a:", {"a": None}),
            ("a: '1'", {"a": "1"}),
            ("a: !!str 1", {"a": "1"}),
            ("a: 22:22", {"a": "22:22"}),
            ("a: 2024-01-01", {"a": "2024-01-01"}),
            ("a: |\n  x\n  y\n", {"a": "x\ny\n"}),
            ("[1, [2, {b: c}]]", [1, [2, {"b": "c"}]]),
            ('{"a":\t[true, null]}', {"a": [True, None]}),
            ("\ufeffa: ü😀", {"a": "ü😀"}),
        ],
    )
    def test_reads(self, text: str, value: object) -> None:
        data = read(text)
        assert data == value
        assert repr(data) == repr(value)

    def test_aliases_become_copies(self) -> None:
        data = read("a: &x {n: [1]}\nb: *x\n")
        assert data == {"a": {"n": [1]}, "b": {"n": [1]}}
        assert isinstance(data, dict)
        assert data["a"]["n"] is not data["b"]["n"]

    def test_merge_keys_give_way_to_the_mapping_s_own(self) -> None:
        assert read("base: &b {x: 1, y: 2}\nover:\n  <<: *b\n  y: 3\n") == {
            "base": {"x": 1, "y": 2},
            "over": {"x": 1, "y": 3},
        }

    def test_a_stream_leaves_out_empty_documents(self) -> None:
        found = read_documents(b"---\n---\na: 1\n---\n# nothing\n---\nb: 2\n", shown_as="x.yaml")
        assert [document.data for document in found] == [{"a": 1}, {"b": 2}]
        assert [document.line(("a",)) for document in found] == [3, 7]


def test_every_value_has_the_line_its_key_or_item_stands_on() -> None:
    (document,) = read_documents(b"a:\n  b:\n    - 1\n    - c: 2\n", shown_as="x.yaml")
    assert document.line(("a",)) == 1
    assert document.line(("a", "b")) == 2
    assert document.line(("a", "b", 1)) == 4
    assert document.line(("a", "b", 1, "c")) == 4
    assert document.line(("a", "b", 1, "nowhere", "deeper")) == 4


class TestRefusals:
    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("a: 1\nb: 2\na: 3\n", 'lab.yaml:3: the key "a" is there twice (first on line 1)'),
            ("a: 1\n2: b\n", "lab.yaml:2: the key '2' is not text but a number"),
            ("on: push\n", 'write it in quotes: "on"'),
            ("? [a]\n: b\n", "lab.yaml:1: a key is not plain text"),
            ("a: !!python/object/apply:os.system [id]\n", "has the tag"),
            ("a: !secret b\n", 'has the tag "!secret"'),
            ("a: !!binary aGk=\n", "has the tag"),
            ("a: !!int x\n", '"x" is tagged int and is none'),
            ("a: .inf\n", "is not a finite number"),
            ("a: 1e999\n", "is not a finite number"),
            ("a: 99999999999999999999999\n", "needs more than 64 bits"),
            ("a: " + "9" * 10_000, "needs more than 64 bits"),
            ('a: "x\\0y"\n', "control character U+0000"),
            ('a: "\\e[31m"\n', "control character U+001B"),
            ("a: *b\n", "the alias *b has no anchor before it"),
            ("a: &a [*a]\n", "lab.yaml:1: the alias *a contains itself"),
            ("<<: 3\n", "merges something that is not a mapping"),
            ("a: &a {b: 1}\nc:\n  <<: *a\n  <<: *a\n", 'lab.yaml:4: a second "<<"'),
            ("a: [1\nb: 2\n", "lab.yaml:2: is not valid YAML"),
            ("a:\n\t- b\n", "lab.yaml:2: is not valid YAML"),
            ("a: b: c\n", "lab.yaml:1: is not valid YAML"),
        ],
    )
    def test_with_line_and_fix(self, text: str, says: str) -> None:
        message = refused(text)
        assert says in message
        assert "\n  fix: " in message

    def test_bytes_that_are_no_text(self) -> None:
        assert "lab.yaml:2: is not UTF-8 text" in refused(b"a: 1\nb: \xff\n")
        assert "lab.yaml:2: holds the control character U+0000" in refused(b"a: 1\nb: \0\n")
        assert "is not UTF-8 text" in refused("a: 1".encode("utf-16"))

    def test_what_grows_past_a_limit(self) -> None:
        assert "over 3 levels deep" in refused("[[[[1]]]]", depth=3)
        assert "over 64 levels deep" in refused("[" * 100_000)
        assert "grows past 5 values" in refused("[1, 2, 3, 4, 5, 6]", nodes=5)
        assert "has over 2 aliases" in refused("[&a 1, *a, *a, *a]", aliases=2)
        assert "levels deep" in refused("a: &a [[[1]]]\nb: [[*a]]\n", depth=5)
        with pytest.raises(BadSubmission, match="holds over 1 documents"):
            read_documents(b"a: 1\n---\nb: 2\n", shown_as="x", limits=DocumentLimits(documents=1))

    def test_a_message_obeys_no_escape_sequence_of_a_name(self, tmp_path: Path) -> None:
        with pytest.raises(BadSubmission) as caught:
            load_document(tmp_path / "\x1b[31mred.yaml")
        assert "\x1b" not in str(caught.value)
        assert "\\x1b[31mred.yaml" in str(caught.value)


class TestFiles:
    def test_the_caller_says_how_the_file_is_called_and_whose_fault_it_is(self, tmp_path: Path) -> None:
        (tmp_path / "r.yaml").write_text("a: 1\na: 2\n")
        with pytest.raises(CourseError, match=r"^rubrics/lab1\.yaml:2: "):
            load_document(tmp_path / "r.yaml", shown_as="rubrics/lab1.yaml", error=CourseError)

    def test_refusals(self, tmp_path: Path) -> None:
        empty, two, large = tmp_path / "empty", tmp_path / "two", tmp_path / "large"
        empty.write_text("# nothing\n")
        two.write_text("a: 1\n---\nb: 2\n")
        large.write_text("a: " + "x" * 2000)
        os.mkfifo(tmp_path / "pipe")
        for name, says in {
            "none": "there is no such file",
            "empty": "is empty",
            "two": "3: a second document begins here",
            "pipe": "is not a regular file",
            ".": "is not a regular file",
        }.items():
            with pytest.raises(BadSubmission) as caught:
                load_document(tmp_path / name, shown_as=name)
            assert says in str(caught.value)
            assert caught.value.fix
        with pytest.raises(BadSubmission, match="is larger than 1 KiB"):
            load_document(large, limits=DocumentLimits(size_bytes=1024))
        assert load_document(large, limits=DocumentLimits(size_bytes=2003)).data == {"a": "x" * 2000}

    def test_a_stream_may_be_empty(self, tmp_path: Path) -> None:
        (tmp_path / "m.yaml").write_text("")
        assert load_documents(tmp_path / "m.yaml") == ()


class Port(Strict):
    port: Annotated[int, Field(ge=1024)]


class Config(Strict):
    language: Literal["python", "go"]
    command: list[str] = Field(default_factory=list)
    metrics: Port | None = None
    flag: bool = False
    service_account: str = Field(default="x", alias="serviceAccount")


class TestParse:
    def faults(self, text: str, error: type[LocatedError] = BadSubmission) -> LocatedError:
        (document,) = read_documents(text.encode(), shown_as="submission.yaml", error=error)
        with pytest.raises(error) as caught:
            parse(document, Config)
        assert caught.value.fix
        return caught.value

    def test_a_fitting_document(self) -> None:
        (document,) = read_documents(b"language: go\nmetrics: {port: 8080}\n", shown_as="x")
        parsed = parse(document, Config)
        assert parsed.language == "go"
        assert parsed.metrics == Port(port=8080)

    @pytest.mark.parametrize(
        ("text", "says", "fix"),
        [
            ("language: go\nflagg: true\n", 'submission.yaml:2: unknown key "flagg"', 'did you mean "flag"?'),
            ("language: go\nzzz: 1\n", 'unknown key "zzz"', "known are language, command"),
            ("language: go\nserviceAcount: x\n", "serviceAcount", 'did you mean "serviceAccount"?'),
            ("language: go\nmetrics:\n  prot: 1\n", ':3: unknown key "prot" in metrics', 'mean "port"?'),
            ("command: []\n", 'the key "language" is missing', 'add "language:"'),
            ("metrics: {}\nlanguage: go\n", 'the key "port" is missing in metrics', 'add "port:"'),
            ("language: rust\n", "language is \"rust\", where 'python' or 'go' is expected", "write"),
            ("language: go\ncommand:\n - a\n - 8080\n", ":4: command[1] is 8080, where text", "quotes"),
            ("language: go\ncommand: a b\n", 'command is "a b", where a list is expected', "write a list"),
            ("language: go\nmetrics: 3\n", "metrics is 3, where a mapping is expected", "mapping"),
            ("language: go\nflag: 'true'\n", 'flag is "true", where true or false', "true or false"),
            ("language: go\nmetrics: {port: '9000'}\n", 'metrics.port is "9000"', "a whole number"),
            ("language: go\nmetrics: {port: 80}\n", "metrics.port is 80: input should be greater", "correct"),
            ("[1]\n", "the document is a list, where a mapping is expected", "write a mapping"),
        ],
    )
    def test_a_fault_has_its_line_and_fix(self, text: str, says: str, fix: str) -> None:
        fault = self.faults(text)
        assert says in str(fault)
        assert fix in fault.fix

    def test_a_misspelt_key_is_told_once(self) -> None:
        assert "missing" not in str(self.faults("langauge: go\n"))

    def test_up_to_five_faults_are_told_in_the_order_of_lines(self) -> None:
        message = str(self.faults("b: 1\nc: 1\nlanguage: 5\nd: 1\ne: 1\nf: 1\ng: 1\n"))
        told = [line.split(":")[1] for line in message.splitlines() if line.startswith("submission.yaml")]
        assert told == ["1", "2", "3", "4", "5"]
        assert "and 2 more" in message

    def test_the_document_says_whose_fault_it_is(self) -> None:
        self.faults("nothing: 1\n", error=CourseError)

    def test_a_validator_gives_its_own_fix(self) -> None:
        error = misfit("is odd", "make it even")
        assert error.message() == "is odd"
        assert error.context == {"problem": "is odd", "fix": "make it even"}
