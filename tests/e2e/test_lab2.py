"""Lab 2 from end to end: a fleet comes up from Git, by real engines. Needs the lab's own programs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from graders.lab2.toolsets import ARGOCD, COSIGN, HELM, KUSTOMIZE, REGISTRY
from graders.paths import REPOSITORY
from graders.tools import find

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

REFERENCE = REPOSITORY / "solutions" / "lab2" / "reference"


def grade(folder: Path, *checks: str) -> dict[str, object]:
    lacking = [each.title for each in (KUSTOMIZE, REGISTRY, ARGOCD, COSIGN, HELM) if find(each) is None]
    if lacking:
        pytest.skip(f"`kubeproof setup lab2` was not run here: there is no {', no '.join(lacking)}")
    if shutil.which("redis-server") is None:
        pytest.skip("Argo CD needs redis-server, and this machine has none")
    chosen = [part for check in checks for part in ("--only", check)]
    done = subprocess.run(
        [sys.executable, "-m", "graders", "grade", "lab2", REFERENCE, *chosen, "--out", folder / "out"],
        cwd=REPOSITORY, env={**os.environ, "PYTHONPATH": str(REPOSITORY)}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    report: dict[str, object] = json.loads((folder / "out" / "report.json").read_text())
    return report


def test_what_is_on_paper_needs_no_cluster(tmp_path: Path) -> None:
    report = grade(tmp_path, "mesh", "posture", "renders", "gate-ci")
    assert report["percent"] == 100


def test_a_fleet_comes_up_from_git(tmp_path: Path) -> None:
    report = grade(tmp_path, "installs", "netpol", "rbac", "scheduling", "inventory")
    assert report["percent"] == 100
