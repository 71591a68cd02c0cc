"""The sample jobs that are handed in, for the API server to say whether they are any."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graders.documents import load_documents
from graders.faults import BadSubmission
from graders.lab1.api import KIND
from graders.submissions.kustomize import NAMES

FOLDER = "samples"
MOST = 20
"""So many samples are tried; more show nothing else."""


@dataclass(frozen=True)
class Sample:
    """One `MLTrainingJob`, and the file of the submission and the line it stands at."""

    data: dict[str, Any]
    file: str
    line: int


@dataclass(frozen=True)
class Samples:
    """What is in samples/; `problem` says why a file could not be read."""

    jobs: tuple[Sample, ...] = ()
    problem: str = ""


def read_samples(root: Path) -> Samples:
    """The first jobs in the YAML files right in samples/ of a checked copy of a submission."""
    found: list[Sample] = []
    try:
        for file in _files(root / FOLDER):
            for document in load_documents(root / file, shown_as=file):
                data = document.data
                if isinstance(data, dict) and data.get("kind") == KIND:
                    found.append(Sample(data, document.file, document.line(())))
    except BadSubmission as error:
        return Samples(tuple(found[:MOST]), str(error))
    return Samples(tuple(found[:MOST]))


def _files(folder: Path) -> Iterator[str]:
    if folder.is_dir():
        for path in sorted(folder.iterdir()):
            if path.suffix in (".yaml", ".yml") and path.is_file() and path.name not in NAMES:
                yield f"{FOLDER}/{path.name}"
