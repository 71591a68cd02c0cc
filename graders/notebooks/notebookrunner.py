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
    notebook = json.loads(Path(source).read_text(encoding="utf-8"))
    shell = InteractiveShell.instance()
    for number, cell in enumerate(notebook["cells"], start=1):
        if cell.get("cell_type") != "code":
            continue
        code = cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])
        with capture_output(display=False) as captured:
            done = shell.run_cell(code, store_history=True)
        if not done.success:
            sys.stderr.write(f"cell {number} failed: {done.error_before_exec or done.error_in_exec!r}\n")
            return 1
        cell["outputs"] = _outputs(captured.stdout, done.result)
    Path(target).write_text(json.dumps(notebook), encoding="utf-8")
    return 0


def _outputs(printed: str, value: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if printed and value is None:
        found.append({"output_type": "stream", "name": "stdout", "text": printed})
    if value is not None:
        found.append({"output_type": "execute_result", "data": {"text/plain": str(value)}})
    return found


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
