"""Runs the steps of `action.yml` as GitHub's runner does: each `run:` as written, with the runner's files.

Of the expressions only those are known that the action uses; another one fails a test.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from graders.paths import REPOSITORY

ACTION: dict[str, Any] = yaml.safe_load((REPOSITORY / "action.yml").read_text(encoding="utf-8"))
STEPS: list[dict[str, Any]] = ACTION["runs"]["steps"]
SECRETS = {
    "GITHUB_TOKEN": "ghs_token-of-the-job",
    "ACTIONS_RUNTIME_TOKEN": "token-of-the-runtime",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "token-for-an-identity",
    "AZURE_CREDENTIALS": "secret-of-the-course",
}
"""What a job's environment may hold, and learner code must not."""

_EXPRESSION = re.compile(r"\$\{\{\s*([^}]*?)\s*\}\}")
_CONDITION = re.compile(r"((?:inputs|steps)\.[a-z.-]+) != ''")
_BLOCK = re.compile(r"^([\w-]+)<<(\S+)\n(.*?)\n\2$", re.MULTILINE | re.DOTALL)


@dataclass
class Job:
    """A job on a runner of which `folder` is the disk; `action` is where the action's repository is."""

    folder: Path
    action: Path
    inputs: dict[str, str]
    event: Mapping[str, str] = field(default_factory=dict)
    outputs: dict[str, dict[str, str]] = field(default_factory=dict)
    printed: dict[str, str] = field(default_factory=dict)
    codes: dict[str, int] = field(default_factory=dict)
    step_within_s: float = 600.0

    def __post_init__(self) -> None:
        for name in ("workspace", "temp", "home", "files"):
            (self.folder / name).mkdir(exist_ok=True)
        given = {name: str(each.get("default", "")) for name, each in ACTION["inputs"].items()}
        self.inputs = {**given, **self.inputs}

    @property
    def workspace(self) -> Path:
        return self.folder / "workspace"

    @property
    def summary(self) -> str:
        path = self.folder / "files" / "summary"
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def run(self, *, without: tuple[str, ...] = ()) -> int:
        """Every step that the runner comes to, but those that use another action; gives the job's code."""
        failed = 0
        for step in STEPS:
            if "run" in step and step["name"] not in without and self._wanted(step, failed=bool(failed)):
                failed = self.step(step) or failed
        return failed

    def _wanted(self, step: Mapping[str, Any], *, failed: bool) -> bool:
        """Whether the runner runs a step: after a failure only one that says so."""
        condition = str(step.get("if", "")).removeprefix("${{ ").removesuffix(" }}")
        terms = [term for term in condition.split(" && ") if term]
        whatever = "!cancelled()" in terms
        for term in terms:
            match = _CONDITION.fullmatch(term)
            assert match or term == "!cancelled()", term
            if match and not self._value(match[1]):
                return False
        return whatever or not failed

    def step(self, step: Mapping[str, Any]) -> int:
        """Run one step; gives its exit code."""
        name = step["name"]
        files = self.folder / "files"
        output = files / "output"
        output.write_text("")
        script = files / "script.sh"
        script.write_text(self._filled(step["run"]), encoding="utf-8")
        assert step["shell"] == "bash"
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", script],
            cwd=self.workspace,
            env={**self._environment(output), **{k: self._filled(v) for k, v in step.get("env", {}).items()}},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, timeout=self.step_within_s, check=False,
        )  # fmt: skip
        self.printed[name] = done.stdout
        self.codes[name] = done.returncode
        if "id" in step:
            self.outputs[step["id"]] = _read(output.read_text(encoding="utf-8"))
        return done.returncode

    def _environment(self, output: Path) -> dict[str, str]:
        files = self.folder / "files"
        for name in ("env", "path", "summary", "state"):
            (files / name).touch()
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder / "home"),
            "RUNNER_OS": "Linux",
            "RUNNER_TEMP": str(self.folder / "temp"),
            "GITHUB_WORKSPACE": str(self.workspace),
            "GITHUB_OUTPUT": str(output),
            "GITHUB_ENV": str(files / "env"),
            "GITHUB_PATH": str(files / "path"),
            "GITHUB_STEP_SUMMARY": str(files / "summary"),
            "GITHUB_ACTIONS": "true",
            "GITHUB_ACTOR": "ada",
            "GITHUB_REPOSITORY": "course/lab-ada",
            "GITHUB_EVENT_NAME": "push",
            "GITHUB_SHA": "1" * 40,
            **SECRETS,
            **self.event,
        }

    def _filled(self, text: str) -> str:
        return _EXPRESSION.sub(lambda match: self._value(match[1]), text)

    def _value(self, expression: str) -> str:
        room, *path = expression.split(".")
        match room, path:
            case "inputs", [name]:
                return self._filled(self.inputs[name])
            case "steps", [step, "outputs", name]:
                return self.outputs.get(step, {}).get(name, "")
            case "github", ["action_path"]:
                return str(self.action)
            case "github", ["actor"]:
                return "ada"
            case "runner", ["temp"]:
                return str(self.folder / "temp")
        raise AssertionError(f"an expression that no test knows: {expression}")


def installed_action(folder: Path) -> Path:
    """The action's repository with an environment as its install step leaves one, of this very Python."""
    folder.mkdir()
    for name in ("graders", "scripts", "labs", "rubrics", "requirements.lock"):
        (folder / name).symlink_to(REPOSITORY / name)
    programs = folder / ".venv" / "bin"
    programs.mkdir(parents=True)
    start = f"#!/bin/sh\nPYTHONPATH={REPOSITORY} exec {sys.executable}"
    (programs / "python").write_text(f'{start} "$@"\n')
    (programs / "kubeproof").write_text(f'{start} -m graders "$@"\n')
    for program in programs.iterdir():
        program.chmod(0o755)
    return folder


def _read(text: str) -> dict[str, str]:
    """Outputs as the runner reads them: NAME=VALUE, or NAME<<END, lines, END."""
    found = {match[1]: match[3] for match in _BLOCK.finditer(text)}
    for line in _BLOCK.sub("", text).splitlines():
        name, equals, value = line.partition("=")
        if line:
            assert equals, f"the runner refuses this line of outputs: {line!r}"
            found[name] = value
    return found
