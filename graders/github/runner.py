"""How a step talks to GitHub's runner: commands on standard output, and files that it names in variables.

Formats are those of "Workflow commands for GitHub Actions"; whatever is in a text, it stays one value of one
command.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from graders.faults import UsageError

SUMMARY_LIMIT = 1024 * 1024
"""Bytes that one step may write to the job's summary; of more, GitHub shows nothing."""

_VALUE = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A"})
_PROPERTY = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A", ":": "%3A", ",": "%2C"})
_COMMANDS = {"failure": "error", "warning": "warning", "notice": "notice"}


def command(level: str, message: str, *, title: str = "", file: str = "", line: int | None = None) -> str:
    """The line that has the runner make an annotation; `level` is `failure`, `warning` or `notice`."""
    properties = {"file": file, "line": str(line) if file and line else "", "title": title}
    given = ",".join(f"{name}={value.translate(_PROPERTY)}" for name, value in properties.items() if value)
    return f"::{_COMMANDS[level]}{' ' if given else ''}{given}::{message.translate(_VALUE)}"


@dataclass(frozen=True)
class RunnerFiles:
    """The files that the runner reads when a step has ended."""

    output: Path
    summary: Path

    def write_outputs(self, outputs: Mapping[str, str]) -> None:
        """Add outputs of the step; a value may have any number of lines, and cannot end its own quoting."""
        with self.output.open("a", encoding="utf-8") as file:
            for name, value in outputs.items():
                end = f"kubeproof-{secrets.token_hex(16)}"
                file.write(f"{name}<<{end}\n{value}\n{end}\n")

    def write_summary(self, markdown: str) -> None:
        """Add to the job's summary, unless that is more than GitHub shows."""
        if len(markdown.encode()) <= SUMMARY_LIMIT:
            with self.summary.open("a", encoding="utf-8") as file:
                file.write(markdown.rstrip("\n") + "\n\n")


def runner_files(environment: Mapping[str, str]) -> RunnerFiles:
    """The files of the step that this is.

    Raises:
        UsageError: it is none of GitHub's.
    """
    found = {name: environment.get(name, "") for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    for name, value in found.items():
        if not value:
            raise UsageError(
                f"{name} is not set: this is no step of a GitHub workflow",
                fix="run it in a workflow, or read report.html, which needs none",
            )
    return RunnerFiles(Path(found["GITHUB_OUTPUT"]), Path(found["GITHUB_STEP_SUMMARY"]))
