"""What code depends on: the import closure of modules, and the files beside them that they name.

A file that a module reads or runs without importing it (a lock, a Go module, a program for the sandbox) is
found by its name: a literal in the module's source that is the name of such a file or folder.
"""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePath

import grimp

import graders

PACKAGE = graders.__name__
_ROOT = Path(graders.__file__).resolve().parent
_LITERAL = re.compile(r"""["']([\w.+-]+)["']""")
_NEVER = ("__pycache__",)


@dataclass(frozen=True)
class Closure:
    """The modules of this package that some modules need to run, themselves among them, and their files."""

    modules: frozenset[str]
    files: tuple[Path, ...]

    def digest(self, *more: Path) -> str:
        """One digest of all these files and of those in `more`, files or folders; where they lie counts.

        That is where in their course: it is the same wherever the course and this checkout are.
        """
        total = hashlib.sha256()
        files = {*self.files, *(file for each in more for file in _files_in(each))}
        for place, path in sorted((_place_of(path), path) for path in files):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            total.update(f"{place.as_posix()} {content}\n".encode())
        return total.hexdigest()


def _place_of(path: Path) -> PurePath:
    """Where a file lies in its course, which may lie within the checkout."""
    roots = sorted((Path(entry).parent for entry in graders.__path__), key=lambda root: -len(root.parts))
    return next((path.relative_to(root) for root in roots if path.is_relative_to(root)), PurePath(path.name))


def closure_of(roots: Collection[str], *, without: Collection[str] = ()) -> Closure:
    """All that importing `roots` imports, module for module, but nothing that only those in `without` need.

    Raises:
        ValueError: a root is no module of this package.
    """
    if absent := sorted(root for root in roots if not _is_module(root)):
        raise ValueError(f"no modules of {PACKAGE}: {', '.join(absent)}")
    found: set[str] = set()
    to_visit = list(roots)
    while to_visit:
        module = to_visit.pop()
        if module in found or module in without:
            continue
        found.add(module)
        to_visit += _imported_by(module)
        to_visit += _scripts_named_in(module)
    packages = {parent for module in found for parent in _parents(module)}
    return Closure(frozenset(found), tuple(sorted(_files_of(found | packages))))


def modules_below(package: str) -> frozenset[str]:
    """A package and all modules in it."""
    if package in _graph().modules:
        return frozenset({package, *_graph().find_descendants(package)})
    folder = _file_of(package).parent
    names = (path.relative_to(folder).with_suffix("").parts for path in folder.rglob("*.py"))
    return frozenset(".".join((package, *(part for part in name if part != "__init__"))) for name in names)


def _is_module(name: str) -> bool:
    return name in _graph().modules or _file_of(name).is_file()


def _imported_by(module: str) -> Iterator[str]:
    """What a module imports of this package; one of another course's labs is not in the graph, but read."""
    if module in _graph().modules:
        yield from _graph().find_modules_directly_imported_by(module)
        return
    for node in ast.walk(ast.parse(_file_of(module).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        yield from (name for name in names if name.startswith(f"{PACKAGE}.") and _is_module(name))


@cache
def _graph() -> grimp.ImportGraph:
    # Without its cache: that goes by times of change, which two checkouts may share.
    return grimp.build_graph(PACKAGE, cache_dir=None)


def _parents(module: str) -> Iterator[str]:
    names = module.split(".")
    yield from (".".join(names[:end]) for end in range(1, len(names)))


def _files_of(modules: Iterable[str]) -> set[Path]:
    found: set[Path] = set()
    beside = _data()
    for module in modules:
        file = _file_of(module)
        found.add(file)
        for name in _literals(file):
            found.update(beside.get(name, ()))
    return found


def _file_of(module: str) -> Path:
    parts = module.split(".")[1:]
    for root in map(Path, graders.__path__):
        path = root.joinpath(*parts)
        for file in (path / "__init__.py", path.with_suffix(".py")):
            if file.is_file():
                return file
    return _ROOT.joinpath(*parts).with_suffix(".py")


@cache
def _literals(file: Path) -> frozenset[str]:
    return frozenset(_LITERAL.findall(file.read_text(encoding="utf-8")))


def _scripts_named_in(module: str) -> list[str]:
    """Modules in the same folder that `module` names as files: it runs them, and imports none."""
    file = _file_of(module)
    names = (name for name in _literals(file) if name.endswith(".py") and name != file.name)
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    scripts = (f"{package}.{name.removesuffix('.py')}" for name in names)
    return [script for script in scripts if script in _graph().modules]


@cache
def _data() -> dict[str, tuple[Path, ...]]:
    """Files of this package that are no modules, by their own name and by that of the folder they are in."""
    named: dict[str, set[Path]] = {}
    for file in _files_in(_ROOT):
        if file.suffix == ".py" and (file.parent / "__init__.py").is_file():
            continue
        named.setdefault(file.name, set()).add(file)
        for folder in file.parents:
            if (folder / "__init__.py").is_file():
                break
            named.setdefault(folder.name, set()).add(file)
    return {name: tuple(sorted(files)) for name, files in named.items()}


def _files_in(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
        return
    for each in sorted(path.iterdir()):
        if each.name not in _NEVER and not each.name.startswith("."):
            yield from _files_in(each)
