"""What packages an operator needs, wherever that is written: in requirements.txt or pyproject.toml."""

import os
import tomllib
from pathlib import Path
from typing import Any

from graders.documents.wording import kind_of, printable
from graders.faults import BadSubmission
from graders.sandbox.requirements import (
    MOST_REQUIREMENTS,
    RUNNING,
    RequiredPackages,
    Requirements,
    read_requirement,
    read_requirements,
    read_text,
)

PROJECT = "pyproject.toml"

_MOST_BYTES = 256 * 1024
_AS_LIST = 'write a list of texts, as in `dependencies = ["kopf>=1.45,<1.46"]`'


def running_requirements(root: Path) -> Requirements:
    """What the operator of the submission at `root` needs: of requirements.txt, or else of pyproject.toml.

    Raises:
        BadSubmission: names file and line of what is no requirement by name, or of too much.
    """
    return read_requirements(root, RUNNING) if os.path.lexists(root / RUNNING) else of_project(root)


def passed_over(root: Path) -> str:
    """In words, what is written twice and read from requirements.txt; empty where nothing is."""
    if not os.path.lexists(root / RUNNING):
        return ""
    try:
        twice = of_project(root).wanted
    except BadSubmission:
        return ""
    return f"packages are read from {RUNNING}, not from the dependencies in {PROJECT}" if twice else ""


def of_project(root: Path) -> Requirements:
    """The `dependencies` of the table `project` in pyproject.toml; nothing without them.

    Raises:
        BadSubmission: they cannot be read.
    """
    if not os.path.lexists(root / PROJECT):
        return Requirements()
    text = read_text(root.resolve(), PROJECT, _MOST_BYTES)
    try:
        project = tomllib.loads(text).get("project") or {}
    except (ValueError, RecursionError) as error:
        problem = f"is not valid TOML: {printable(str(error), longest=200)}"
        raise BadSubmission(problem, file=PROJECT, fix="mend it, or hand in a requirements.txt") from error
    wanted = project.get("dependencies") if isinstance(project, dict) else None
    if wanted is None:
        return Requirements()
    lines = text.splitlines()
    at = _line(lines, "dependencies")
    if not isinstance(wanted, list):
        raise BadSubmission(f"dependencies is {kind_of(wanted)}", file=PROJECT, line=at, fix=_AS_LIST)
    if len(wanted) > MOST_REQUIREMENTS:
        problem = f"over {MOST_REQUIREMENTS} requirements"
        raise BadSubmission(problem, file=PROJECT, line=at, fix="require what you use")
    return Requirements(tuple(_one(entry, lines, at) for entry in wanted))


def _one(entry: Any, lines: list[str], at: int) -> RequiredPackages:
    if not isinstance(entry, str):
        raise BadSubmission(f"dependencies holds {kind_of(entry)}", file=PROJECT, line=at, fix=_AS_LIST)
    return read_requirement(entry, PROJECT, _line(lines, entry, at))


def _line(lines: list[str], holds: str, otherwise: int = 1) -> int:
    return next((number for number, line in enumerate(lines, start=1) if holds in line), otherwise)
