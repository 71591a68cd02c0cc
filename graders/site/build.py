"""Builds the site: a page for the class, one for each lab, likeness and learner, and learners' reports."""

from collections.abc import Iterator
from pathlib import Path

from graders.faults import UsageError, machine_fault
from graders.gradebook.feedback import STATES
from graders.gradebook.model import GradebookLearner, GradeState, LabColumn
from graders.site.itemanalysis import analyse
from graders.site.likenesses import likenesses
from graders.site.losses import common_losses
from graders.site.model import ClassModel, LabSources, SlowWait
from graders.site.numbers import numbers_of, percent_of
from graders.site.pages import page_name, render
from graders.site.picture import histogram
from graders.site.sidebyside import sides
from graders.site.waits import slowest_waits
from graders.wholefile import NotOurs, write_whole_folder


def build_site(model: ClassModel, out: Path) -> tuple[Path, ...]:
    """Have the site of a class in the folder `out`, whole or not at all; returns its files, index first.

    Raises:
        UsageError: `out` holds something that no site of ours is made of, or cannot be written.
        InfraFault: the disk is full or broken.
    """
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        return write_whole_folder(out, pages_of(model))
    except NotOurs as error:
        raise UsageError(
            "this is not of an earlier site, and stays", file=error.path, fix="name another folder with --out"
        ) from error
    except OSError as error:
        if (fault := machine_fault(error)) is not None:
            raise fault from error
        raise UsageError(
            f"the site cannot be written here: {error.strerror}", file=out, fix="name a folder of your own"
        ) from error


def pages_of(model: ClassModel) -> Iterator[tuple[str, str]]:
    """Every page by its relative name, one after another."""
    yield "index.html", _index(model)
    for lab in model.gradebook.labs:
        yield from _lab(model, lab)
    for learner in model.gradebook.learners:
        yield from _learner(model, learner)


def _index(model: ClassModel) -> str:
    book = model.gradebook
    labs = []
    for i, lab in enumerate(book.labs):
        numbers = numbers_of([book.grade(learner, lab) for learner in book.learners])
        labs.append((lab, numbers, histogram(numbers.percents, f"lab-{i}")))
    rows = [
        (learner, [(book.grade(learner, lab), percent_of(book.grade(learner, lab))) for lab in book.labs])
        for learner in book.learners
    ]
    return render("index.html.jinja", book=book, labs=labs, rows=rows)


def _lab(model: ClassModel, lab: LabColumn) -> Iterator[tuple[str, str]]:
    book = model.gradebook
    folder = page_name(lab.lab)
    grades = [book.grade(learner, lab) for learner in book.learners]
    numbers = numbers_of(grades)
    sources = _of_learners(model, lab)
    alike = likenesses(sources)
    yield (
        f"{folder}/index.html",
        render(
            "lab.html.jinja",
            course=book.course,
            lab=lab,
            n=numbers,
            picture=histogram(numbers.percents, "scores"),
            ungraded=[grade.learner_id for grade in grades if grade.state is GradeState.UNGRADED],
            analysis=analyse(grades),
            losses=common_losses(grades),
            waits=slowest_waits(_waits_of(model, lab)),
            alike=alike,
        ),
    )
    for number, pair in enumerate(alike.pairs, 1):
        yield (
            f"{folder}/alike-{number}.html",
            render("alike.html.jinja", course=book.course, lab=lab, pair=pair, sides=sides(pair, sources)),
        )


def _learner(model: ClassModel, learner: GradebookLearner) -> Iterator[tuple[str, str]]:
    book = model.gradebook
    name = page_name(learner.learner_id)
    labs = []
    for lab in book.labs:
        report = model.report(lab.lab, learner.learner_id) if model.report else ""
        place = f"{name}/{page_name(lab.lab)}.html" if report else ""
        if report:
            yield f"learners/{place}", report
        labs.append((lab, book.grade(learner, lab), place))
    yield (
        f"learners/{name}.html",
        render("learner.html.jinja", course=book.course, learner=learner, labs=labs, STATES=STATES),
    )


def _of_learners(model: ClassModel, lab: LabColumn) -> LabSources:
    """The sources of a lab, of those alone who are in the gradebook: nobody else has a page."""
    known = {learner.learner_id for learner in model.gradebook.learners}
    sources = model.sources.get(lab.lab, LabSources())
    handed_in = {name: files for name, files in sources.handed_in.items() if name in known}
    return LabSources(handed_in, sources.given)


def _waits_of(model: ClassModel, lab: LabColumn) -> list[SlowWait]:
    known = {learner.learner_id for learner in model.gradebook.learners}
    return [wait for wait in model.waits.get(lab.lab, ()) if wait.learner_id in known]
