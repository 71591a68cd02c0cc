"""Kubernetes manifests out of a submission, each with the file and line it comes from."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graders.documents import Document, Location, load_documents
from graders.documents.wording import file_name, quote
from graders.faults import BadSubmission
from graders.submissions import kustomize
from graders.submissions.leftout import is_ignored

MOST_MANIFESTS = 200
_SUFFIXES = (".yaml", ".yml", ".json")
_FIRST = (
    ("Namespace",),
    ("CustomResourceDefinition",),
    ("PriorityClass", "StorageClass", "RuntimeClass"),
    ("ServiceAccount",),
    ("ClusterRole", "Role", "ClusterRoleBinding", "RoleBinding"),
    ("ConfigMap", "Secret"),
)


@dataclass(frozen=True)
class Manifest:
    """One object to apply; `file` is relative to the submission."""

    data: dict[str, Any]
    file: str
    line: int

    @property
    def kind(self) -> str:
        """Its kind."""
        return str(self.data["kind"])

    @property
    def name(self) -> str:
        """Its metadata.name."""
        return str(self.data["metadata"]["name"])


def load_manifests(root: Path, paths: Sequence[str], *, kubectl: Path | None = None) -> tuple[Manifest, ...]:
    """Read the manifests that `paths` name, in the order in which they are to be applied.

    `root` is a checked copy of a submission, `paths` are files and folders in it. A folder with a
    kustomization of its own is rendered with `kubectl` (offline); from any other every .yaml, .yml and
    .json file is read, subfolders too. Namespaces come first, then CRDs, accounts, RBAC and the rest.

    Raises:
        BadSubmission: a file is no manifest, or the same object is there twice.
        InfraFault: a kustomization is there and `kubectl` is None or cannot be run.
    """
    manifests: list[Manifest] = []
    for path in paths:
        for manifest in _under(root, path, kubectl):
            if len(manifests) == MOST_MANIFESTS:
                raise BadSubmission(
                    f"the submission holds over {MOST_MANIFESTS} manifests",
                    file=manifest.file,
                    line=manifest.line,
                    fix="name only those that are needed",
                )
            manifests.append(manifest)
    if not manifests:
        raise BadSubmission("holds no manifests", file=", ".join(paths), fix="put .yaml files there")
    _refuse_twins(manifests)
    return tuple(sorted(manifests, key=_rank))


def _under(root: Path, path: str, kubectl: Path | None) -> Iterator[Manifest]:
    place = root / path
    if not place.resolve().is_relative_to(root.resolve()):
        raise BadSubmission("leads out of the submission", file=file_name(path), fix="name a folder in it")
    if place.is_dir():
        found = kustomize.find(place)
        if found:
            yield from _rendered(root, found.relative_to(root).as_posix(), kubectl)
            return
        files = sorted(_files(root, place))
        if not files:
            raise BadSubmission("holds no manifests", file=file_name(path), fix="put .yaml files there")
        for file in files:
            yield from _in_file(root, file)
    elif place.name in kustomize.NAMES:
        yield from _rendered(root, path, kubectl)
    else:
        yield from _in_file(root, path)


def _files(root: Path, folder: Path) -> Iterator[str]:
    for entry in folder.iterdir():
        shown = entry.relative_to(root).as_posix()
        if is_ignored(entry.name):
            continue
        if entry.is_dir():
            # A link to a folder is read where it leads to, or not at all.
            if not entry.is_symlink():
                yield from _files(root, entry)
        elif entry.name in kustomize.NAMES:
            raise BadSubmission(
                "is a kustomization in a folder that has none itself",
                file=file_name(shown),
                fix=f"name {quote(_meant(root, folder).relative_to(root).as_posix())} under manifests, "
                "or put a kustomization.yaml at the top",
            )
        elif entry.suffix in _SUFFIXES:
            yield shown


def _meant(root: Path, folder: Path) -> Path:
    """The folder that somebody likely wants rendered: kubebuilder's `default`, where there is one."""
    around = (place / "default" for place in (folder, *folder.parents) if place.is_relative_to(root))
    return next((place for place in around if kustomize.find(place)), folder)


def _in_file(root: Path, file: str) -> Iterator[Manifest]:
    for document in load_documents(root / file, shown_as=file):
        yield from manifests_in(document)


def manifests_in(document: Document) -> Iterator[Manifest]:
    """The manifests of one document, the items of a List one by one.

    Raises:
        BadSubmission: one lacks apiVersion, kind or metadata.name, or is a kubeconfig.
    """
    pending: list[tuple[Any, Location]] = [(document.data, ())]
    while pending:
        data, location = pending.pop()
        _check_kind(document, data, location)
        items = data.get("items")
        if str(data["kind"]).endswith("List") and isinstance(items, list):
            pending.extend((item, (*location, "items", at)) for at, item in reversed(list(enumerate(items))))
            continue
        metadata = data.get("metadata")
        name = metadata.get("name") if isinstance(metadata, dict) else None
        if not isinstance(name, str) or not name:
            where = (*location, "metadata") if "metadata" in data else location
            raise document.refusal(
                f"the {quote(data['kind'])} has no metadata.name",
                where,
                fix="give it a name (no generateName)",
            )
        yield Manifest(data, document.file, document.line(location))


def _check_kind(document: Document, data: Any, location: Location) -> None:
    if not isinstance(data, dict):
        raise document.refusal(
            "is no Kubernetes manifest", location, fix="name only manifests and folders of them"
        )
    if data.get("kind") == "Config" or {"clusters", "users"} <= data.keys():
        raise document.refusal(
            "is a kubeconfig",
            location,
            fix="remove it: the grader says which cluster is used, through KUBECONFIG",
        )
    for key in ("apiVersion", "kind"):
        if not isinstance(data.get(key), str) or not data[key]:
            where = (*location, key) if key in data else location
            raise document.refusal(f"has no {key}", where, fix=f'add "{key}:", or leave this file out')


def _rendered(root: Path, file: str, kubectl: Path | None) -> Iterator[Manifest]:
    """What a kustomization makes, located at the source of the same kind and name where there is one."""
    sources: dict[tuple[str, str], Manifest] = {}
    for source in kustomize.sources(root, file):
        for manifest in _in_file(root, source):
            sources.setdefault((manifest.kind, manifest.name), manifest)
    for document in kustomize.render(root, file, kubectl):
        for manifest in manifests_in(document):
            source_of = sources.get((manifest.kind, manifest.name))
            at = (source_of.file, source_of.line) if source_of else (file, 1)
            yield Manifest(manifest.data, *at)


def _refuse_twins(manifests: Sequence[Manifest]) -> None:
    seen: dict[tuple[str, ...], Manifest] = {}
    for manifest in manifests:
        group = str(manifest.data["apiVersion"]).rpartition("/")[0]
        namespace = str(manifest.data["metadata"].get("namespace", ""))
        twin = seen.setdefault((group, manifest.kind, namespace, manifest.name), manifest)
        if twin is not manifest:
            raise BadSubmission(
                f"{quote(manifest.kind)} {quote(manifest.name)} is there twice "
                f"(first at {twin.file}:{twin.line})",
                file=manifest.file,
                line=manifest.line,
                fix="keep one of the two",
            )


def _rank(manifest: Manifest) -> int:
    return next((rank for rank, kinds in enumerate(_FIRST) if manifest.kind in kinds), len(_FIRST))
