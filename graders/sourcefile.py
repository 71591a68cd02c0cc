"""One file of Python source, read and not run: what it imports, what it names, what it does."""

import ast
import hashlib
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_LITERAL = re.compile(r"""["']([\w.+-]+)(?::\w+)?["']""")
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")
"""The fields of a statement, and of the parts of one, that hold statements."""


@dataclass(frozen=True)
class SourceFile:
    """What stands in a file.

    `imports` are full names, as far as the source says; `literals` are texts like names in quotes, without
    what follows a colon. `meaning` is a digest, the same for two texts that differ in comments, layout and
    docstrings alone; the docstring of what is decorated counts, for a decorator may read it.
    """

    imports: frozenset[str]
    literals: frozenset[str]
    meaning: str

    @property
    def outside(self) -> frozenset[str]:
        """The top-level packages that it imports and that do not come with Python."""
        return frozenset(name.partition(".")[0] for name in self.imports) - sys.stdlib_module_names


@cache
def read_source(file: Path) -> SourceFile:
    """Read a file.

    Raises:
        SyntaxError: it is no Python. OSError: it cannot be read.
    """
    text = file.read_text(encoding="utf-8")
    tree = ast.parse(text, file)
    imports: set[str] = set()
    for node in _statements(tree):
        if isinstance(node, ast.Import):
            imports.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            imports.update((node.module, *(f"{node.module}.{alias.name}" for alias in node.names)))
        elif isinstance(node, _DEFINITIONS) and not node.decorator_list:
            _without_docstring(node)
    _without_docstring(tree)
    meaning = hashlib.sha256(ast.dump(tree).encode("utf-8", "surrogatepass")).hexdigest()
    return SourceFile(frozenset(imports), frozenset(_LITERAL.findall(text)), meaning)


def _statements(tree: ast.Module) -> Iterator[ast.AST]:
    """The module and every statement in it; expressions, which are most of a tree, hold none."""
    to_visit: list[ast.AST] = [tree]
    while to_visit:
        node = to_visit.pop()
        yield node
        for name in _BLOCKS:
            to_visit += getattr(node, name, ())


def _without_docstring(node: ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> None:
    if ast.get_docstring(node, clean=False) is not None:
        del node.body[0]
