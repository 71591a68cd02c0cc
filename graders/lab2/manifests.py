"""Manifests of a hand-in that the grader itself applies: those of the hub, and the rights on the spokes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from graders.admission.engines import POLICY_ENGINES
from graders.admission.kinds import kind_of
from graders.documents import Document, load_documents
from graders.documents.document import Location
from graders.faults import BadSubmission, LocatedError
from graders.lab2.hubtargets import Elsewhere, elsewhere
from graders.lab2.names import ENGINE, ENVIRONMENTS
from graders.services.gitsource import UnsupportedSource, read_source

HUB_FOLDER, ACCESS_FOLDER, SETTINGS = "hub", "access", "settings.yaml"
_KUSTOMIZATIONS = ("kustomization.yaml", "kustomization.yml", "Kustomization")
_RBAC = "rbac.authorization.k8s.io/"
SETTINGS_FILE = f"{HUB_FOLDER}/{SETTINGS}"
_ENGINES = {
    "argocd": (
        (("argoproj.io/", "AppProject"), ("argoproj.io/", "Application"), ("argoproj.io/", "ApplicationSet")),
        "argocd",
    ),
    "flux": (
        (("source.toolkit.fluxcd.io/", "GitRepository"), ("kustomize.toolkit.fluxcd.io/", "Kustomization")),
        "flux-system",
    ),
}
"""What may be in hub/, by group and kind, and the namespace it belongs to."""
CUSTOMIZATIONS = "resource.customizations"


def engine_namespace(engine: str) -> str:
    """Where the objects of an engine go."""
    return _ENGINES[engine][1]


def hub_kustomization(root: Path) -> Path | None:
    """The folder to render the hub from, where it has a kustomization."""
    folder = root / HUB_FOLDER
    return folder if any((folder / name).is_file() for name in _KUSTOMIZATIONS) else None


def hub_objects(root: Path, engine: str) -> list[dict[str, Any]]:
    """The plain objects of hub/, in the order of their files.

    Raises:
        BadSubmission: there are none, or one is not the engine's; says file and line.
    """
    found = []
    for document in _documents(root, HUB_FOLDER):
        if document.file == f"{HUB_FOLDER}/{SETTINGS}":
            continue
        check_hub_object(document.data, engine, document)
        found.append(document.data)
    if not found:
        raise BadSubmission(
            "there is nothing for the engine here", file=HUB_FOLDER,
            fix="put the Applications or Kustomizations there that deploy the fleet",
        )  # fmt: skip
    return found


def check_hub_object(data: Any, engine: str, document: Document | None = None) -> None:
    """See that an object of the hub is one of the engine's kinds, in its namespace.

    Raises:
        BadSubmission: it is not.
    """
    kinds, namespace = _ENGINES[engine]
    item = data if isinstance(data, Mapping) else {}
    version, kind = str(item.get("apiVersion", "")), str(item.get("kind", ""))
    if not any(version.startswith(group) and kind == each for group, each in kinds):
        at: Location = ("apiVersion",)
        problem = f"{version or 'this'} {kind} is no object of {engine}"
        fix = f"hub/ holds {' and '.join(each for _, each in kinds)} alone; all else comes through the engine"
    elif misshapen := _misshapen(item):
        problem, at, fix = misshapen
    elif (where := item["metadata"].get("namespace", namespace)) != namespace:
        problem, at = f"it belongs into the namespace {namespace}, not {where!r}", ("metadata", "namespace")
        fix = f"write namespace: {namespace}, or leave it out"
    elif misfit := _misfit(kind, item.get("spec") or {}) or elsewhere(item):
        problem, at, fix = misfit
    else:
        return
    if document is None:
        raise BadSubmission(f"{problem} (rendered)", file=HUB_FOLDER, fix=fix)
    raise document.refusal(problem, at if at in document.lines else (), fix=fix)


def _misshapen(item: Mapping[str, Any]) -> Elsewhere | None:
    """What every object has to have, before anybody can say what it is for."""
    metadata = item.get("metadata")
    if not isinstance(metadata, Mapping) or not isinstance(metadata.get("name"), str):
        return "it has no name", ("metadata",), "write metadata: {name: …}, the name as text"
    if not isinstance(item.get("spec") or {}, Mapping):
        return "its spec is no mapping", ("spec",), "write the fields of the spec below it"
    return None


def refused(root: Path, folder: str, item: Mapping[str, Any], who: str, message: str) -> LocatedError:
    """What to raise when an API server takes no object of hub/ or access/, with the place of that object."""
    named = (item.get("kind"), (item.get("metadata") or {}).get("name"))
    problem = f"{who} refuses {named[0]} {named[1]}: {message}"
    for document in _documents(root, folder):
        data = document.data
        known = isinstance(data, dict) and not _misshapen(data)
        if known and (data.get("kind"), data["metadata"]["name"]) == named:
            return document.refusal(problem, ("metadata",), fix="mend what it says")
    return BadSubmission(problem, file=folder, fix="mend what it says")


def _misfit(kind: str, spec: Mapping[str, Any]) -> Elsewhere | None:
    """What a source asks for and cannot have; where it does, and what to write."""
    if kind == "GitRepository":
        try:
            read_source(spec)
        except UnsupportedSource as error:
            return str(error), error.at, error.fix
    reference = spec.get("sourceRef")
    source = reference.get("kind") if isinstance(reference, Mapping) else reference
    if kind == "Kustomization" and source != "GitRepository":
        problem = f"its source is of kind {source!r}, and only GitRepositories are published"
        return problem, ("spec", "sourceRef"), "write sourceRef: {kind: GitRepository, name: …}"
    return None


def engine_settings(root: Path) -> dict[str, str]:
    """What hub/settings.yaml says of health and differences, for argocd-cm.

    Raises:
        BadSubmission: it is no ConfigMap, or says something else.
    """
    file = root / HUB_FOLDER / SETTINGS
    if not file.is_file():
        return {}
    documents = load_documents(file, shown_as=SETTINGS_FILE)
    if not documents:
        raise BadSubmission("is empty", file=SETTINGS_FILE, fix="write a ConfigMap with data, or remove it")
    document = documents[0]
    data = document.data.get("data") if isinstance(document.data, dict) else None
    if not isinstance(data, dict) or document.data.get("kind") != "ConfigMap":
        raise document.refusal("is no ConfigMap with data", fix="write kind: ConfigMap and data:")
    for key, value in data.items():
        if not key.startswith(CUSTOMIZATIONS) or not isinstance(value, str):
            raise document.refusal(
                f"the key {key!r} is not for the fleet to set", ("data", key),
                fix=f"only texts under {CUSTOMIZATIONS}.… are taken over",
            )  # fmt: skip
    return dict(data)


def check_policies(declared: Sequence[Mapping[str, Any]], names: Sequence[str]) -> None:
    """See that what Git declares are policies of engines that the submission names, or of the API server.

    Raises:
        BadSubmission: one is not, and no spoke would know its kind.
    """
    for item in declared:
        kind = kind_of(item)
        if kind is not None and kind.engine in POLICY_ENGINES and kind.engine not in names:
            title = POLICY_ENGINES[kind.engine].title
            raise BadSubmission(
                f"policies/ has the {kind.kind} {item['metadata']['name']}, which is {title}'s, and"
                f" policyEngines names {', '.join(names)}",
                file="submission.yaml", fix=f"add {kind.engine} to policyEngines, or take the policy out",
            )  # fmt: skip


def access_objects(root: Path) -> dict[str, list[dict[str, Any]]]:
    """The rights of the engine, by environment.

    Raises:
        BadSubmission: one is no RBAC, or gives rights to somebody else.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for environment in ENVIRONMENTS:
        found[environment] = []
        for document in _documents(root, f"{ACCESS_FOLDER}/{environment}"):
            data = document.data
            if not isinstance(data, dict) or not str(data.get("apiVersion", "")).startswith(_RBAC):
                raise document.refusal(
                    "is no RBAC", fix="access/ holds Roles, ClusterRoles and their bindings alone"
                )
            if misshapen := _misshapen(data):
                problem, place, fix = misshapen
                raise document.refusal(problem, place, fix=fix)
            subjects = data.get("subjects") or ()
            for at, subject in enumerate(subjects if isinstance(subjects, list | tuple) else (subjects,)):
                if not isinstance(subject, dict) or (subject.get("kind"), subject.get("name")) != (
                    "User",
                    ENGINE,
                ):
                    raise document.refusal(
                        "gives rights to somebody else than the engine", ("subjects", at),
                        fix=f"write kind: User, name: {ENGINE}",
                    )  # fmt: skip
            found[environment].append(data)
    return found


def _documents(root: Path, folder: str) -> Iterator[Document]:
    for path in sorted((root / folder).glob("*.y*ml")):
        if path.name not in _KUSTOMIZATIONS:
            yield from load_documents(path, shown_as=path.relative_to(root).as_posix())
