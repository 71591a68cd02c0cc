"""Git, run by the harness: no hook, nothing of a user's configuration, and nobody is asked anything."""

import subprocess
from pathlib import Path

from graders.faults import InfraFault


def git_environment(home: Path) -> dict[str, str]:
    """What git is started with."""
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": str(home),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_TERMINAL_PROMPT": "0",
    }


def git_identity(name: str, address: str) -> dict[str, str]:
    """Who makes a commit, as variables of git's environment."""
    return {
        f"GIT_{who}_{what}": value
        for who in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", name), ("EMAIL", address))
    }


def run_git(
    folder: Path,
    *arguments: str | Path,
    identity: dict[str, str] | None = None,
    settings: tuple[str, ...] = (),
) -> bytes:
    """What git prints in a folder; `settings` are added to its own, as `KEY=VALUE`.

    Raises:
        InfraFault: it fails; says what it said.
    """
    options = [part for each in ("core.hooksPath=/dev/null", *settings) for part in ("-c", each)]
    done = subprocess.run(
        ["git", "-C", folder, *options, *arguments],
        capture_output=True,
        check=False,
        env={**git_environment(folder), **(identity or {})},
    )
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip()[-400:]
        raise InfraFault(f"git {arguments[0]} failed: {said}")
    return done.stdout
