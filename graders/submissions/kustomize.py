"""Kustomizations, rendered by kubectl without network, plugins or files from outside.

kustomize fetches what looks like an address, so before it runs every kustomization that it would read is
read here, and only keys whose meaning is known to stay in the submission are let through. As kubectl
runs it has no PATH (hence no git) and every proxy it could use is a closed port.
"""

import dataclasses
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from graders.documents import Document, DocumentLimits, Location, load_document, read_documents
from graders.documents.wording import printable, quote
from graders.escapes import printed_text
from graders.faults import BadSubmission, InfraFault
from graders.process import run_to_end

NAMES = ("kustomization.yaml", "kustomization.yml", "Kustomization")
"""What kustomize takes for a kustomization, in its order."""

_PLAIN_KEYS = frozenset(
    {
        "apiVersion",
        "kind",
        "metadata",
        "namespace",
        "namePrefix",
        "nameSuffix",
        "labels",
        "commonLabels",
        "commonAnnotations",
        "images",
        "replicas",
        "generatorOptions",
        "sortOptions",
        "buildMetadata",
        "vars",
    }
)
_RESOURCES = ("resources", "bases", "components")
_PATCHES = ("patches", "patchesJson6902", "replacements")
_PATHS = ("configurations", "crds")
_GENERATORS = ("configMapGenerator", "secretGenerator")
_MERGES = "patchesStrategicMerge"
_FILE_KEYS = frozenset({*_RESOURCES, *_PATCHES, *_PATHS, *_GENERATORS, _MERGES})
_MOST_READ = 100
_REMOTE = (":", "github.com", "git@", ".git", "_git", "?")
"""Marks by which kustomize takes a text for an address."""
_TIMEOUT_S = 30.0
_OUTPUT_BYTES = 8 * 1024 * 1024


def find(folder: Path) -> Path | None:
    """The kustomization of `folder` itself, if it has one."""
    return next((folder / name for name in NAMES if (folder / name).is_file()), None)


def sources(root: Path, file: str) -> tuple[str, ...]:
    """The manifest files that the kustomization `file` of the checked copy `root` is made from.

    Raises:
        BadSubmission: it names something outside the submission, or a key that could.
    """
    return tuple(dict.fromkeys(_Reading(root).kustomization(file, ())))


def render(root: Path, file: str, kubectl: Path | None) -> tuple[Document, ...]:
    """Render the kustomization `file` of the checked copy `root`, after the checks of `sources`.

    Raises:
        BadSubmission: as `sources` does, or kustomize refuses it.
        InfraFault: `kubectl` is None, cannot be run or does not end.
    """
    sources(root, file)
    if kubectl is None:
        raise InfraFault(
            f"{quote(file)} needs kubectl to be rendered, and there is none",
            fix="run kubeproof setup, or put kubectl on the PATH",
        )
    rendered = _run(kubectl, (root / file).parent, file)
    limits = DocumentLimits(size_bytes=_OUTPUT_BYTES)
    documents = read_documents(rendered, shown_as=f"{file} (rendered)", limits=limits)
    return tuple(dataclasses.replace(document, file=file) for document in documents)


class _Reading:
    """Everything that kustomize would read for one kustomization, each as often as it would."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()
        self._shown_root = root
        self._read = 0
        self._size_bytes = 0

    def kustomization(self, file: str, above: tuple[str, ...]) -> Iterator[str]:
        """Yield the manifest files below `file`; `above` are the kustomizations that led to it."""
        document = load_document(self._shown_root / file, shown_as=file)
        self._read += 1
        if self._read > _MOST_READ:
            # Bases named twice on every level double on every level.
            raise document.refusal(
                f"over {_MOST_READ} kustomizations are read to render it", fix="name each base once"
            )
        if not isinstance(document.data, dict):
            raise document.refusal("is no kustomization", fix='write a mapping with "resources:"')
        for key in document.data:
            if key not in _PLAIN_KEYS | _FILE_KEYS:
                raise document.refusal(
                    f"the key {quote(key)} of a kustomization is not supported",
                    (key,),
                    fix="remove it, or name under manifests a file of what `kubectl kustomize` makes; "
                    f"supported are {', '.join(sorted(_FILE_KEYS | _PLAIN_KEYS))}",
                )
        for key in _RESOURCES:
            for at, entry in enumerate(_listed(document, key)):
                path = self._local(document, entry, (key, at))
                if not path.is_dir():
                    yield self._shown(path)
                    continue
                inner = find(path)
                if inner is None:
                    fix = f"add {NAMES[0]} to it, or name its files"
                    raise document.refusal(
                        f"the folder {quote(entry)} has no kustomization", (key, at), fix=fix
                    )
                shown = self._shown(inner)
                if shown in (*above, file):
                    raise document.refusal(f"{quote(entry)} leads back to itself", (key, at), fix="remove it")
                yield from self.kustomization(shown, (*above, file))
        for entry, location in _named_files(document):
            self._local(document, entry, location)

    def _local(self, document: Document, entry: Any, location: Location) -> Path:
        """The file or folder `entry` stands for, after the rules about where it may be."""
        if not isinstance(entry, str) or not entry:
            raise document.refusal("a path is expected here", location, fix="write the path of a file")
        remote = any(mark in entry for mark in _REMOTE)
        if remote or entry.startswith("/"):
            raise document.refusal(
                f"{quote(entry)} is not a path inside the submission",
                location,
                fix="copy what it names into the submission; nothing is fetched",
            )
        joined = (self._root / document.file).parent / entry
        path = joined.resolve()
        # kustomize takes ".." out of the text before it follows links; both must lead to the same.
        as_text = Path(os.path.normpath(joined)).resolve()
        if not path.is_relative_to(self._root) or not as_text.is_relative_to(self._root):
            raise document.refusal(
                f"{quote(entry)} leads out of the submission", location, fix="copy it into the submission"
            )
        if as_text != path:
            problem = f"{quote(entry)} goes up again after a link"
            raise document.refusal(problem, location, fix="write the path without the link")
        if not path.exists():
            raise document.refusal(f"{quote(entry)} does not exist", location, fix="correct the path")
        if path.is_file():
            self._size_bytes += path.stat().st_size
            if self._size_bytes > _OUTPUT_BYTES:
                size = f"{_OUTPUT_BYTES // 2**20} MiB"
                raise document.refusal(f"over {size} are read to render it", location, fix="make it smaller")
        return path

    def _shown(self, path: Path) -> str:
        return path.relative_to(self._root).as_posix()


def _listed(document: Document, key: str) -> list[Any]:
    found = document.data.get(key) or []
    if not isinstance(found, list):
        raise document.refusal(
            f"{quote(key)} is not a list", (key,), fix="write one entry per line, with a dash"
        )
    return found


def _named_files(document: Document) -> Iterator[tuple[Any, Location]]:
    """Files that patches, replacements, generators and configurations read."""
    for key in _PATHS:
        for at, entry in enumerate(_listed(document, key)):
            yield entry, (key, at)
    for at, entry in enumerate(_listed(document, _MERGES)):
        if not _is_inline(entry):
            yield entry, (_MERGES, at)
    for key in _PATCHES:
        for at, entry in _mappings(document, key):
            if "path" in entry:
                yield entry["path"], (key, at, "path")
    for key in _GENERATORS:
        for at, entry in _mappings(document, key):
            for field in ("files", "envs", "env"):
                named = entry.get(field) or []
                for index, path in enumerate(named if isinstance(named, list) else [named]):
                    # files: [key=path]
                    plain = path.partition("=")[2] or path if isinstance(path, str) else path
                    yield plain, (key, at, field, index)


def _mappings(document: Document, key: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for at, entry in enumerate(_listed(document, key)):
        if not isinstance(entry, dict):
            raise document.refusal(
                f"{quote(key)} has an entry that is no mapping",
                (key, at),
                fix="write one, as in `- path: patch.yaml`"
                if key in _PATCHES
                else "write one, as in `- name: x`",
            )
        yield at, entry


def _is_inline(entry: Any) -> bool:
    """Whether an entry is a patch itself; kustomize takes it for an address only if it is one line."""
    return isinstance(entry, str) and "\n" in entry.strip() and "://" not in entry.splitlines()[0]


def _run(kubectl: Path, folder: Path, file: str) -> bytes:
    closed = "http://127.0.0.1:1"
    variables = {"HOME": "/nonexistent", "PATH": "/nonexistent", "KUBECONFIG": os.devnull}
    variables |= {"HTTP_PROXY": closed, "HTTPS_PROXY": closed, "ALL_PROXY": closed}
    alone = ["env", "-i", *(f"{k}={v}" for k, v in variables.items())]
    try:
        status, output, said = run_to_end(
            [*alone, kubectl.resolve(), "kustomize", "."], folder=folder, timeout_s=_TIMEOUT_S
        )
    except OSError as cause:
        raise InfraFault(f"{kubectl} cannot be run: {cause.strerror}", fix="run kubeproof setup") from cause
    except subprocess.TimeoutExpired as cause:
        # What is read is bounded above, so a slow machine is the likelier reason.
        raise InfraFault(f"{kubectl} did not render {file} within {_TIMEOUT_S:.0f} s") from cause
    if status not in (0, 1):
        problem = f"{kubectl} ended with status {status} on {file}"
        raise InfraFault(f"{problem}: {printable(printed_text(said), longest=400)}")
    if status:
        lines = printed_text(said).strip().splitlines()
        last = "\n".join(line for line in lines if not line.startswith("# Warning")).removeprefix("error: ")
        raise BadSubmission(
            f"kustomize refuses it: {printable(last, longest=400)}",
            file=file,
            fix="run kubectl kustomize on that folder and mend what it says",
        )
    return output
