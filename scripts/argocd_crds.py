"""Makes graders/lab2/config/argocd-crds.json.gz from the Go module of Argo CD, without its descriptions.

Usage: python scripts/argocd_crds.py FOLDER, the module's folder `manifests/crds`.
"""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path
from typing import Any

import yaml

TARGET = Path(__file__).resolve().parents[1] / "graders" / "lab2" / "config" / "argocd-crds.json.gz"


def undescribed(schema: Any, *, properties: bool = False) -> Any:
    """A schema without its descriptions; a property may be called so."""
    if isinstance(schema, dict):
        return {
            key: undescribed(value, properties=key == "properties")
            for key, value in schema.items()
            if properties or key != "description" or not isinstance(value, str)
        }
    return [undescribed(each) for each in schema] if isinstance(schema, list) else schema


def main(folder: str) -> None:
    """Write the file anew."""
    files = sorted(Path(folder).glob("*-crd.yaml"))
    definitions = [undescribed(yaml.safe_load(file.read_text("utf-8"))) for file in files]
    TARGET.write_bytes(gzip.compress(json.dumps(definitions, separators=(",", ":")).encode(), mtime=0))


if __name__ == "__main__":
    main(sys.argv[1])
