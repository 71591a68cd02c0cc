"""Manifests of a hand-in that the grader itself applies, each with where it stands."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from graders.documents import Document, Location, load_documents
from graders.faults import BadSubmission, LocatedError
from graders.submissions.kustomize import NAMES

Misfit = tuple[str, Location, str]
"""What is wrong, where it stands, and what to do."""


def documents_in(root: Path, folder: str) -> Iterator[Document]:
    """The documents of a folder, in the order of their files; a kustomization is none of them."""
    for path in sorted((root / folder).glob("*.y*ml")):
        if path.name not in NAMES:
            yield from load_documents(path, shown_as=path.relative_to(root).as_posix())


def misshapen(item: Mapping[str, Any]) -> Misfit | None:
    """What every object has to have, before anybody can say what it is for."""
    metadata = item.get("metadata")
    if not isinstance(metadata, Mapping) or not isinstance(metadata.get("name"), str):
        return "it has no name", ("metadata",), "write metadata: {name: …}, the name as text"
    if not isinstance(item.get("spec") or {}, Mapping):
        return "its spec is no mapping", ("spec",), "write the fields of the spec below it"
    return None


def written(root: Path, folder: str, item: Mapping[str, Any]) -> Iterator[Document]:
    """The documents of a folder that are of an object's kind and name, as the object is or part of it."""
    for document in documents_in(root, folder):
        data = document.data
        if isinstance(data, dict) and not misshapen(data) and _named(data) == _named(item):
            yield document


def refused(root: Path, folder: str, item: Mapping[str, Any], who: str, message: str) -> LocatedError:
    """What to raise when an API server takes no object of a folder, with the place of that object."""
    kind, name = _named(item)
    problem = f"{who} refuses {kind} {name}: {message}"
    for document in written(root, folder, item):
        return document.refusal(problem, ("metadata",), fix="mend what it says")
    return BadSubmission(problem, file=folder, fix="mend what it says")


def _named(item: Mapping[str, Any]) -> tuple[Any, Any]:
    return item.get("kind"), (item.get("metadata") or {}).get("name")
