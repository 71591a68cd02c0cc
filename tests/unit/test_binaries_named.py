"""The folder that `KUBEPROOF_BINARIES` names, and the platforms that have embedded clusters."""

from __future__ import annotations

import platform
import re
from pathlib import Path

import pytest

from graders.clusters.binaries import catalog
from graders.clusters.binaries.ensure import ensure_binaries, find_binaries
from graders.faults import UsageError
from graders.progress import Silent


@pytest.fixture
def named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "programs"
    folder.mkdir()
    for program in catalog.CORE:
        write_program(folder / program, f"echo Kubernetes {catalog.KUBERNETES}")
    monkeypatch.setenv("KUBEPROOF_BINARIES", str(folder))
    monkeypatch.setenv("KUBEPROOF_CACHE", str(tmp_path / "cache"))
    return folder


def write_program(file: Path, script: str) -> None:
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


def test_a_named_folder_goes_before_everything_else(named: Path) -> None:
    progress = Silent()
    binaries = ensure_binaries(progress)
    assert (binaries.folder, binaries.version) == (named, catalog.KUBERNETES)
    assert binaries.path("etcd") == named / "etcd"
    assert find_binaries() == binaries
    assert progress.said == []


def test_a_named_folder_that_lacks_programs_is_refused(named: Path) -> None:
    (named / "etcd").unlink()
    (named / "kwok").chmod(0o644)
    with pytest.raises(UsageError) as refused:
        ensure_binaries(Silent())
    assert f"KUBEPROOF_BINARIES names {named}, which lacks the programs etcd, kwok" in str(refused.value)
    assert "fix: put executable files of these names there, or unset KUBEPROOF_BINARIES" in str(refused.value)


def test_another_version_is_used_and_named(named: Path) -> None:
    write_program(named / "kube-apiserver", "echo Kubernetes v1.30.0-alpha.1+abc")
    progress = Silent()
    assert ensure_binaries(progress).version == "v1.30.0-alpha.1+abc"
    assert progress.said == [
        f"KUBEPROOF_BINARIES holds Kubernetes v1.30.0-alpha.1+abc; the labs are made for {catalog.KUBERNETES}"
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x7fELF but of no machine", "kube-apiserver cannot be started"),
        (b"#!/bin/sh\necho hello\n", "--version does not answer like a Kubernetes API server"),
        (b"#!/bin/sh\necho Kubernetes v1.37.2; exit 1\n", "--version does not answer like"),
    ],
)
def test_an_api_server_that_does_not_run_here_is_refused(named: Path, content: bytes, message: str) -> None:
    (named / "kube-apiserver").write_bytes(content)
    with pytest.raises(UsageError, match=re.escape(message)) as refused:
        ensure_binaries(Silent())
    assert "fix: name a folder with" in str(refused.value)


@pytest.mark.parametrize(
    ("system", "machine"), [("Darwin", "arm64"), ("Windows", "AMD64"), ("Linux", "riscv64")]
)
def test_other_platforms_are_told_what_works_there(
    system: str, machine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    with pytest.raises(UsageError) as refused:
        ensure_binaries(Silent())
    text = str(refused.value)
    assert f"embedded clusters run on Linux x86-64 and arm64, and this machine is {system} {machine}" in text
    assert "`--provider kind`" in text
    assert "`--provider existing --kubeconfig FILE`" in text


@pytest.mark.parametrize(("machine", "arch"), [("x86_64", "amd64"), ("aarch64", "arm64"), ("arm64", "arm64")])
def test_linux_on_two_architectures_is_supported(
    machine: str, arch: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert str(catalog.machine_platform()) == f"linux-{arch}"
