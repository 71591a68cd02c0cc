"""What the grader commits to an environment's extra/, and how it is taken out again."""

import json
from collections.abc import Mapping

from graders.admission.specimens import Manifest

_KUSTOMIZATION = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}


def extra_files(environment: str, objects: Mapping[str, Manifest]) -> dict[str, bytes | None]:
    """The files of clusters/<environment>/extra/ with these objects, by their paths."""
    folder = f"clusters/{environment}/extra"
    listed = {"resources": sorted(objects)}
    written = {"kustomization.yaml": {**_KUSTOMIZATION, **listed}, **objects}
    return {
        f"{folder}/{name}": (json.dumps(item, indent=2) + "\n").encode() for name, item in written.items()
    }


def without_extras(files: Mapping[str, bytes | None]) -> dict[str, bytes | None]:
    """The same files as they are handed in: no objects."""
    text = (json.dumps({**_KUSTOMIZATION, "resources": []}, indent=2) + "\n").encode()
    return {path: text if path.endswith("/kustomization.yaml") else None for path in files}
