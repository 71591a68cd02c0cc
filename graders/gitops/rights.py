"""The folder access/ of a hand-in: RBAC of the engine on each spoke, and of nobody else."""

from pathlib import Path
from typing import Any

from graders.gitops.manifests import documents_in, misshapen
from graders.gitops.seam import FleetShape

ACCESS_FOLDER = "access"
_RBAC = "rbac.authorization.k8s.io/"


def access_objects(root: Path, shape: FleetShape) -> dict[str, list[dict[str, Any]]]:
    """The rights of the engine, by environment.

    Raises:
        BadSubmission: one is no RBAC, or gives rights to somebody else.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for environment in shape.environments:
        found[environment] = []
        for document in documents_in(root, f"{ACCESS_FOLDER}/{environment}"):
            data = document.data
            if not isinstance(data, dict) or not str(data.get("apiVersion", "")).startswith(_RBAC):
                raise document.refusal(
                    "is no RBAC", fix="access/ holds Roles, ClusterRoles and their bindings alone"
                )
            if misfit := misshapen(data):
                problem, place, fix = misfit
                raise document.refusal(problem, place, fix=fix)
            subjects = data.get("subjects") or ()
            for at, subject in enumerate(subjects if isinstance(subjects, list | tuple) else (subjects,)):
                named = (subject.get("kind"), subject.get("name")) if isinstance(subject, dict) else None
                if named != ("User", shape.user):
                    raise document.refusal(
                        "gives rights to somebody else than the engine", ("subjects", at),
                        fix=f"write kind: User, name: {shape.user}",
                    )  # fmt: skip
            found[environment].append(data)
    return found
