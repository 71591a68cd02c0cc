"""The solutions of a lab that are a reference with something changed: the flawed, and the sound."""

from pathlib import Path

from graders.course.files import Expected, read_expected
from graders.course.patches import PATCH
from graders.documents import Document, Location, load_document
from graders.faults import CourseError
from graders.model import Rubric

_CACHES = ("__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache")


def changed_solutions(solutions: Path, rubric: Rubric) -> tuple[tuple[Expected, ...], tuple[Expected, ...]]:
    """The flawed and the sound solutions in `solutions`, in the order of their names.

    Raises:
        CourseError: one of them contradicts the rubric, the references or itself; says file, line and fix.
    """
    taken = {"starter", *(path.name for path in solutions.glob("reference*"))}
    found: dict[str, list[Expected]] = {"flawed": [], "sound": []}
    for kind, those in found.items():
        for folder in sorted(path for path in solutions.glob(f"{kind}/*") if path.is_dir()):
            document = load_document(folder / "expected.yaml", error=CourseError)
            expected = read_expected(document, folder, sound=kind == "sound")
            if folder.name in taken:
                raise document.refusal(
                    f"there is another solution called {folder.name!r}",
                    fix="give its folder a name of its own",
                )
            taken.add(folder.name)
            _check_losses(expected, document, rubric)
            _check_base(expected, document, solutions)
            _check_folder(expected, document)
            those.append(expected)
    return tuple(found["flawed"]), tuple(found["sound"])


def _check_losses(expected: Expected, document: Document, rubric: Rubric) -> None:
    live = {criterion.id: criterion for criterion in rubric.criteria if not criterion.planned}
    planned = {criterion.id for criterion in rubric.criteria if criterion.planned}
    stated: list[tuple[Location, str]] = [(("loses", at), name) for at, name in enumerate(expected.loses)]
    for capability, names in expected.loses_with.items():
        stated += [(("loses_with", capability.value, at), name) for at, name in enumerate(names)]
    for where, name in stated:
        if name not in live:
            state = "is only planned" if name in planned else "does not exist"
            raise document.refusal(
                f"it must lose criterion {name!r}, which {state}", where, fix=f"name one of {', '.join(live)}"
            )


def _check_base(expected: Expected, document: Document, solutions: Path) -> None:
    base = solutions / expected.base
    if not base.is_dir():
        raise document.refusal(
            f"it differs from {expected.base!r}, which does not exist",
            ("base",),
            fix=f"name a folder beside {solutions.name}/flawed, or leave it out for `reference`",
        )
    for at, path in enumerate(expected.remove):
        if not (base / path).is_dir():
            raise document.refusal(
                f"it removes {str(path)!r}, which is no folder of the {expected.base}",
                ("remove", at),
                fix=f"correct the path, which counts from the reference's root; a file is removed in {PATCH}",
            )


def _check_folder(expected: Expected, document: Document) -> None:
    there = {path.name for path in expected.folder.iterdir()} - {"expected.yaml", *_CACHES}
    if PATCH not in there and not expected.remove:
        raise document.refusal(
            f"it is the {expected.base} unchanged",
            fix=f"write what differs to {PATCH}, a unified diff, beside it",
        )
    for name in sorted(there - {PATCH}):
        raise CourseError(
            f"nothing reads this: a changed solution is expected.yaml and {PATCH}",
            file=expected.folder / name,
            fix=f"write the change to {PATCH}, and remove it",
        )
