"""Makes graders/chaos/chaos-mesh-crds.json.gz from the Go module of Chaos Mesh, without descriptions.

Usage: python scripts/chaos_crds.py FOLDER, the folder `config/crd/bases` of the module
github.com/chaos-mesh/chaos-mesh, as `go mod download -json` names it. Only what a specification may hold is
kept: kinds by name, with the schema of their `spec`.
"""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path
from typing import Any

import yaml
from lab2_crds import undescribed

TARGET = Path(__file__).resolve().parents[1] / "graders" / "chaos" / "chaos-mesh-crds.json.gz"
KINDS = (
    "podchaos", "networkchaos", "iochaos", "stresschaos", "dnschaos", "httpchaos", "timechaos", "kernelchaos",
    "jvmchaos", "blockchaos", "schedules", "workflows",
)  # fmt: skip


def main(folder: str) -> None:
    """Write the file anew."""
    schemas: dict[str, Any] = {}
    for kind in KINDS:
        definition = yaml.safe_load((Path(folder) / f"chaos-mesh.org_{kind}.yaml").read_text("utf-8"))
        (version,) = definition["spec"]["versions"]
        whole = version["schema"]["openAPIV3Schema"]
        schemas[definition["spec"]["names"]["kind"]] = undescribed(whole["properties"]["spec"])
    TARGET.write_bytes(gzip.compress(json.dumps(schemas, separators=(",", ":")).encode(), mtime=0))


if __name__ == "__main__":
    main(sys.argv[1])
