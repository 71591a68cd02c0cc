"""What was handed in, as the record has it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any, TypeVar

from pydantic import BaseModel

from graders.documents import Document, parse, read_documents
from graders.evidence.bundle import Bundle
from graders.faults import LocatedError, Unmet
from graders.kube.nesting import read_json, shallow
from graders.lab3.handin import Lab3Manifest, manifest_from
from graders.lab3.records import ExecutedNotebook, HandedInFile

Model = TypeVar("Model", bound=BaseModel)


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


class Papers:
    """The files of one hand-in."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle

    @cached_property
    def manifest(self) -> Lab3Manifest:
        """What submission.yaml says."""
        return manifest_from(self._bundle.manifest.block)

    @cached_property
    def files(self) -> dict[str, HandedInFile]:
        """All files by their paths."""
        return {each.path: each for each in self._bundle.records(HandedInFile)}

    @property
    def executed(self) -> ExecutedNotebook | None:
        """The report that is a notebook, as it was executed."""
        return next(iter(self._bundle.records(ExecutedNotebook)), None)

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
                hint="Save it as UTF-8 text; journals and drills belong into evidence/.",
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
