"""The checks of a lab: found, cross-checked and put in the order in which they can be judged."""

import difflib
import hashlib
import importlib
import inspect
import sys
import traceback
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import ModuleType

import graders
from graders.definition import folder_of, lab_package
from graders.faults import CourseError, UsageError
from graders.judging.check import SLUG, CheckInfo, info_of


def checks_folder(lab: str) -> Path:
    """Where the checks of `lab` are.

    Raises:
        UsageError: that is no name for a lab. CourseError: the lab has no package of checks.
    """
    if not SLUG.fullmatch(lab):
        raise UsageError(f"{lab!r} is no name for a lab", fix="name one by its slug, as folders of labs/ are")
    return folder_of(lab_package(lab).module("checks"))


def collect_checks(lab: str, *, folder: Path | None = None) -> tuple[CheckInfo, ...]:
    """Every check of `lab`, those that others require first, otherwise in the order of their files.

    Args:
        lab: the lab's slug.
        folder: where its checks are, unless in the lab's own folder.

    Raises:
        CourseError: a check cannot be imported, is declared twice or wrongly, or requires what is not
            there or itself.
    """
    where = folder or checks_folder(lab)
    found: dict[str, CheckInfo] = {}
    for module in modules(where).values():
        for info in _declared(module):
            if info.id in found:
                first = found[info.id]
                raise CourseError(
                    f"check {info.id!r} is declared twice",
                    file=info.file,
                    line=info.line,
                    fix=f"rename one of them; the other is at {first.file}:{first.line}",
                )
            found[info.id] = info
    if not found:
        raise CourseError(
            f"lab {lab!r} has no checks", file=where, fix="add a module with @check functions to that folder"
        )
    return _ordered(found)


def tracks_for(lab: str, only: Iterable[str] = (), *, folder: Path | None = None) -> frozenset[str]:
    """The tracks whose record is needed to judge the checks `only`; of all checks when it is empty.

    Raises:
        UsageError: `only` names a check that the lab does not have.
        CourseError: as `collect_checks`.
    """
    checks = collect_checks(lab, folder=folder)
    return frozenset(track for info in with_required(checks, only) for track in info.tracks)


def with_required(checks: Sequence[CheckInfo], only: Iterable[str]) -> tuple[CheckInfo, ...]:
    """The checks `only` and all that they require, in the order of `checks`; all when it is empty.

    Raises:
        UsageError: `only` names none of `checks`.
    """
    known = {info.id: info for info in checks}
    wanted: set[str] = set()
    to_visit = list(only) or list(known)
    while to_visit:
        name = to_visit.pop()
        if name not in known:
            raise UsageError(f"there is no check {name!r}", fix=_say_which(name, known))
        if name not in wanted:
            wanted.add(name)
            to_visit.extend(known[name].requires)
    return tuple(info for info in checks if info.id in wanted)


def modules(folder: Path) -> dict[Path, ModuleType]:
    """Import every module of a folder of checks, by path.

    Raises:
        CourseError: there is no such folder, or a module cannot be imported.
    """
    if not folder.is_dir():
        raise CourseError("there is no folder of checks here", file=folder, fix="create it, with __init__.py")
    package = _package(folder.resolve())
    paths = sorted(path for path in folder.resolve().glob("*.py") if not path.name.startswith("_"))
    return {path: _imported(f"{package}.{path.stem}", path) for path in paths}


def _package(folder: Path) -> str:
    """The importable name of `folder`: its own inside this package, else one made for it."""
    for root in (Path(entry).resolve() for entry in graders.__path__):
        if folder.is_relative_to(root):
            name = ".".join((graders.__name__, *folder.relative_to(root).parts))
            if _is_imported_from(name, folder):
                return name
    name = f"checks_{hashlib.sha256(str(folder).encode()).hexdigest()[:16]}"
    package = sys.modules.setdefault(name, ModuleType(name))
    package.__path__ = [str(folder)]
    return name


def _is_imported_from(name: str, folder: Path) -> bool:
    """Whether a package of that name is this folder: two courses may both have a lab of one slug."""
    try:
        return folder_of(name).resolve() == folder
    except CourseError:
        return False


def _imported(name: str, path: Path) -> ModuleType:
    try:
        return importlib.import_module(name)
    except CourseError:
        raise
    except Exception as error:
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        line = error.lineno if isinstance(error, SyntaxError) else frames[-1].lineno if frames else None
        raise CourseError(
            f"checks cannot be imported: {type(error).__name__}: {error}",
            file=path,
            line=line,
            fix="mend the module; importing it must raise nothing",
        ) from error


def _declared(module: ModuleType) -> list[CheckInfo]:
    declared: list[CheckInfo] = []
    for name, function in vars(module).items():
        if not name.startswith("check_") or not inspect.isfunction(function):
            continue
        if function.__module__ != module.__name__:
            continue
        info = info_of(function)
        if info is None:
            code = function.__code__
            raise CourseError(
                f"{name} is not declared a check, so nothing would ever run it",
                file=code.co_filename,
                line=code.co_firstlineno,
                fix=f'put @check("{name.removeprefix("check_").replace("_", "-")}", tracks=(…,)) above it',
            )
        declared.append(info)
    return sorted(declared, key=lambda info: info.line)


def _ordered(checks: Mapping[str, CheckInfo]) -> tuple[CheckInfo, ...]:
    done: dict[str, CheckInfo] = {}

    def visit(info: CheckInfo, path: tuple[str, ...]) -> None:
        if info.id in path:
            circle = " → ".join((*path[path.index(info.id) :], info.id))
            raise CourseError(
                f"checks require each other in a circle: {circle}",
                file=info.file,
                line=info.line,
                fix="drop one of these requires",
            )
        if info.id in done:
            return
        for name in info.requires:
            if name not in checks:
                raise CourseError(
                    f"check {info.id!r} requires {name!r}, which does not exist",
                    file=info.file,
                    line=info.line,
                    fix=_say_which(name, checks),
                )
            visit(checks[name], (*path, info.id))
        done[info.id] = info

    for info in checks.values():
        visit(info, ())
    return tuple(done.values())


def _say_which(name: str, known: Iterable[str]) -> str:
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    return f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(names)}"
