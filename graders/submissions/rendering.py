"""Charts and kustomizations of a learner's, rendered by Helm and kustomize themselves, without network."""

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from graders.boundedprograms import OUT_OF_MEMORY, bounded
from graders.documents import DocumentLimits, read_documents
from graders.faults import BadSubmission
from graders.process import run_to_end
from graders.submissions.kustomize import find

_TIMEOUT_S = 60.0
_MOST_BYTES = 8 * 1024 * 1024
MOST_MEMORY_MIB = 1024
"""A few lines of YAML can ask for all that a machine has."""
_LIMITS = DocumentLimits(size_bytes=_MOST_BYTES, nodes=400_000, plain_keys=True)
_CLOSED = "http://127.0.0.1:1"
_MOST_SAID = 4000
"""kustomize names every folder on its way, and what is wrong last."""
_MISSING = re.compile(r"missing (in charts/|these dependencies)")
"""Is in what Helm says of a chart whose dependencies it has not."""


@dataclass(frozen=True)
class Renderer:
    """The programs that render."""

    kustomize: Path
    helm: Path | None
    """None where the submission has no chart."""


@dataclass(frozen=True)
class Rendered:
    """The bytes that came out, and the objects in them; or what was said against it."""

    sha256: str = ""
    objects: tuple[Mapping[str, Any], ...] = ()
    error: str = ""
    excessive: bool = False
    """Whether it took more memory, time or room than it may: nobody else should render it either."""


def render(renderer: Renderer, root: Path, path: str) -> Rendered:
    """Render a folder: a chart with Helm, a kustomization with kustomize, else its plain files.

    Of a chart that is only there for others nothing comes out.
    """
    if renderer.helm is not None and (root / path / "Chart.yaml").is_file():
        if _is_library(root / path / "Chart.yaml"):
            return Rendered()
        return _with_helm(renderer.helm, root, path, "template", "web", ".", "--namespace", "web")
    return _clean(_rendered(renderer, root / path), root)


def lint(renderer: Renderer, root: Path, path: str) -> str:
    """What `helm lint` says against a folder; empty where it passes, or is no chart."""
    if renderer.helm is None or not (root / path / "Chart.yaml").is_file():
        return ""
    return _with_helm(renderer.helm, root, path, "lint", "--quiet", ".").error


def _with_helm(helm: Path, root: Path, path: str, *arguments: str) -> Rendered:
    """What Helm makes of a chart; charts of the repository that it lacks come as Argo CD brings them."""
    reading = arguments[0] == "template"
    out = _run([helm, *arguments], root / path, reading=reading)
    if not _MISSING.search(out.error):
        return _clean(out, root)
    with TemporaryDirectory() as place:
        copy = Path(place) / "repository"
        shutil.copytree(root, copy, ignore=shutil.ignore_patterns(".git"))
        built = _run([helm, "dependency", "build", "."], copy / path, reading=False)
        return _clean(built if built.error else _run([helm, *arguments], copy / path, reading=reading), copy)


def _clean(out: Rendered, root: Path) -> Rendered:
    """The same without where the repository is on this machine, which helps nobody."""
    return replace(out, error=out.error.replace(f"{root}/", ""))


def _is_library(chart: Path) -> bool:
    try:
        written = yaml.safe_load(chart.read_bytes())
    except (yaml.YAMLError, ValueError, RecursionError):
        return False
    return isinstance(written, dict) and written.get("type") == "library"


def _rendered(renderer: Renderer, folder: Path) -> Rendered:
    if find(folder) is not None:
        return _run([renderer.kustomize, "build", "."], folder)
    files = sorted(folder.glob("*.y*ml"))
    return (
        _read(b"\n---\n".join(file.read_bytes() for file in files)) if files else Rendered(error="is empty")
    )


def _run(command: list[str | Path], folder: Path, *, reading: bool = True) -> Rendered:
    home = folder.parent
    environment = {
        "PATH": "/usr/bin:/bin", "HOME": str(home / ".home"), "HTTP_PROXY": _CLOSED, "HTTPS_PROXY": _CLOSED,
        "GIT_TERMINAL_PROMPT": "0", "GIT_ALLOW_PROTOCOL": "none", "KUBECONFIG": os.devnull,
    }  # fmt: skip
    try:
        status, printed, said = run_to_end(
            [*bounded(MOST_MEMORY_MIB), *command],
            environment=environment,
            folder=folder,
            timeout_s=_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        return Rendered(error=f"it was not rendered within {_TIMEOUT_S:.0f} s", excessive=True)
    if status:
        text = (said or printed).decode("utf-8", "replace").strip()
        if any(words in text for words in OUT_OF_MEMORY):
            most = f"it takes more than {MOST_MEMORY_MIB} MiB of memory to render"
            return Rendered(error=most, excessive=True)
        return Rendered(error=text[:_MOST_SAID] or f"exit status {status}")
    return _read(printed) if reading else Rendered()


def _read(printed: bytes) -> Rendered:
    if len(printed) > _MOST_BYTES:
        return Rendered(error=f"it is larger than {_MOST_BYTES} bytes", excessive=True)
    try:
        documents = read_documents(printed, shown_as="what comes out", limits=_LIMITS)
    except BadSubmission as error:
        return Rendered(error=f"what comes out, in line {error.line}, {error.problem}"[:400])
    read = [each.data for each in documents if each.data is not None]
    if problem := next(filter(None, map(_no_object, read)), ""):
        return Rendered(error=problem)
    return Rendered(hashlib.sha256(printed).hexdigest(), tuple(read))


def _no_object(item: Any) -> str:
    """Why what came out cannot be an object; empty where it can."""
    if not isinstance(item, dict) or not isinstance(item.get("metadata"), dict) or "kind" not in item:
        return f"what comes out is no object: {str(item)[:200]}"
    kind, name = str(item["kind"])[:100], item["metadata"].get("name")
    if not name:
        return f"a {kind} without a name comes out"
    if not isinstance(name, str):
        return f"a {kind} comes out whose name {str(name)[:100]} is no text"
    return (
        "" if isinstance(item.get("spec") or {}, dict) else f"the spec of {kind} {name[:100]} is no mapping"
    )
