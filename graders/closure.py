"""What code depends on: the import closure of modules, and the files beside them that they name.

Imports anywhere in a module count, and so does a module that it names in full to import it later, unless it
chooses one of several (`CHOOSERS`). Who imports a module runs the packages that it is in.

A file that a module reads or runs without importing it (a lock, a Go module, a program for the sandbox) is
found by its name: a literal in the module's source that is the name of such a file or folder. Where several
have one name, it is that of the module's own room; one in a package that nobody imports is nobody's.
"""

import hashlib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePath

import grimp

import graders
from graders.sourcefile import SourceFile, read_source

PACKAGE = graders.__name__
CHOOSERS = frozenset({f"{PACKAGE}.clusters.registry", f"{PACKAGE}.ownership"})
"""They name modules of which a run imports one or none: who asks for a closure has that among its roots."""

_ROOT = Path(graders.__file__).resolve().parent
_NEVER = ("__pycache__",)


@dataclass(frozen=True)
class Closure:
    """The modules of this package that some modules need to run, themselves among them, and their files.

    `outside` are the top-level packages of others that they import.
    """

    modules: frozenset[str]
    files: tuple[Path, ...]
    outside: frozenset[str] = frozenset()

    def digest(self, *more: Path, lines: Iterable[str] = ()) -> str:
        """One digest of all these files and of those in `more`, files or folders; where they lie counts.

        That is where in their course: it is the same wherever the course and this checkout are. Of modules
        counts what they do: no comment, no layout, no docstring that nothing can read. `lines` are texts that
        count as well.
        """
        total = hashlib.sha256()
        code = frozenset(map(_file_of, self.modules))
        files = {*self.files, *(file for each in more for file in _files_in(each))}
        roots = tuple(graders.__path__)
        for place, path in sorted((_place_of(path, roots), path) for path in files):
            content = read_source(path).meaning if path in code else _content(path)
            total.update(f"{place.as_posix()} {content}\n".encode())
        for line in sorted(lines):
            total.update(f"{line}\n".encode())
        return total.hexdigest()


def _content(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@cache
def _place_of(path: Path, places: tuple[str, ...]) -> PurePath:
    """Where a file lies in its course, which may lie within the checkout."""
    roots = _courses(places)
    return next((path.relative_to(each) for each in path.parents if each in roots), PurePath(path.name))


@cache
def _courses(places: tuple[str, ...]) -> frozenset[Path]:
    """The folders of the courses whose labs are imported from `places`."""
    return frozenset(Path(place).parent for place in places)


def closure_of(roots: Collection[str], *, without: Collection[str] = ()) -> Closure:
    """All that importing `roots` imports, module for module, but nothing that only those in `without` need.

    Raises:
        ValueError: a root is no module of this package.
    """
    if absent := sorted(root for root in roots if not _is_module(root)):
        raise ValueError(f"no modules of {PACKAGE}: {', '.join(absent)}")
    return _closure_of(frozenset(roots), frozenset(without), tuple(graders.__path__))


@cache
def _closure_of(roots: frozenset[str], without: frozenset[str], places: tuple[str, ...]) -> Closure:
    """The closure where labs of other courses are imported from `places`."""
    del places
    found: set[str] = set()
    to_visit = list(roots)
    while to_visit:
        module = to_visit.pop()
        if module in found or module in without:
            continue
        found.add(module)
        to_visit += _parents(module)
        to_visit += _imported_by(module)
        to_visit += _scripts_named_in(module)
    outside = frozenset(name for module in found for name in _source(module).outside) - {PACKAGE}
    return Closure(frozenset(found), tuple(sorted(_files_of(found))), outside)


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
    source = _source(module)
    if module in _graph().modules:
        yield from _graph().find_modules_directly_imported_by(module)
    else:
        yield from _modules_in(source.imports)
    if module not in CHOOSERS:
        yield from _modules_in(source.literals)


def _modules_in(names: Collection[str]) -> Iterator[str]:
    yield from (name for name in names if name.startswith(f"{PACKAGE}.") and _is_module(name))


@cache
def _graph() -> grimp.ImportGraph:
    # Without its cache: that goes by times of change, which two checkouts may share.
    return grimp.build_graph(PACKAGE, cache_dir=None)


def _parents(module: str) -> Iterator[str]:
    names = module.split(".")
    yield from (".".join(names[:end]) for end in range(1, len(names)))


def _files_of(modules: Collection[str]) -> set[Path]:
    named = (path for module in modules for path in _named_in(module, modules))
    return {*map(_file_of, modules), *named}


def _named_in(module: str, imported: Collection[str]) -> Iterator[Path]:
    """Files beside modules that a module names, or whose folder it names."""
    beside = _data()
    for name in _source(module).literals & beside.keys():
        places = beside[name]
        for place, package in places.items():
            if package in imported and (len(places) == 1 or _room(place) == _room(_file_of(module))):
                yield from _files_in(place)


def _room(path: Path) -> str:
    return path.relative_to(_ROOT).parts[0] if path.is_relative_to(_ROOT) else ""


def _file_of(module: str) -> Path:
    return _file_below(module, tuple(graders.__path__))


@cache
def _file_below(module: str, places: tuple[str, ...]) -> Path:
    parts = module.split(".")[1:]
    for root in map(Path, places):
        path = root.joinpath(*parts)
        for file in (path / "__init__.py", path.with_suffix(".py")):
            if file.is_file():
                return file
    return _ROOT.joinpath(*parts).with_suffix(".py")


def _source(module: str) -> SourceFile:
    return read_source(_file_of(module))


def _scripts_named_in(module: str) -> list[str]:
    """Modules in the same folder that `module` names as files: it runs them, and imports none."""
    file = _file_of(module)
    names = (name for name in read_source(file).literals if name.endswith(".py") and name != file.name)
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    scripts = (f"{package}.{name.removesuffix('.py')}" for name in names)
    return [script for script in scripts if script in _graph().modules]


@cache
def _data() -> dict[str, dict[Path, str]]:
    """Files of this package that are no modules, and folders of such, by their names, with their packages."""
    named: dict[str, dict[Path, str]] = {}
    for file in _files_in(_ROOT):
        if file.suffix == ".py" and (file.parent / "__init__.py").is_file():
            continue
        inside = next(folder for folder in file.parents if (folder / "__init__.py").is_file())
        package = ".".join((PACKAGE, *inside.relative_to(_ROOT).parts))
        for place in (file, *file.parents[: file.parents.index(inside)]):
            named.setdefault(place.name, {})[place] = package
    return named


def _files_in(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
        return
    for each in sorted(path.iterdir()):
        if each.name not in _NEVER and not each.name.startswith("."):
            yield from _files_in(each)
