"""The folder hub/ of a hand-in: what tells the engine what to deploy, and nothing else."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from graders.documents import Document
from graders.documents.document import Location
from graders.faults import BadSubmission
from graders.gitops.manifests import Misfit, documents_in, misshapen, written
from graders.gitops.seam import EngineSetup
from graders.gitops.targets import elsewhere
from graders.services.gitsource import UnsupportedSource, read_source
from graders.submissions.kustomize import find
from graders.submissions.misrendering import misrendered
from graders.submissions.rendering import Renderer, render

HUB_FOLDER = "hub"
SETTINGS_FILE = f"{HUB_FOLDER}/settings.yaml"
"""Of an engine that has settings; it is not applied."""


def examine_hub(root: Path, engine: EngineSetup) -> None:
    """See that hub/ can be applied, unless it has to be rendered first; raises as `hub_objects`."""
    if find(root / HUB_FOLDER) is None:
        _plain_objects(root, engine)


def hub_objects(root: Path, engine: EngineSetup, renderer: Renderer) -> tuple[Mapping[str, Any], ...]:
    """The objects of hub/: those of its files in their order, or what its kustomization renders to.

    Raises:
        BadSubmission: there are none, or one is not the engine's; says file and line.
    """
    if find(root / HUB_FOLDER) is None:
        return tuple(_plain_objects(root, engine))
    out = render(renderer, root, HUB_FOLDER)
    if out.error:
        raise misrendered(root, HUB_FOLDER, out.error, f"run kustomize build {HUB_FOLDER}, and mend it")
    for each in out.objects:
        try:
            _check(each, engine)
        except BadSubmission:
            for document in written(root, HUB_FOLDER, each):
                _check(document.data, engine, document)
            raise
    return tuple(dict(each) for each in out.objects)


def _plain_objects(root: Path, engine: EngineSetup) -> Sequence[Mapping[str, Any]]:
    found = []
    for document in documents_in(root, HUB_FOLDER):
        if document.file != SETTINGS_FILE:
            _check(document.data, engine, document)
            found.append(document.data)
    if not found:
        raise BadSubmission(
            "there is nothing for the engine here", file=HUB_FOLDER,
            fix="put the Applications or Kustomizations there that deploy the fleet",
        )  # fmt: skip
    return found


def _check(data: Any, engine: EngineSetup, document: Document | None = None) -> None:
    """See that an object of the hub is one of the engine's kinds, in its namespace."""
    item = data if isinstance(data, Mapping) else {}
    version, kind = str(item.get("apiVersion", "")), str(item.get("kind", ""))
    if not any(version.startswith(group) and kind == each for group, each in engine.kinds):
        at: Location = ("apiVersion",)
        problem = f"{version or 'this'} {kind} is no object of {engine.name}"
        kinds = " and ".join(each for _, each in engine.kinds)
        fix = f"hub/ holds {kinds} alone; all else comes through the engine"
    elif shape := misshapen(item):
        problem, at, fix = shape
    elif (where := item["metadata"].get("namespace", engine.namespace)) != engine.namespace:
        problem = f"it belongs into the namespace {engine.namespace}, not {where!r}"
        at, fix = ("metadata", "namespace"), f"write namespace: {engine.namespace}, or leave it out"
    elif misfit := _misfit(kind, item.get("spec") or {}) or elsewhere(item, engine.shape):
        problem, at, fix = misfit
    else:
        return
    if document is None:
        raise BadSubmission(f"{problem} (rendered)", file=HUB_FOLDER, fix=fix)
    raise document.refusal(problem, at if at in document.lines else (), fix=fix)


def _misfit(kind: str, spec: Mapping[str, Any]) -> Misfit | None:
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
