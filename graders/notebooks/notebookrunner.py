"""Executes a notebook, in a sandbox, by itself: `notebookrunner.py NOTEBOOK OUTPUT`.

In this process, with IPython's shell: a kernel would want to schedule its threads, which no sandbox allows.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output


def main(source: str, target: str) -> int:
    """Execute all code cells in their order; write the notebook with what they printed, if none failed."""
    try:
        notebook = json.loads(Path(source).read_text(encoding="utf-8-sig"))
        cells = [(cell, _source(cell)) for cell in notebook["cells"]]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return _told(f"{source} is no notebook of format 4: {error!r}")
    shell = InteractiveShell.instance()
    for number, (cell, code) in enumerate(cells, start=1):
        if cell.get("cell_type") != "code":
            continue
        with capture_output(display=False) as captured:
            done = shell.run_cell(code, store_history=True)
        if not done.success:
            return _told(f"cell {number} failed: {done.error_before_exec or done.error_in_exec!r}")
        cell["outputs"] = _outputs(captured.stdout, done.result)
    try:
        Path(target).write_text(json.dumps(notebook), encoding="utf-8")
    except OSError as error:
        return _told(f"what its cells print takes more room than there is: {error.strerror}")
    return 0


def _told(why: str) -> int:
    sys.stderr.write(f"{why}\n")
    return 1


def _source(cell: Any) -> str:
    text = cell["source"]
    return text if isinstance(text, str) else "".join(text)


def _outputs(printed: str, value: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if printed:
        found.append({"output_type": "stream", "name": "stdout", "text": printed})
    elif value is not None:
        found.append({"output_type": "execute_result", "data": {"text/plain": str(value)}})
    return found


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
