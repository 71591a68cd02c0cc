"""Reads a notebook of format 4: what some cells printed, and the Markdown between cells. Pure."""

from dataclasses import dataclass
from typing import Any

from graders.documents.frontmatter import FENCE
from graders.faults import Unmet
from graders.kube.nesting import read_json, shallow
from graders.notebooks.records import WITHIN_S, ExecutedNotebook


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


def as_markdown(executed: ExecutedNotebook | None, file: str, tag: str) -> str:
    """An executed notebook as Markdown: what the cell with `tag` printed as front matter, then the text.

    Raises:
        Unmet: it could not be executed, or has no such cell.
    """
    if executed is None or (how := _failure(executed)):
        raise Unmet(
            f"a notebook whose cells can be executed, without network, in {WITHIN_S:g} s",
            f"it {how if executed is not None else 'was not executed'}",
            hint="Restart its kernel and run all cells, without a network, until none fails.",
        )
    try:
        told = read_notebook(executed.text, tag)
    except ValueError as error:
        raise Unmet("a notebook of format 4", f"{file}: {error}") from error
    front = told.tagged
    if len(front) != 1 or not front[0].strip():
        raise Unmet(
            f"one cell tagged {tag} that prints the front matter",
            f"there are {len(front)}, and they print {len(''.join(front))} characters",
            hint=f"Tag the cell {tag}, and let it print YAML.",
        )
    return f"{FENCE}\n{front[0].strip()}\n{FENCE}\n\n{told.markdown}\n"


def _failure(executed: ExecutedNotebook) -> str:
    """How it went wrong; empty where all cells were executed."""
    if not executed.ok:
        return executed.how
    return "" if executed.text else "ended before its last cell did"


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
