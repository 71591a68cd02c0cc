"""Reads the inputs of the action and sees that they can be meant, before anything is installed.

The action's first step runs this file with the runner's own Python, so it needs nothing but the standard
library: `python3 -m graders.github.inputs`. Inputs are in variables (INPUT_LAB, …), never in a script's text.
"""

import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath

from graders.faults import UsageError
from graders.github.runner import command, runner_files

ROOT = Path(__file__).resolve().parents[2]

PROVIDERS = ("embedded", "kind")
LOCKS = ("requirements.lock", "graders/**/*requirements.txt", "graders/**/go.mod", "graders/**/go.sum")
"""What decides which programs are in the cache, besides the machine."""

_LAB = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_PERCENT = re.compile(r"100(?:\.0+)?|\d{1,2}(?:\.\d+)?")
_PRIVILEGED = ("pull_request_target", "workflow_run")
_NOT_HERE = {
    "--sandbox": "learner code would run beside the runner's tokens",
    "--kubeconfig": "the key of a cluster would be beside learner code",
    "--keep": "nobody could end it",
    "--out": "the action names it",
    "--provider": "it is an input of its own",
    "--fail-under": "it is an input of its own",
}
_HEADERS = r"^http\..*\.extraheader$"


def problems_of(environment: Mapping[str, str]) -> Iterator[str]:
    """What keeps the action from grading, each with its fix; nothing where all is well."""
    event = environment.get("GITHUB_EVENT_NAME", "")
    if event in _PRIVILEGED:
        yield (
            f"on: {event} has your secrets and a token that may write, beside somebody else's code. "
            "Fix: use on: push, or on: pull_request, which has neither for a fork"
        )
    if environment.get("RUNNER_OS", "Linux") != "Linux":
        yield f"runs-on is {environment['RUNNER_OS']}, and clusters need Linux. Fix: runs-on: ubuntu-24.04"
    for check in (_lab, _submission, _course, _provider, _fail_under, _args):
        if problem := check(environment):
            yield problem


def remarks_of(environment: Mapping[str, str]) -> Iterator[str]:
    """What a reader of the run should know."""
    if _is_of_fork(environment):
        yield (
            "this is a fork's pull request: GitHub gives it no secrets and a token that only reads, so the "
            "report is not signed, and says nothing to anybody but its author"
        )
    if _keeps_token(environment):
        yield (
            "the checkout left its token in the workspace; learner code cannot see it from the sandbox, but "
            "it need not be there. Fix: persist-credentials: false under with: of actions/checkout"
        )


def lock_digest(root: Path = ROOT) -> str:
    """One digest of all that pins the programs of kubeproof, and of learners' Python and Go."""
    total = hashlib.sha256()
    for path in sorted({path for pattern in LOCKS for path in root.glob(pattern)}):
        total.update(f"{path.relative_to(root)} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()


def _lab(environment: Mapping[str, str]) -> str:
    lab = environment.get("INPUT_LAB", "")
    if not lab:
        return "the input lab is missing. Fix: add `lab: 1` under with:"
    return (
        ""
        if _LAB.fullmatch(lab)
        else f"lab {lab!r} is no lab. Fix: name it by its slug, as in labs/, or its number"
    )


def _submission(environment: Mapping[str, str]) -> str:
    given = environment.get("INPUT_SUBMISSION", "")
    if not given:
        return "the input submission is missing. Fix: add `submission: .` under with:, or the folder it is in"
    return _inside("submission", given, environment)


def _course(environment: Mapping[str, str]) -> str:
    given = environment.get("INPUT_COURSE", "")
    # A course is code that runs with the grader's rights: its checks, its scenarios.
    return _inside("course", given, environment) if given else ""


def _inside(name: str, given: str, environment: Mapping[str, str]) -> str:
    workspace = Path(environment.get("GITHUB_WORKSPACE", "."))
    path = PurePosixPath(given)
    if path.is_absolute() or ".." in path.parts:
        return f"{name} {given!r} leads out of the workspace. Fix: name it relative to the repository's root"
    found = workspace / path
    if not found.exists():
        return (
            f"{name} {given!r} is not in the workspace. Fix: put actions/checkout before this step, "
            "and name the path relative to the repository's root"
        )
    if not found.resolve().is_relative_to(workspace.resolve()):
        return f"{name} {given!r} is a link that leads out of the workspace. Fix: hand in the folder itself"
    return ""


def _provider(environment: Mapping[str, str]) -> str:
    given = environment.get("INPUT_PROVIDER", "")
    if not given or given in PROVIDERS:
        return ""
    return f"provider {given!r} cannot be used here. Fix: choose from {', '.join(PROVIDERS)}"


def _fail_under(environment: Mapping[str, str]) -> str:
    given = environment.get("INPUT_FAIL_UNDER", "")
    if not given or _PERCENT.fullmatch(given):
        return ""
    return f"fail-under {given!r} is no percentage. Fix: use a number from 0 to 100"


def _args(environment: Mapping[str, str]) -> str:
    try:
        words = shlex.split(environment.get("INPUT_ARGS", ""))
    except ValueError as error:
        return f"args: {error}. Fix: close every quote"
    for word in words:
        if (reason := _NOT_HERE.get(word.partition("=")[0])) is not None:
            return f"args: {word} is not possible here: {reason}. Fix: leave it out"
    return ""


def _is_of_fork(environment: Mapping[str, str]) -> bool:
    try:
        event = json.loads(Path(environment["GITHUB_EVENT_PATH"]).read_text(encoding="utf-8"))
        return bool(event["pull_request"]["head"]["repo"]["full_name"] != event["repository"]["full_name"])
    except (KeyError, OSError, TypeError, ValueError):
        return False


def _keeps_token(environment: Mapping[str, str]) -> bool:
    workspace = environment.get("GITHUB_WORKSPACE", "")
    if not workspace:
        return False
    ask = ["git", "-C", workspace, "config", "--includes", "--get-regexp", _HEADERS]
    try:
        return subprocess.run(ask, capture_output=True, check=False, timeout=20).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def main(environment: Mapping[str, str], say: Callable[[str], None]) -> int:
    """Tell what is wrong or worth knowing as annotations; gives the exit code, 2 if something is wrong."""
    try:
        files = runner_files(environment)
    except UsageError as error:
        say(str(error))
        return 2
    for remark in remarks_of(environment):
        say(command("notice", remark, title="kubeproof"))
    problems = list(problems_of(environment))
    for problem in problems:
        say(command("failure", problem, title="kubeproof: this workflow cannot grade"))
    if not problems:
        files.write_outputs({"lock": lock_digest()})
    return 2 if problems else 0


if __name__ == "__main__":
    sys.exit(main(os.environ, print))
