"""Builds of Go submissions find their dependencies compiled, whatever flags people are used to."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from graders.sandbox import SandboxSpec, sandbox_named
from graders.sandbox.building import Build, build_submission
from graders.sandbox.goflags import arguments_for, goflags_for
from graders.sandbox.goruntime import GoRuntime

NO_CGO = {"CGO_ENABLED": "0"}

REACHES = {
    "kubebuilder's Makefile": ("build -o bin/manager cmd/main.go", "build -o bin/manager cmd/main.go"),
    "kubebuilder's Dockerfile": ("build -a -o manager cmd/main.go", "build -o manager cmd/main.go"),
    "goreleaser": ("build -trimpath -mod=readonly -o x .", "build -mod=readonly -o x ."),
    "two dashes, and a value": ("build --a=true --trimpath=true .", "build ."),
    "a value that looks like a flag": ("build -o -a -p 2 -a .", "build -o -a -p 2 ."),
    "position independent": ("build -buildmode=pie .", "build ."),
    "position independent, in two words": ("build -buildmode pie -v .", "build -v ."),
    "a mode that makes something else": ("build -buildmode=plugin .", "build -buildmode=plugin ."),
    "the resolver that there is": ("build -tags netgo,osusergo .", "build -tags=osusergo ."),
    "that resolver alone": ("install -tags=netgo .", "install -tags= ."),
    "what the program gets": ("run -a . -a -trimpath", "run . -a -trimpath"),
    "what follows the packages of a test": ("test -trimpath ./... -args -a", "test ./... -args -a"),
    "standard input": ("vet -a -", "vet -"),
    "a command without such flags": ("mod download -a", "mod download -a"),
    "a tool of the toolchain": ("tool -a", "tool -a"),
    "nothing": ("", ""),
}


@pytest.mark.parametrize(("given", "reaches"), REACHES.values(), ids=list(REACHES))
def test_flags_that_would_compile_everything_anew_are_left_out_and_no_others(
    given: str, reaches: str
) -> None:
    assert arguments_for(given.split(), NO_CGO) == reaches.split()


def test_a_value_of_several_words_stays_one_argument() -> None:
    given = ["build", "-ldflags", "-s -w -X main.a=-a -trimpath", "-a", "."]
    assert arguments_for(given, NO_CGO) == ["build", "-ldflags", "-s -w -X main.a=-a -trimpath", "."]


def test_with_cgo_the_resolver_is_the_authors_choice() -> None:
    given = ["build", "-tags", "netgo", "."]
    assert arguments_for(given, {"CGO_ENABLED": "1"}) == given


@pytest.mark.parametrize(
    ("given", "becomes"),
    [
        ("-mod=readonly -buildvcs=false", "-mod=readonly -buildvcs=false"),
        ("-trimpath -mod=mod", "-mod=mod"),
        ("-tags=netgo,prod -a", "-tags=prod"),
        ("'-ldflags=-s -w' -trimpath", "'-ldflags=-s -w' -trimpath"),
        ("", ""),
    ],
)
def test_the_same_goes_for_the_variable(given: str, becomes: str) -> None:
    assert goflags_for({**NO_CGO, "GOFLAGS": given}) == becomes


@pytest.mark.parametrize(
    "command",
    [("go", "build", "-a", "-o", "made", "."), ("sh", "-c", "GOFLAGS=-trimpath go build -a -o made .")],
    ids=["go itself", "a script"],
)
def test_a_build_meets_the_go_command_that_leaves_them_out(command: tuple[str, ...], tmp_path: Path) -> None:
    root = tmp_path / "one place" / "go"
    runtime = GoRuntime(root, tmp_path / "modules", tmp_path / "builds")
    for folder in (root / "bin", runtime.modules, runtime.builds, tmp_path / "submission"):
        folder.mkdir(parents=True)
    runtime.go.write_text('#!/bin/sh\necho "$*, $GOFLAGS" > "$3"\n')
    runtime.go.chmod(0o755)
    spec = SandboxSpec(
        submission=tmp_path / "submission",
        command=(),
        folder=tmp_path / "scratch",
        venv=Path(sys.prefix),
        python=Path(sys.executable),
        base=Path(sys.base_prefix),
    )
    built = build_submission(sandbox_named("none"), Build(command, spec, runtime), tmp_path / "built")
    reached, _, goflags = (built / "made").read_text().partition(", ")
    assert reached == "build -o made ."
    assert "-trimpath" not in goflags


def test_a_build_is_without_cgo_unless_it_says_otherwise(tmp_path: Path) -> None:
    runtime = GoRuntime(tmp_path / "go", tmp_path / "modules", tmp_path / "builds")
    for folder in (runtime.root / "bin", runtime.modules, runtime.builds, tmp_path / "submission"):
        folder.mkdir(parents=True)
    spec = SandboxSpec(
        submission=tmp_path / "submission",
        command=(),
        folder=tmp_path / "scratch",
        venv=Path(sys.prefix),
        python=Path(sys.executable),
        base=Path(sys.base_prefix),
    )
    told = "echo $CGO_ENABLED $GOTOOLCHAIN $GOPROXY"
    command = ("sh", "-c", f"{told} >plain; CGO_ENABLED=1; {told} >own")
    built = build_submission(sandbox_named("none"), Build(command, spec, runtime), tmp_path / "built")
    assert (built / "plain").read_text() == "0 local off\n"
    assert (built / "own").read_text() == "1 local off\n"
