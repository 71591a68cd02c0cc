"""Applies `change.patch`, the difference between a solution and the reference it is made of.

`git apply` does it: it has no fuzz, takes all hunks or none, and knows files that come, go and end without a
newline. It runs as if there were no repository and no configuration.
"""

import os
import re
import shutil
from pathlib import Path

from graders.faults import CourseError, InfraFault
from graders.process import run_to_end

PATCH = "change.patch"
"""What the file is called, beside `expected.yaml`."""

_UNFIT = re.compile(r"error: patch failed: (?P<file>.*):(?P<at>\d+)")
_CORRUPT = re.compile(r"error: corrupt patch at (?:.*:|line )(?P<line>\d+)")
_OTHER = re.compile(r"error: (?P<file>[^:]+): (?P<problem>.*)")


def apply_patch(patch: Path, root: Path) -> None:
    """Change the files under `root` as `patch` says: all of it, or nothing.

    Raises:
        CourseError: it does not fit; says which hunk. InfraFault: there is no git on this machine.
    """
    if shutil.which("git") is None:
        raise InfraFault(
            f"{patch} cannot be applied: there is no git on this machine",
            fix="install git: `apt-get install git`, or your system's own way",
        )
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CEILING_DIRECTORIES": str(root.resolve().parent),
    }
    command: list[str | Path] = ["git", "apply", "--whitespace=nowarn", patch.resolve()]
    status, _, errors = run_to_end(command, environment=environment, folder=root, timeout_s=60)
    if status:
        raise _refusal(patch, errors.decode("utf-8", "replace"))


def _refusal(patch: Path, errors: str) -> CourseError:
    corrupt, unfit, other = (rule.search(errors) for rule in (_CORRUPT, _UNFIT, _OTHER))
    again = f"make the change anew in a copy of the reference; docs/solutions.md says how to write {PATCH}"
    if corrupt:
        return CourseError(
            "this is no unified diff: a hunk is longer or shorter than it says",
            file=patch,
            line=int(corrupt["line"]),
            fix=again,
        )
    if unfit:
        line, hunk = _hunk(patch, unfit["file"], int(unfit["at"]))
        return CourseError(
            f"hunk {hunk} no longer fits {unfit['file']}: what stands there has changed",
            file=patch,
            line=line,
            fix=again,
        )
    if other:
        line = _hunk(patch, other["file"])[0]
        return CourseError(
            f"it does not fit {other['file']}: {other['problem']}", file=patch, line=line, fix=again
        )
    return CourseError(f"it cannot be applied: {errors.strip()[-300:]}", file=patch, line=1, fix=again)


def _hunk(patch: Path, file: str, at: int | None = None) -> tuple[int, str]:
    """The line in `patch` of the hunk that changes `file` from its line `at` on, and that hunk's heading."""
    inside, start = False, 1
    for number, line in enumerate(patch.read_text("utf-8", "replace").splitlines(), 1):
        if line.startswith("diff --git ") or (line.startswith("--- ") and not inside):
            inside = line.split()[2:3] == [f"a/{file}"] or line.split()[1:2] == [f"a/{file}"]
            start = number if inside else start
        heading = re.match(r"@@ -(\d+)[^@]*@@", line) if inside else None
        if heading and at is not None and int(heading[1]) == at:
            return number, heading[0]
    return start, ""
