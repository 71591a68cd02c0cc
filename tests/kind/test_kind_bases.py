"""The images that learners build on: with no network a build has what the course promises."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from graders.clusters.engine.engine import Engine
from graders.clusters.nodeimages.image import ensure_base_images
from graders.paths import REPOSITORY
from graders.progress import Silent

NOBODY = "65534:65534"
REQUIREMENTS = "kopf\nkubernetes\nprometheus-client>=0.20\n"
OPERATOR = """\
package main

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
)

func main() {
	_ = ctrl.Log
	fmt.Println(metav1.NamespaceAll == "")
}
"""
GO_MOD = REPOSITORY / "graders/sandbox/gowarm/go.mod"


@pytest.fixture(scope="module")
def images(docker_host: str) -> Mapping[str, str]:
    return ensure_base_images(docker_host, Silent())


def run(docker_host: str, image: str, script: str, *options: str) -> str:
    command = Engine(docker_host).command(
        "run", "--rm", "--interactive", "--network=none", *options, image, "sh", "-euc", script
    )
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("user", ["0:0", NOBODY])
def test_requirements_of_the_course_are_there_without_a_network(
    docker_host: str, images: Mapping[str, str], user: str
) -> None:
    script = f"""
    printf '{REQUIREMENTS}' >/tmp/requirements.txt
    pip install --quiet --no-cache-dir -r /tmp/requirements.txt
    python -c 'import kopf, kubernetes, prometheus_client, sys; print(sys.version_info[:2])'
    kopf --version
    """
    said = run(docker_host, images["kubeproof/python:3.11"], script, f"--user={user}", "--env=HOME=/tmp")
    assert "(3, 11)" in said
    assert "kopf, version" in said


def test_a_wheel_that_is_brought_along_can_be_installed(
    docker_host: str, images: Mapping[str, str], tmp_path: Path
) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own/own.py").write_text("answer = 42\n")
    script = (
        "pip --version && python -c 'import sys; sys.path.insert(0, \"/src\"); import own; print(own.answer)'"
    )
    said = run(docker_host, images["kubeproof/python:3.11"], script, f"--volume={tmp_path / 'own'}:/src:ro")
    assert said.splitlines()[-1] == "42"


@pytest.mark.parametrize("user", ["0:0", NOBODY])
def test_an_operator_in_go_is_built_without_a_network(
    docker_host: str, images: Mapping[str, str], tmp_path: Path, user: str
) -> None:
    (tmp_path / "go.mod").write_text(
        GO_MOD.read_text().replace("module ", "module example.com/operator // ", 1)
    )
    (tmp_path / "go.sum").write_text(GO_MOD.with_suffix(".sum").read_text())
    (tmp_path / "main.go").write_text(OPERATOR)
    tmp_path.chmod(0o755)
    build = "go version && go mod download && go build -o /tmp/operator ."
    script = f"cp -r /src /tmp/own && cd /tmp/own && {build} && /tmp/operator"
    options = (f"--volume={tmp_path}:/src:ro", f"--user={user}", "--env=HOME=/tmp")
    said = run(docker_host, images["kubeproof/go:1.27"], script, *options)
    assert "go1.27" in said
    assert said.splitlines()[-1] == "true"
