"""Reads a notebook of format 4: what some cells printed, and the Markdown between cells. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from graders.kube.nesting import read_json, shallow


@dataclass(frozen=True)
class NotebookText:
    """What `tagged` cells printed, one text a cell, and all Markdown cells as one text."""

    tagged: tuple[str, ...]
    markdown: str


def read_notebook(text: str, tag: str) -> NotebookText:
    """The text of a notebook whose cells were executed; `tagged` are those with `tag`.

    Raises:
        ValueError: it is no notebook of format 4; says why.
    """
    try:
        notebook = shallow(read_json(text.encode()))
        cells = [cell for cell in notebook["cells"] if isinstance(cell, dict)]
        tagged = [_printed(cell) for cell in cells if tag in (cell.get("metadata") or {}).get("tags", ())]
        told = [_joined(cell["source"]) for cell in cells if cell.get("cell_type") == "markdown"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(repr(error)) from error
    return NotebookText(tuple(tagged), "\n\n".join(told))


def _printed(cell: dict[str, Any]) -> str:
    """The text that a cell printed, or showed as its value."""
    parts = []
    for output in cell.get("outputs") or ():
        if output.get("output_type") == "stream" and output.get("name") == "stdout":
            parts.append(_joined(output["text"]))
        elif "data" in output:
            parts.append(_joined(output["data"].get("text/plain", "")))
    return "".join(parts)


def _joined(text: str | list[str]) -> str:
    """Notebooks have text in one piece, or line by line."""
    return text if isinstance(text, str) else "".join(text)
