"""Makes graders/lab2/config/NAME-crds.json.gz from the definitions in Go modules, without descriptions.

Usage: python scripts/lab2_crds.py NAME FOLDER…, as in `argocd …/manifests/crds`, `kyverno …/config/crds`.
`istio` is made of istio.io/api 1.30.8, `gateway-api` of the standard ones of sigs.k8s.io/gateway-api 1.6.3.
"""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path
from typing import Any

import yaml

CONFIG = Path(__file__).resolve().parents[1] / "graders" / "lab2" / "config"


def undescribed(schema: Any, *, properties: bool = False) -> Any:
    """A schema without its descriptions; a property may be called so."""
    if isinstance(schema, dict):
        return {
            key: undescribed(value, properties=key == "properties")
            for key, value in schema.items()
            if properties or key != "description" or not isinstance(value, str)
        }
    return [undescribed(each) for each in schema] if isinstance(schema, list) else schema


def main(name: str, *folders: str) -> None:
    """Write the file anew, of every definition below the folders."""
    files = (file for folder in folders for file in sorted(Path(folder).rglob("*.yaml")))
    read = (each for file in files for each in yaml.safe_load_all(file.read_text("utf-8")))
    definitions = [
        undescribed(each) for each in read if (each or {}).get("kind") == "CustomResourceDefinition"
    ]
    target = CONFIG / f"{name}-crds.json.gz"
    target.write_bytes(gzip.compress(json.dumps(definitions, separators=(",", ":")).encode(), mtime=0))


if __name__ == "__main__":
    main(*sys.argv[1:])
