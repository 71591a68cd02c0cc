"""Publishes what a grading left: outputs, summary and annotations of the job that it was a step of."""

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from graders.faults import UsageError
from graders.github.runner import RunnerFiles, command
from graders.reports import load_report
from graders.reports.annotations import SCHEMA
from graders.reports.registry import EXPORTERS, SIGNATURE

SHOWN = 10
"""Annotations of one level that GitHub shows of one step."""

_LEVELS = ("failure", "warning", "notice")
_NONE = "kubeproof ended before there was a report: its own message is in the log of the step that grades"


@dataclass(frozen=True)
class Published:
    """What a folder of results says to a workflow; `lines` are commands for standard output."""

    outputs: Mapping[str, str]
    summary: str
    lines: tuple[str, ...]


def published(out: Path, *, submission: PurePosixPath, workspace: Path) -> Published:
    """Read the folder `out` of a grading; `submission` is its submission's folder in the `workspace`.

    A folder without a report of kubeproof's, or with one that somebody else wrote, is told as not graded.
    """
    try:
        report = load_report(out / "report.json")
    except UsageError as error:
        told = _NONE if not (out / "report.json").exists() else str(error)
        outputs = {
            "verdict": "ungraded",
            **dict.fromkeys(("score", "possible", "percent", "report", "result"), ""),
        }
        line = command("failure", f"{told}. This is no zero.", title="kubeproof: not graded")
        return Published(outputs, f"## Not graded\n\n{_NONE}. This is no zero.\n", (line,))
    return Published(
        _outputs(report, out),
        _text(out, "summary"),
        tuple(_commands(out, submission, workspace)),
    )


def write(found: Published, files: RunnerFiles) -> None:
    """Hand it to the runner, but for the commands."""
    files.write_outputs(found.outputs)
    files.write_summary(found.summary)


def _outputs(report: Mapping[str, Any], out: Path) -> dict[str, str]:
    result = _text(out, "autograding").strip()
    return {
        "verdict": str(report["verdict"]),
        "score": _number(report["total"]),
        "possible": _number(report["possible"]),
        "percent": _number(report["percent"]),
        "report": str(out / "report.json"),
        "result": base64.b64encode(result.encode()).decode() if result else "",
        "signed": str((out / SIGNATURE).is_file()).lower(),
    }


def _number(value: float | None) -> str:
    """Empty where nothing was graded: a workflow that reads a zero has to have written it itself."""
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _text(out: Path, name: str) -> str:
    path = out / EXPORTERS[name].file_name
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _commands(out: Path, submission: PurePosixPath, workspace: Path) -> Iterator[str]:
    shown = dict.fromkeys(_LEVELS, 0)
    for each in _annotations(_text(out, "annotations")):
        level = str(each.get("level"))
        if level not in shown or shown[level] == SHOWN:
            continue
        shown[level] += 1
        file = _in_workspace(each.get("path"), submission, workspace)
        line = each.get("line")
        yield command(
            level,
            str(each.get("message")),
            title=f"kubeproof: {each.get('title')}",
            file=file,
            line=line if isinstance(line, int) else None,
        )


def _annotations(text: str) -> list[dict[str, Any]]:
    document = json.loads(text) if text else {}
    if document.get("schema") != SCHEMA:
        return []
    return list(document["annotations"])


def _in_workspace(path: object, submission: PurePosixPath, workspace: Path) -> str:
    """The file as the workspace has it; empty for one that is not there, which GitHub could not show."""
    if not isinstance(path, str):
        return ""
    place = PurePosixPath(submission, path)
    file = workspace / place
    inside = file.resolve().is_relative_to(workspace.resolve())
    return str(place) if inside and file.is_file() and not file.is_symlink() else ""
