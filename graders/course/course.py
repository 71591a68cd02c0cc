"""The labs of a repository, read and cross-checked when they are asked for."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from graders.course.files import Expected, LabFile
from graders.course.solutions import changed_solutions
from graders.definition import make_importable
from graders.documents import Document, Location, load_document, parse
from graders.faults import CourseError, UsageError
from graders.judging import CheckInfo, collect_checks
from graders.labsettings import LabNode, LabSettings
from graders.model import Rubric
from graders.paths import course_folder
from graders.scoring import load_rubric


@dataclass(frozen=True, kw_only=True)
class Lab(LabSettings):
    """A lab whose parts agree with each other; `solutions` is its folder in solutions/.

    The `flawed` must lose what they say, the `sound` nothing, however unlike the references they are.
    """

    solutions: Path
    rubric: Rubric
    checks: tuple[CheckInfo, ...]
    flawed: tuple[Expected, ...]
    sound: tuple[Expected, ...] = ()

    @property
    def reference(self) -> Path:
        """The solution that must earn every point, and that most flawed ones differ from."""
        return self.solutions / "reference"

    @property
    def references(self) -> tuple[Path, ...]:
        """All solutions that must earn every point: one for each language."""
        return tuple(path for path in sorted(self.solutions.glob("reference*")) if path.is_dir())


@dataclass(frozen=True)
class Course:
    """The labs of a repository, by slug; each is read when it is asked for."""

    repository: Path
    slugs: tuple[str, ...]

    def find_lab(self, name: str) -> Lab:
        """The lab called `name`: a slug, or the number that stands behind `lab` in one.

        Raises:
            UsageError: there is no such lab.
            CourseError: its parts contradict each other.
        """
        slug = f"lab{name}" if name.isdecimal() else name
        if slug not in self.slugs:
            close = difflib.get_close_matches(slug, self.slugs, n=1)
            meant = f"did you mean {close[0]!r}? " if close else ""
            raise UsageError(f"there is no lab {name!r}", fix=f"{meant}there are: {', '.join(self.slugs)}")
        return self.lab(slug)

    def lab(self, slug: str) -> Lab:
        """The lab of that slug, read and cross-checked.

        Raises:
            CourseError: its parts contradict each other; says file, line and fix.
        """
        folder = self.repository / "labs" / slug
        solutions = self.repository / "solutions" / slug
        document = load_document(folder / "lab.yaml", error=CourseError)
        file = parse(document, LabFile)
        if file.id != slug:
            raise document.refusal(
                f"this is lab {file.id!r} in the folder of {slug!r}", ("id",), fix=f"write id: {slug}"
            )
        rubric_path = self.repository / "rubrics" / f"{slug}.yaml"
        rubric = load_rubric(rubric_path)
        checks = collect_checks(slug, folder=self.repository / "graders" / slug / "checks")
        _check_rubric(load_document(rubric_path, error=CourseError), rubric, slug, checks)
        flawed, sound = changed_solutions(solutions, rubric)
        return Lab(
            id=slug,
            title=file.title,
            folder=folder,
            solutions=solutions,
            needs=frozenset(file.needs),
            wants=frozenset(file.wants),
            program_limits=file.limits.program.as_limits(),
            tool_limits=file.limits.tools.as_limits(),
            limited=(file.limits.program.of, file.limits.tools.of),
            builds=file.builds,
            deadline_s=file.timing.deadline_s,
            nodes=tuple(LabNode(node.name, node.zone, dict(node.resources)) for node in file.nodes),
            rubric=rubric,
            checks=checks,
            flawed=flawed,
            sound=sound,
        )


def load_course(repository: Path | None = None) -> Course:
    """Find the labs of `repository`, else of the course that is graded; nothing of them is read yet.

    Raises:
        UsageError: there are no labs there.
    """
    repository = repository or course_folder()
    make_importable(repository)
    found = tuple(sorted(path.parent.name for path in repository.glob("labs/*/lab.yaml")))
    if not found:
        raise UsageError(
            "there is no lab here",
            file=repository,
            fix="run kubeproof in a folder that has labs/, or name one: kubeproof --course DIR",
        )
    return Course(repository, found)


def _check_rubric(document: Document, rubric: Rubric, slug: str, checks: Iterable[CheckInfo]) -> None:
    if rubric.lab != slug:
        raise document.refusal(
            f"this is the rubric of lab {rubric.lab!r}, not of {slug!r}", ("lab",), fix=f"write lab: {slug}"
        )
    known = {info.id: info for info in checks}
    named = {name for criterion in rubric.criteria for name in criterion.checks}
    for place, criterion in enumerate(rubric.criteria):
        for at, name in enumerate(criterion.checks):
            if name not in known and not criterion.planned:
                stated: Location = ("criteria", place, "checks", at)
                where = stated if stated in document.lines else ("criteria", place, "id")
                close = difflib.get_close_matches(name, known, n=1)
                meant = f"did you mean {close[0]!r}? else " if close else ""
                raise document.refusal(
                    f"criterion {criterion.id!r} rests on check {name!r}, which does not exist",
                    where,
                    fix=f"{meant}write that check in graders/{slug}/checks, or mark the criterion planned",
                )
    for info in known.values():
        if info.id not in named:
            raise CourseError(
                f"check {info.id!r} earns nothing: no criterion of {document.file} names it",
                file=info.file,
                line=info.line,
                fix="give it points in the rubric, or remove it",
            )
