"""Notebooks: what a runner says of one that cannot be executed, and what is read out of one that was."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from graders.faults import Unmet
from graders.notebooks import executing
from graders.notebooks.reading import as_markdown
from graders.notebooks.records import ExecutedNotebook

RUNNER = Path(executing.__file__).with_name("notebookrunner.py")
SHELL = """
import contextlib, io, types
class InteractiveShell:
    @classmethod
    def instance(cls): return cls()
    def run_cell(self, code, store_history):
        value = None
        try:
            *before, last = code.split(chr(10))
            exec(chr(10).join(before))
            value = eval(last)
            error = None
        except Exception as told:
            error = told
        return types.SimpleNamespace(
            success=error is None, result=value, error_in_exec=error, error_before_exec=None
        )
class capture_output(contextlib.AbstractContextManager):
    def __init__(self, display): self.stdout = ""
    def __enter__(self):
        self._text = io.StringIO()
        self._told = contextlib.redirect_stdout(self._text)
        self._told.__enter__()
        return self
    def __exit__(self, *error):
        self._told.__exit__(*error)
        self.stdout = self._text.getvalue()
"""


def run(folder: Path, notebook: str, target: str = "out.ipynb") -> tuple[int, str]:
    """How the runner ends, with a shell like IPython's, and what it says."""
    for module in ("IPython/core/interactiveshell.py", "IPython/utils/capture.py"):
        (folder / module).parent.mkdir(parents=True, exist_ok=True)
        (folder / module).write_text(SHELL)
    (folder / "in.ipynb").write_text(notebook)
    ended = subprocess.run(
        [sys.executable, RUNNER, "in.ipynb", target],
        cwd=folder, env={"PYTHONPATH": str(folder)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return ended.returncode, ended.stderr


def notebook(*cells: str) -> str:
    found: list[Any] = [
        {"cell_type": "code", "source": each, "metadata": {"tags": ["front"]}} for each in cells
    ]
    return json.dumps({"nbformat": 4, "cells": found})


@pytest.mark.parametrize(
    "text", ['{"cells": [', "[]", '{"nbformat": 3, "worksheets": []}', '{"cells": [{}]}']
)
def test_what_is_no_notebook_is_said_without_a_traceback(tmp_path: Path, text: str) -> None:
    code, said = run(tmp_path, text)
    assert code == 1
    assert said.startswith("in.ipynb is no notebook of format 4: ")
    assert len(said.splitlines()) == 1


def test_a_cell_that_fails_is_named(tmp_path: Path) -> None:
    assert run(tmp_path, notebook("1", "nothing.at_all")) == (
        1, "cell 2 failed: NameError(\"name 'nothing' is not defined\")\n",
    )  # fmt: skip


def test_what_takes_more_room_than_there_is_is_said(tmp_path: Path) -> None:
    assert run(tmp_path, notebook("1"), "/dev/full") == (
        1, "what its cells print takes more room than there is: No space left on device\n",
    )  # fmt: skip


def test_what_a_cell_prints_counts_before_its_value(tmp_path: Path) -> None:
    assert run(tmp_path, notebook("print('a: 1')\n17")) == (0, "")
    executed = ExecutedNotebook(0.0, True, "exited with code 0", (tmp_path / "out.ipynb").read_text())
    assert as_markdown(executed, "in.ipynb", "front").startswith("---\na: 1\n---\n")


@pytest.mark.parametrize(
    ("executed", "seen"),
    [
        (None, "it was not executed"),
        (ExecutedNotebook(0.0, False, "exited with code 1: cell 3 failed", ""), "cell 3 failed"),
        (ExecutedNotebook(0.0, True, "exited with code 0", ""), "it ended before its last cell did"),
    ],
)
def test_one_that_was_not_executed_to_its_end_has_a_next_step(
    executed: ExecutedNotebook | None, seen: str
) -> None:
    with pytest.raises(Unmet) as told:
        as_markdown(executed, "report.ipynb", "front-matter")
    assert told.value.observed.endswith(seen)
    assert "run all cells" in told.value.hint
