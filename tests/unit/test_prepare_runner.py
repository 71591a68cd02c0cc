"""What a CI runner lacks for the sandbox is installed or allowed; what cannot be is told with a fix."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from graders.paths import REPOSITORY

SCRIPT = REPOSITORY / "scripts" / "prepare-runner.sh"
FAILS, DOES = "#!/bin/sh\nexit 1\n", "#!/bin/sh\nexit 0\n"


class Runner:
    """A runner that has the named programs and nothing else; each says what it was started with."""

    def __init__(self, folder: Path) -> None:
        self.programs = folder / "bin"
        self.programs.mkdir()
        self.log = folder / "started"
        self.log.touch()
        for name in ("sh", "id"):
            (self.programs / name).symlink_to(shutil.which(name) or name)
        # Whoever is not root asks sudo.
        self.has("sudo", '#!/bin/sh\nshift\nexec "$@"\n')

    def has(self, name: str, text: str = DOES) -> None:
        start, body = text.split("\n", 1)
        (self.programs / name).write_text(f'{start}\necho "{name} $*" >> {self.log}\n{body}')
        (self.programs / name).chmod(0o755)

    def prepare(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.programs / "sh", SCRIPT, *arguments],
            env={"PATH": os.fspath(self.programs)}, capture_output=True, text=True, check=False,
        )  # fmt: skip

    def started(self, name: str) -> list[str]:
        return [line for line in self.log.read_text().splitlines() if line.startswith(f"{name} ")]


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    return Runner(tmp_path)


def test_a_runner_that_has_all_is_left_as_it_is(runner: Runner) -> None:
    for name in ("bwrap", "setpriv", "apt-get", "sysctl"):
        runner.has(name)
    assert runner.prepare().returncode == 0
    assert runner.started("apt-get") == runner.started("sysctl") == []


@pytest.mark.parametrize("lab", ["essay", "2"], ids=["of-another-course", "by-number"])
def test_what_a_lab_needs_of_the_system_is_installed(lab: str, runner: Runner, tmp_path: Path) -> None:
    for name in ("bwrap", "setpriv", "redis-server", "apt-get"):
        runner.has(name)
    needs = tmp_path / "course" / "graders" / "essay" / "system-packages.txt"
    needs.parent.mkdir(parents=True)
    needs.write_text("pen:pencils\n")
    if lab != "essay":
        (runner.programs / "redis-server").unlink()
    assert runner.prepare(lab, tmp_path / "course").returncode == 0
    (installed,) = (line for line in runner.started("apt-get") if "install" in line)
    assert installed.split()[-1] == ("pencils" if lab == "essay" else "redis-server")


def test_what_is_missing_is_installed(runner: Runner) -> None:
    runner.has("setpriv")
    runner.has("apt-get", f'#!/bin/sh\nprintf "#!/bin/sh\\nexit 0\\n" > {runner.programs}/bwrap\n'
                          f"PATH=/usr/bin:/bin chmod +x {runner.programs}/bwrap\n")  # fmt: skip
    assert runner.prepare().returncode == 0
    assert runner.started("apt-get")[-1].endswith("--no-install-recommends bubblewrap")


def test_what_cannot_be_installed_is_told_with_a_fix(runner: Runner) -> None:
    runner.has("apt-get", FAILS)
    done = runner.prepare()
    assert done.returncode == 3
    assert "kubeproof: this runner lacks bubblewrap util-linux, and they cannot be installed" in done.stderr
    assert "fix: use runs-on: ubuntu-24.04" in done.stderr


def test_user_namespaces_that_apparmor_keeps_are_allowed(runner: Runner, tmp_path: Path) -> None:
    runner.has("setpriv")
    runner.has("bwrap", f"#!/bin/sh\ntest -e {tmp_path}/allowed\n")
    runner.has("test", f"#!/bin/sh\n[ -e {tmp_path}/allowed ]\n")
    runner.has("sysctl", f"#!/bin/sh\n: > {tmp_path}/allowed\n")
    assert runner.prepare().returncode == 0
    assert runner.started("sysctl") == ["sysctl -q -w kernel.apparmor_restrict_unprivileged_userns=0"]


def test_a_runner_without_user_namespaces_is_told_with_a_fix(runner: Runner) -> None:
    runner.has("setpriv")
    runner.has("sysctl", FAILS)
    runner.has("bwrap", FAILS)
    done = runner.prepare()
    assert done.returncode == 3
    assert "this runner allows no user namespaces" in done.stderr
    assert "in a container, run it with --privileged" in done.stderr
