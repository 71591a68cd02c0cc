"""What a store holds of a class, as a gradebook and as a site show it."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from graders.cohort.final import Final, FinalState, LineKind
from graders.cohort.policy import CoursePolicy
from graders.cohort.roster import Learner
from graders.course import Course, load_course
from graders.faults import KubeproofError, UsageError
from graders.gradebook.model import (
    Adjustment,
    AdjustmentKind,
    CriterionGrade,
    GradebookLearner,
    GradebookModel,
    GradeState,
    LabColumn,
    LabGrade,
    Loss,
)
from graders.model import Fault, Status, Verdict
from graders.ownership import OwnedFolder
from graders.site import ClassModel, LabSources, SlowWait
from graders.store import GradeStore, StoredGrade, open_store
from graders.submissions.load import snapshot

_STATES = {
    FinalState.GRADED: GradeState.GRADED,
    FinalState.UNGRADED: GradeState.UNGRADED,
    FinalState.EXCUSED: GradeState.EXCUSED,
    FinalState.MISSING: GradeState.MISSING,
    FinalState.REJECTED: GradeState.REJECTED,
}
_CHANGES = {LineKind.LATE_PENALTY: AdjustmentKind.LATE, LineKind.OVERRIDE: AdjustmentKind.OVERRIDE}
_LOST = (Status.FAILED, Status.BLOCKED, Status.ERROR)
_SOURCE_BYTES = 256 * 1024


def gradebook_of(url: str) -> GradebookModel:
    """The gradebook of the class whose store is at `url`.

    Raises:
        UsageError: there is no store. InfraFault: it cannot be had.
    """
    with open_store(url, create=False) as store:
        return _Book(store).gradebook()


def class_of(url: str, submissions: Mapping[str, Path]) -> ClassModel:
    """The class whose store is at `url`, with what it handed in; `submissions` has a folder by lab.

    Raises:
        UsageError: there is no store, or no such folder. InfraFault: the store cannot be had.
    """
    with open_store(url, create=False) as store:
        book = _Book(store)
        pages = {
            pair: grade.bundle.parent / "report.html" for pair, grade in book.counting.items() if grade.bundle
        }
        return ClassModel(
            gradebook=book.gradebook(),
            waits={lab: tuple(book.waits(lab)) for lab in book.labs},
            sources={lab: _sources(book.course, lab, folder) for lab, folder in submissions.items()},
            report=lambda lab, learner: _page(pages.get((learner, lab))),
        )


class _Book:
    """Reads a store once."""

    def __init__(self, store: GradeStore) -> None:
        self.course = load_course()
        self.policy: CoursePolicy = store.policy()
        self.people = store.roster().learners
        self.finals = store.finals()
        held = store.grades()
        grades = {str(one.attempt): one for one in held}
        last = {(one.learner_id, one.lab): one for one in held}
        self.counting: dict[tuple[str, str], StoredGrade] = {}
        for pair, final in self.finals.items():
            if chosen := grades.get(final.attempt) or last.get(pair):
                self.counting[pair] = chosen
        self.decided = {(one.learner_id, one.lab): one.at for one in store.overrides()}
        self.reports = store.reports([one.id for one in self.counting.values()])
        self.labs = sorted({lab for _, lab in self.finals})

    def gradebook(self) -> GradebookModel:
        """All of it."""
        return GradebookModel(
            course="MOD-201",
            labs=tuple(self._column(lab) for lab in self.labs),
            learners=tuple(_learner(one) for one in self.people),
            grades=tuple(self._grade(final) for final in self.finals.values()),
        )

    def waits(self, lab: str) -> Iterator[SlowWait]:
        """What gradings of a lab waited for."""
        for (learner, of), grade in self.counting.items():
            if of == lab:
                for step in self.reports[grade.id].get("critical_path", ()):
                    seconds = float(step["end_s"]) - float(step["start_s"])
                    yield SlowWait(learner, str(step["track"]), str(step["what"]), seconds)

    def _column(self, lab: str) -> LabColumn:
        known = lab in self.course.slugs
        possible = [final.possible for (_, of), final in self.finals.items() if of == lab and final.possible]
        points = max(possible, default=self._possible(lab) if known else Decimal(100))
        policy = self.policy.lab(lab)
        return LabColumn(
            lab=lab,
            title=self.course.find_lab(lab).title if known else lab,
            possible=points,
            due_at=policy.due,
            canvas_id=str(policy.canvas or ""),
        )

    def _possible(self, lab: str) -> Decimal:
        """What can be earned in a lab that nobody has points in."""
        rubric = self.course.find_lab(lab).rubric
        return sum((one.points for one in rubric.criteria if not one.planned), Decimal(0))

    def _grade(self, final: Final) -> LabGrade:
        stored = self.counting.get((final.learner_id, final.lab))
        report = self.reports[stored.id] if stored else {}
        state = _STATES[final.state]
        graded = state is GradeState.GRADED
        decided = self.decided.get((final.learner_id, final.lab))
        changed = [at for at in (stored.at if stored else None, decided) if at is not None]
        return LabGrade(
            final.learner_id,
            final.lab,
            state,
            final.points if graded else None,
            final.possible if graded else None,
            criteria=tuple(map(_criterion, report.get("criteria", ()))),
            adjustments=tuple(_adjustments(final)) if graded else (),
            losses=tuple(_losses(report)),
            problem=_problem(final, stored),
            submitted_at=stored.submitted_at if stored else None,
            graded_at=max(changed, default=None),
            digest=stored.submission if stored else "",
        )


def _learner(person: Learner) -> GradebookLearner:
    last, comma, first = person.name.partition(",")
    if not comma:
        first, _, last = person.name.rpartition(" ")
    return GradebookLearner(
        person.learner_id, last.strip(), first.strip(), person.email, person.section, dict(person.ids)
    )


def _criterion(one: Mapping[str, Any]) -> CriterionGrade:
    planned = one["planned"]
    return CriterionGrade(
        id=str(one["id"]),
        title=str(one["title"]),
        group=str(one["group"]),
        points=Decimal(0) if planned else Decimal(str(one["points"])),
        earned=None if one["earned"] is None else Decimal(str(one["earned"])),
        status=Status.UNSUPPORTED if planned else Status(one["status"]),
    )


def _adjustments(final: Final) -> Iterator[Adjustment]:
    for line in final.lines:
        if line.kind in _CHANGES and line.points is not None:
            yield Adjustment(_CHANGES[line.kind], line.points, line.text)


def _losses(report: Mapping[str, Any]) -> Iterator[Loss]:
    for one in report.get("outcomes", ()):
        if one["status"] not in _LOST:
            continue
        check = str(one["check"])
        yield Loss(
            check=check,
            title=str(one["title"]),
            status=Status(one["status"]),
            criteria=tuple(str(each["id"]) for each in report["criteria"] if check in each["checks"]),
            expected=str(one["expected"]),
            observed=str(one["observed"]),
            hint=str(one["hint"]),
            fault=Fault(one["fault"]) if one["fault"] else None,
        )


def _problem(final: Final, stored: StoredGrade | None) -> str:
    told = final.state in (FinalState.UNGRADED, FinalState.REJECTED)
    if told and stored is not None and stored.verdict is not Verdict.GRADED:
        return f"{stored.verdict.value}: {stored.problem}" if stored.problem else stored.verdict.value
    return "" if final.state is FinalState.GRADED else "; ".join(line.text for line in final.lines)


def _page(file: Path | None) -> str:
    """The report page of a grading; empty where its results are gone."""
    try:
        return file.read_text(encoding="utf-8") if file else ""
    except OSError:
        return ""


def _sources(course: Course, lab: str, folder: Path) -> LabSources:
    """What was handed in for a lab as text; whatever cannot be unpacked is like nobody's."""
    from graders.batch.intake import hand_ins_in  # noqa: PLC0415  (exports need none of it)

    texts: dict[str, dict[str, str]] = {}
    with OwnedFolder("sources", lab) as owned:
        scratch = owned.path / "in"
        scratch.mkdir()
        for hand_in in hand_ins_in(folder):
            root = scratch / hand_in.learner_id
            try:
                snapshot(hand_in.path, root)
            except KubeproofError:
                continue
            texts[hand_in.learner_id] = dict(_texts(root))
    given = course.find_lab(lab).folder / "starter"
    return LabSources(texts, dict(_texts(given)))


def _texts(root: Path) -> Iterator[tuple[str, str]]:
    for file in sorted(root.rglob("*")):
        if file.is_file() and not file.is_symlink() and file.stat().st_size <= _SOURCE_BYTES:
            data = file.read_bytes()
            if b"\0" not in data:
                yield file.relative_to(root).as_posix(), data.decode("utf-8", "replace")


def folders_by_lab(given: Sequence[str]) -> dict[str, Path]:
    """What `LAB=FOLDER` options name.

    Raises:
        UsageError: one of them is not written so.
    """
    found = {}
    for one in given:
        lab, equals, folder = one.partition("=")
        if not equals or not folder:
            raise UsageError(
                f"{one!r} names no folder of a lab", fix="write LAB=FOLDER, as in 1=submissions/"
            )
        found[load_course().find_lab(lab).id] = Path(folder)
    return found
