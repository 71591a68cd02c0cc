"""Lab 1's in-cluster run for real: the references on one node and on three, and what breaks only there."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from graders.course import load_course
from graders.images.buildsession import REPOSITORY
from graders.images.engine import BuildEngine
from graders.selftest.cases import overlay

SOLUTIONS = Path("solutions") / "lab1"
WITHIN_S = 1500.0


def graded(root: Path, out: Path, *, workers: int) -> dict[str, Any]:
    """The report of a grading that looks at in-cluster alone."""
    command = [
        sys.executable, "-m", "graders", "grade", "lab1", str(root), "--provider", "kind",
        "--only", "in-cluster", "--workers", str(workers), "--out", str(out),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=WITHIN_S, check=False)
    assert (out / "report.json").is_file(), done.stdout + done.stderr
    report: dict[str, Any] = json.loads((out / "report.json").read_text())
    assert report["verdict"] == "graded", done.stderr[-2000:]
    return report


def outcome(report: dict[str, Any]) -> dict[str, Any]:
    (found,) = report["outcomes"]
    assert found["check"] == "in-cluster"
    return dict(found)


@pytest.mark.parametrize("workers", [0, 2])
def test_the_reference_runs_and_trains(docker_host: str, tmp_path: Path, workers: int) -> None:
    report = graded(SOLUTIONS / "reference", tmp_path, workers=workers)
    found = outcome(report)
    assert (found["status"], found["observed"]) == ("passed", "")
    facts = found["facts"]
    assert facts["ranks"] == {"0": [0], "1": [0]}
    assert facts["restarts"] == 2
    assert facts["disturbed"] == ["exit-137", "oom", "evicted", *(["node-lost"] if workers else [])]
    assert any("no security boundary" in warning for warning in report["warnings"])
    logs = {path.name for path in (tmp_path / "bundle" / "logs").iterdir()}
    assert "image-build.log" in logs
    assert any(name.startswith("in-cluster-mltj-operator") for name in logs)
    with BuildEngine(docker_host) as engine:
        assert not [
            each for each in engine.images("kubeproof.dev/build") if REPOSITORY in str(each["RepoTags"])
        ]


def test_the_reference_in_go_does_too(docker_host: str, tmp_path: Path) -> None:
    found = outcome(graded(SOLUTIONS / "reference-go", tmp_path, workers=0))
    assert (found["status"], found["observed"]) == ("passed", "")


@pytest.mark.parametrize(
    ("flaw", "observed"),
    [
        ("fetches-while-it-builds", "the build failed"),
        ("keeps-notes-at-home", "Read-only file system"),
        ("listens-on-loopback", "not Ready"),
        ("user-has-a-name", "CreateContainerConfigError"),
    ],
)
def test_what_works_on_a_laptop_only_is_noticed(
    docker_host: str, tmp_path: Path, flaw: str, observed: str
) -> None:
    (expected,) = [each for each in load_course().find_lab("lab1").flawed if each.name == flaw]
    root = overlay(SOLUTIONS / expected.base, expected, tmp_path / "root")
    found = outcome(graded(root, tmp_path / "out", workers=0))
    assert found["status"] == "failed"
    assert observed in found["observed"]
    assert found["hint"]
