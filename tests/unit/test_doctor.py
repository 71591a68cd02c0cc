"""The doctor tries things out, and says how to mend what does not work."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from graders import doctor
from graders.cli.doctor import doctor as command
from graders.clusters.kind.preflight import Machine
from graders.doctor import Diagnosis, State, can_grade, examine, lab_findings, namespace_fix
from graders.faults import UsageError
from graders.labneeds import needs_of
from graders.sandbox.goruntime import kept_go, runtime_for
from graders.sandbox.staticcheck import kept_staticcheck
from graders.tools.toolchain import toolchain_go
from tests.unit.tiny_engine import TinyEngine

APP = typer.Typer()
APP.command()(command)


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBEPROOF_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("KUBEPROOF_BINARIES", raising=False)


def by_name(findings: list[Diagnosis]) -> dict[str, Diagnosis]:
    return {finding.name: finding for finding in findings}


def program(folder: Path, name: str, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a program in front of the machine's own."""
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


def test_every_finding_has_the_name_of_its_check_and_a_fix_unless_it_is_ok() -> None:
    findings = examine()
    assert [finding.name for finding in findings] == list(doctor.CHECKS)
    assert [finding for finding in findings if finding.state is not State.OK and not finding.fix] == []


def test_a_fresh_cache_warns_and_does_not_fail() -> None:
    findings = by_name(examine())
    assert findings["binaries"].state is State.WARN
    assert findings["binaries"].fix.startswith("`kubeproof setup` downloads or builds them")
    assert findings["learner runtime"] == Diagnosis(
        "learner runtime", State.WARN, "not there yet", "`kubeproof setup` makes it"
    )


def test_what_go_for_learners_still_lacks_is_named_part_by_part() -> None:
    def says() -> str:
        finding = by_name(examine())["Go for learners"]
        assert (finding.state is State.OK) is (finding.fix == "")
        return finding.detail

    assert says() == "Go toolchain is not there yet"
    go = toolchain_go()
    go.parent.mkdir(parents=True)
    go.touch()
    assert says() == "Go build cache is not there yet"
    _, builds = kept_go(go)
    builds.root.mkdir(parents=True)
    (builds.root / builds.parts[-1]).touch()
    assert says() == "staticcheck is not there yet"
    made = kept_staticcheck(runtime_for(go))
    (made.root / made.parts[0]).mkdir()
    (made.root / made.parts[0] / "complete.json").touch()
    assert says() == f"{builds.root}, with staticcheck"


def test_a_named_folder_without_programs_fails_with_its_fix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBEPROOF_BINARIES", str(tmp_path))
    found = by_name(examine())["binaries"]
    assert found.state is State.FAIL
    assert "which lacks the programs etcd" in found.detail
    assert "unset KUBEPROOF_BINARIES" in found.fix


def test_another_platform_fails_and_names_the_providers_that_work_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    findings = examine()
    assert not can_grade(findings)
    assert "--provider kind" in by_name(findings)["platform"].fix


def test_a_sandbox_that_may_not_make_namespaces_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path, "bwrap", "echo 'bwrap: setting up uid map: Permission denied' >&2; exit 1", monkeypatch)
    found = doctor.bubblewrap()
    assert found.state is State.FAIL
    assert found.detail == "cannot make namespaces: bwrap: setting up uid map: Permission denied"
    assert found.fix


def test_programs_that_are_not_there_are_named_with_their_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert doctor.bubblewrap() == Diagnosis(
        "bubblewrap", State.FAIL, "not found", "`apt-get install bubblewrap`"
    )
    assert "util-linux" in doctor.setpriv().fix
    assert doctor.docker().detail == "no docker command; embedded clusters do not need it"


def test_what_a_lab_needs_beside_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "redis-server", "exit 0", monkeypatch)
    needs = needs_of("lab2")
    findings = by_name(examine("lab2", needs))
    assert list(findings) == [*doctor.CHECKS, "redis-server", "lab2's own"]
    assert findings["redis-server"].detail == str(tmp_path / "redis-server")
    own = findings["lab2's own"]
    assert own.state is State.WARN
    assert own.detail.startswith(f"0 of {len(needs.toolsets)} are there; not yet: Argo CD, kustomize")
    assert own.fix.startswith("`kubeproof setup lab2` makes all")
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    lacking = by_name(lab_findings("lab2", needs))["redis-server"]
    assert lacking == Diagnosis("redis-server", State.FAIL, "not found", "`apt-get install redis-server`")
    assert not can_grade([lacking])


def test_a_lab_that_is_not_there_is_named() -> None:
    assert isinstance(CliRunner().invoke(APP, ["lab99"]).exception, UsageError)


@pytest.mark.parametrize(
    ("setting", "value", "cure"),
    [
        (
            "kernel/apparmor_restrict_unprivileged_userns",
            "1",
            "kernel.apparmor_restrict_unprivileged_userns=0",
        ),
        ("kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone=1"),
        ("user/max_user_namespaces", "0", "user.max_user_namespaces=15000"),
    ],
)
def test_the_kernel_setting_in_the_way_is_named(tmp_path: Path, setting: str, value: str, cure: str) -> None:
    (tmp_path / setting).parent.mkdir()
    (tmp_path / setting).write_text(f"{value}\n")
    assert f"`sudo sysctl {cure}`" in namespace_fix(tmp_path)


def test_without_such_a_setting_a_container_is_suspected(tmp_path: Path) -> None:
    assert "seccomp=unconfined" in namespace_fix(tmp_path)


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TinyEngine]:
    """A Docker engine that has everything, and its command."""
    engine = TinyEngine()
    engine.info = {
        "ServerVersion": "28.2.2",
        "Driver": "overlay2",
        "CgroupVersion": "2",
        "CgroupDriver": "systemd",
        "MemoryLimit": True,
        "PidsLimit": True,
        "CPUShares": True,
        "MemTotal": 1 << 33,
        "DockerRootDir": "/nowhere",
    }
    program(tmp_path, "docker", "exit 0", monkeypatch)
    monkeypatch.setattr("graders.doctor.Machine", lambda: Machine(tmp_path, lambda: "docker"))
    with engine.serve(tmp_path) as host:
        monkeypatch.setenv("KUBEPROOF_DOCKER_HOST", host)
        yield engine


def test_an_engine_that_answers_can_run_kind_clusters(engine: TinyEngine) -> None:
    found = doctor.docker()
    assert (found.state, found.fix) == (State.OK, "")
    assert found.detail.startswith("engine 28.2.2 (overlay2, cgroup v2) at unix://")
    assert found.detail.endswith("; kind clusters can run here")


def test_what_is_in_the_way_of_kind_clusters_is_told_and_is_in_nobody_elses(
    engine: TinyEngine, tmp_path: Path
) -> None:
    limits = tmp_path / "sys/fs/inotify"
    limits.mkdir(parents=True)
    (limits / "max_user_instances").write_text("128\n")
    assert "kind clusters can run here; fs.inotify.max_user_instances is 128" in doctor.docker().detail

    engine.info["ServerVersion"] = "19.3.1"
    found = doctor.docker()
    assert found.state is State.WARN
    assert "kind clusters cannot run here; the Docker engine is 19.3.1" in found.detail
    assert found.fix.startswith("use Docker 20.10 or later; `sudo sysctl fs.inotify.max_user_instances=")


def test_an_engine_that_is_not_there_or_not_well_is_not_needed(
    engine: TinyEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.info = {}
    broken = doctor.docker()
    assert broken.state is State.WARN
    assert "the Docker engine does not say what it is" in broken.detail

    monkeypatch.setenv("KUBEPROOF_DOCKER_HOST", "unix:///nowhere/docker.sock")
    detail = "no Docker engine answers; embedded clusters do not need it"
    assert doctor.docker() == Diagnosis("docker", State.OK, detail)


def test_a_check_that_breaks_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Diagnosis:
        raise PermissionError("no reading here")

    monkeypatch.setitem(doctor.CHECKS, "clock", broken)
    assert by_name(examine())["clock"] == Diagnosis("clock", State.FAIL, "no reading here")


@pytest.mark.parametrize(("state", "status"), [(State.WARN, 0), (State.FAIL, 2)])
def test_the_exit_code_says_whether_grading_is_possible(
    state: State, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    finding = Diagnosis("disk", state, "1 GiB [free]\x1b[31m", "make room")
    monkeypatch.setattr(doctor, "CHECKS", {"disk": lambda: finding})
    shown = CliRunner().invoke(APP, [])
    assert shown.exit_code == status
    assert "1 GiB [free]" in shown.stdout
    assert "fix: make room" in shown.stdout
    assert "\x1b[31m" not in shown.stdout

    told = CliRunner().invoke(APP, ["--json"])
    assert told.exit_code == status
    answer = json.loads(told.stdout)
    assert (answer["schema"], answer["ready"]) == ("kubeproof/doctor/v1", status == 0)
    assert answer["findings"] == [
        {"name": "disk", "state": state.value, "detail": finding.detail, "fix": "make room"}
    ]
