"""Kustomizations of a repository that engines render: they may do anything but read from elsewhere."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from graders.documents import Location, load_document

_READS = (
    "resources",
    "bases",
    "components",
    "crds",
    "generators",
    "transformers",
    "validators",
    "configurations",
)
_GENERATES = ("configMapGenerator", "secretGenerator")
_REMOTE = re.compile(
    r"^[a-zA-Z][a-zA-Z0-9+.-]*:|^git@|^(github|gitlab|bitbucket)\.(com|org)/|[?]ref=|\.git(/|$)"
)
_FETCHED = re.compile(r"(^|=)[a-zA-Z][a-zA-Z0-9+.-]*://")
_INFLATES = ("helmCharts", "helmChartInflationGenerator")


def check_kustomization(path: Path, shown: str) -> None:
    """See that a kustomization, whatever else it has, reads nothing from elsewhere.

    Raises:
        BadSubmission: it does, or inflates a chart; says file and line.
    """
    document = load_document(path, shown_as=shown)
    if not isinstance(document.data, dict):
        return
    for location, entry in _read_by(document.data):
        if _REMOTE.search(entry) if location[0] in _READS else _FETCHED.search(entry):
            raise document.refusal(
                f"{entry[:100]!r} is read from elsewhere, and there is no network",
                location,
                fix="copy it into the submission, and name it by its path",
            )
    for key in _INFLATES:
        if document.data.get(key):
            raise document.refusal(
                f"{key} is not done here: no engine here runs kustomize with charts",
                (key,),
                fix="write down what the chart renders to, or with Argo CD make the environment a chart",
            )


def _read_by(kustomization: dict[str, Any]) -> Iterator[tuple[Location, str]]:
    """What a kustomization reads that may be an address, and where it says so."""
    for key in _READS:
        for at, entry in enumerate(_listed(kustomization.get(key))):
            if isinstance(entry, str) and "\n" not in entry:
                yield (key, at), entry
    for at, patch in enumerate(_listed(kustomization.get("patches"))):
        if isinstance(patch, dict) and isinstance(patch.get("path"), str):
            yield ("patches", at, "path"), patch["path"]
    for key in _GENERATES:
        for at, made in enumerate(_listed(kustomization.get(key))):
            for nth, file in enumerate(_listed(made.get("files")) if isinstance(made, dict) else ()):
                if isinstance(file, str):
                    yield (key, at, "files", nth), file


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
