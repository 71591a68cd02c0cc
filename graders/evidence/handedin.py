"""What was handed in, file by file, as the record has it: judging sees no folder."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel

from graders.documents import Document, parse, read_documents
from graders.evidence.bundle import Bundle
from graders.faults import LocatedError, Unmet
from graders.kube.nesting import read_json, shallow

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class HandedInFile:
    """One file of the hand-in: `text` is what it holds, None where it is no text or nothing judges it.

    It is at `path` below submission.yaml and has `size_bytes`; `sha256` is in hexadecimal.
    """

    FILE: ClassVar[str] = "handedin.jsonl"

    t: float
    path: str
    size_bytes: int
    sha256: str
    text: str | None = None


@contextmanager
def unmet(expected: str) -> Iterator[None]:
    """A file that cannot be read as it should is what the learner's criterion fails for.

    Raises:
        Unmet: with file, line and fix of the `LocatedError` that the block raised.
    """
    try:
        yield
    except LocatedError as error:
        where = f"{error.file}:{error.line}" if error.line is not None else error.file
        raise Unmet(expected, f"{where}: {error.problem}", hint=error.fix) from error


class HandedInFiles:
    """The files of one hand-in, of those that were put on record."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle

    @cached_property
    def files(self) -> dict[str, HandedInFile]:
        """All files by their paths."""
        return {each.path: each for each in self.bundle.records(HandedInFile)}

    def below(self, folder: str) -> list[str]:
        """The paths of the files in a folder."""
        return sorted(path for path in self.files if path.startswith(f"{folder.strip('/')}/"))

    def text(self, path: str) -> str:
        """What a file holds.

        Raises:
            Unmet: it is not there, or is no text.
        """
        file = self.files.get(path)
        if file is None:
            raise Unmet(f"a file {path}", "there is none", hint=f"Add {path} to the submission.")
        if file.text is None:
            raise Unmet(
                f"text in {path}",
                f"{path} is not UTF-8 text, or is not where such files belong",
                hint="Save it as UTF-8 text, in the folder that the lab text names.",
            )
        return file.text

    def sha256(self, path: str) -> str:
        """The digest of a file in hexadecimal; empty where it is not there."""
        file = self.files.get(path)
        return file.sha256 if file is not None else ""

    def document(self, path: str) -> Document:
        """The one YAML or JSON document of a file.

        Raises:
            Unmet: there is none. LocatedError: it is not one strict document.
        """
        return only_document(self.text(path), path)

    def read(self, path: str, model: type[Model]) -> Model:
        """A file as `model` has it; raises as `document`."""
        return parse(self.document(path), model)

    def json(self, path: str) -> Any:
        """The JSON value of a file, however large; null stands for what is nested too deep.

        Raises:
            Unmet: there is none, or it is not JSON.
        """
        try:
            return shallow(read_json(self.text(path).encode()))
        except ValueError as error:
            line = error.lineno if isinstance(error, json.JSONDecodeError) else 1
            raise Unmet(
                f"JSON in {path}", f"{path}:{line}: {error}", hint="Hand in the file as the tool wrote it."
            ) from error


def only_document(text: str, path: str) -> Document:
    """The one document of a text.

    Raises:
        LocatedError: there is none, or more than one, or it is not strict YAML.
    """
    found = read_documents(text.encode(), shown_as=path)
    if len(found) != 1:
        empty = Document(None, {}, path)
        raise empty.refusal(f"holds {len(found)} documents", fix="keep exactly one document in this file")
    return found[0]
