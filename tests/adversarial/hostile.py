"""Makes submissions of the small hostile operators in `operators/`, with the reference's manifests."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.e2e.command import REFERENCE

OPERATORS = Path(__file__).with_name("operators")

_ADMIN = """
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: everything}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{kind: ServiceAccount, name: mltj-operator, namespace: mltj-system}]
"""


@dataclass(frozen=True)
class Hostile:
    """One hostile submission and the checks to grade it by.

    `admin` binds it to cluster-admin, `any_status` loosens its CRD, `metrics` is its metrics port.
    """

    operator: str
    only: str = "creates-pods"
    admin: bool = False
    any_status: bool = False
    metrics: int = 8080

    def make(self, folder: Path) -> Path:
        """Write the submission."""
        skip = shutil.ignore_patterns("__pycache__", ".*_cache")
        shutil.copytree(REFERENCE / "deploy", folder / "deploy", ignore=skip)
        shutil.copytree(REFERENCE / "mltj_operator", folder / "mltj_operator", ignore=skip)
        for name in ("api.py", f"{self.operator}.py"):
            shutil.copy(OPERATORS / name, folder / name)
        if self.admin:
            (folder / "deploy" / "90-admin.yaml").write_text(_ADMIN)
        if self.any_status:
            _loosen(folder / "deploy" / "10-crd.yaml")
        write_manifest(folder, command=["python", f"{self.operator}.py"], metrics={"port": self.metrics})
        return folder


def write_manifest(folder: Path, **operator: Any) -> Path:
    """Write a submission.yaml like the reference's, with other values for some keys of `operator`."""
    manifest = yaml.safe_load((REFERENCE / "submission.yaml").read_text())
    manifest["operator"] |= operator
    (folder / "submission.yaml").write_text(yaml.safe_dump(manifest, sort_keys=False))
    return folder


def _loosen(crd: Path) -> None:
    data = yaml.safe_load(crd.read_text())
    schema = data["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    # No `type`: a status may then be text or a list as well.
    schema["properties"]["status"] = {"x-kubernetes-preserve-unknown-fields": True}
    crd.write_text(yaml.safe_dump(data))
