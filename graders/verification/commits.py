"""Takes a learner's files from a commit, without running anything that their repository may hold.

The repository is cloned through git's own transport, so none of its configuration or hooks is read by the
checkout; filters, such as those of LFS, and submodules stay off.
"""

import os
import re
import subprocess
from pathlib import Path

from graders.faults import InfraFault, UsageError
from graders.process import run_to_end

_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_WITHIN_S = 300.0


def is_repository(path: Path) -> bool:
    """Whether a submission is a clone or a bare repository, of which a commit can be taken."""
    return (path / ".git").exists() or ((path / "HEAD").is_file() and (path / "objects").is_dir())


def checked_out(repository: Path, ref: str, destination: Path) -> str:
    """Put the files of `ref` into the new folder `destination`; gives the commit.

    Raises:
        UsageError: the repository has no such commit. InfraFault: git is not there, or failed.
    """
    if ref.startswith("-"):
        raise UsageError(f"{ref!r} is no commit", file=repository)
    source = repository.resolve()
    said = _git(
        "clone", "--quiet", "--no-local", "--no-checkout", "--template=", f"file://{source}", destination
    )
    if said is None:
        raise UsageError("this repository cannot be cloned", file=repository, fix="clone it anew with git")
    # What a branch is called here is a remote's there.
    wanted = [ref] if _COMMIT.fullmatch(ref) or ref == "HEAD" else [f"origin/{ref}", ref]
    commit = next((found for each in wanted if (found := _commit(destination, each))), None)
    if commit is None:
        raise UsageError(
            f"there is no commit {ref!r} here", file=repository, fix="fetch it, or name another --ref"
        )
    if _git("-C", destination, "checkout", "--quiet", "--detach", commit) is None:
        raise UsageError(f"the files of {commit} cannot be checked out", file=repository)
    return commit


def _commit(folder: Path, name: str) -> str | None:
    found = _git("-C", folder, "rev-parse", "--quiet", "--verify", "--end-of-options", f"{name}^{{commit}}")
    return found.strip() if found else None


def _git(*arguments: str | Path) -> str | None:
    """What git printed; None where it failed."""
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": "C.UTF-8",
        "HOME": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
        # Clones that somebody else owns are read by their objects alone.
        "GIT_CONFIG_COUNT": "2",
        "GIT_CONFIG_KEY_0": "safe.directory",
        "GIT_CONFIG_VALUE_0": "*",
        "GIT_CONFIG_KEY_1": "core.hooksPath",
        "GIT_CONFIG_VALUE_1": os.devnull,
    }
    try:
        code, printed, _ = run_to_end(["git", *arguments], environment=environment, timeout_s=_WITHIN_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InfraFault(f"git failed: {error}", fix="install git") from error
    if code == 127:
        raise InfraFault("git is not installed", fix="install git")
    return printed.decode("utf-8", "replace") if code == 0 else None
