"""What gitleaks finds in the history of a repository, with settings of ours alone."""

import json
import subprocess
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from graders.faults import InfraFault
from graders.process import run_to_end

_TIMEOUT_S = 60
_FOUND = 3
"""The exit status that says so, which no failure has."""


@dataclass(frozen=True)
class Leak:
    """One finding: by which rule, and where."""

    rule: str
    file: str
    line: int
    commit: str


def leaks(
    program: Path, settings: Path, clone: Path, report: Path, without: Collection[str] = ()
) -> Iterator[Leak]:
    """The findings in every commit of `clone` but those of `without`; `report` is a new file.

    What a repository says about gitleaks itself has no say: no settings, no ignored findings.

    Raises:
        InfraFault: gitleaks fails.
    """
    nowhere = report.parent / "no-such-folder"
    command: list[str | Path] = [
        program, "git", "--config", settings, "--gitleaks-ignore-path", nowhere, "--ignore-gitleaks-allow",
        "--max-target-megabytes", "5", "--timeout", str(_TIMEOUT_S), "--exit-code", str(_FOUND),
        "--report-format", "json", "--report-path", report, "--redact", "--no-banner", "--log-level", "error",
        clone,
    ]  # fmt: skip
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(report.parent), "GIT_CONFIG_NOSYSTEM": "1"}
    try:
        status, _, said = run_to_end(command, environment=environment, timeout_s=_TIMEOUT_S + 10.0)
    except subprocess.TimeoutExpired as error:
        raise InfraFault(f"gitleaks did not end within {_TIMEOUT_S} s") from error
    if status not in (0, _FOUND):
        raise InfraFault(f"gitleaks failed: {said.decode('utf-8', 'replace').strip()[-300:]}")
    for each in json.loads(report.read_text("utf-8")):
        if each["Commit"] not in without:
            yield Leak(str(each["RuleID"]), str(each["File"]), int(each["StartLine"]), str(each["Commit"]))
