"""The usual build lines find controller-runtime compiled already: the sandbox and the real go command."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from graders.paths import REPOSITORY
from graders.progress import Silent
from graders.sandbox import Limits, SandboxSpec, sandbox_named
from graders.sandbox.building import Build, build_submission
from graders.sandbox.goruntime import GoRuntime, ensure_go_runtime
from graders.tools.toolchain import ensure_toolchain

# Where the build cache is not warm yet, the first test waits for it.
pytestmark = pytest.mark.timeout(3600)

REFERENCE = REPOSITORY / "solutions" / "lab1" / "reference-go"
OWN = "mod201.dev/mltj-operator/"

LINES = {
    "plain": "go build",
    "kubebuilder's Dockerfile": "CGO_ENABLED=0 GOOS=linux go build -a",
    "goreleaser's": "CGO_ENABLED=0 go build -trimpath -mod=readonly -ldflags '-s -w -X main.version=1.0'",
    "static": "go build -tags netgo,osusergo -ldflags '-w -extldflags \"-static\"'",
    "hardened": "GOFLAGS=-trimpath go build -buildmode=pie",
}


@pytest.fixture(scope="module")
def go() -> GoRuntime:
    return ensure_go_runtime(ensure_toolchain(Silent()), Silent())


@pytest.mark.parametrize("line", LINES.values(), ids=list(LINES))
def test_nothing_but_the_submission_is_compiled(line: str, go: GoRuntime, tmp_path: Path) -> None:
    spec = SandboxSpec(
        submission=REFERENCE,
        command=(),
        folder=tmp_path / "scratch",
        venv=Path(sys.prefix),
        python=Path(sys.executable),
        base=Path(sys.base_prefix),
        limits=Limits(memory_bytes=3 << 30, wall_s=600, file_bytes=1 << 29, tmp_bytes=1 << 30),
    )
    command = ("sh", "-c", f"{line} -v -o bin/operator ./cmd/operator 2>compiled")
    built = build_submission(sandbox_named("bubblewrap"), Build(command, spec, go), tmp_path / "built")
    assert (built / "bin" / "operator").stat().st_mode & 0o100
    compiled = (built / "compiled").read_text().split()
    assert compiled
    assert [package for package in compiled if not package.startswith(OWN)] == []
