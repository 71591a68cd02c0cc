"""Says whom a format has no place for: those without a grade, by state and by name."""

from __future__ import annotations

from graders.gradebook.model import GradebookModel, GradeState
from graders.reports.text import one_line


def left_out(
    model: GradebookModel,
    states: tuple[GradeState, ...] = (GradeState.UNGRADED, GradeState.EXCUSED, GradeState.MISSING),
) -> tuple[str, ...]:
    """A note for each lab and state that the format leaves out, naming all learners."""
    notes = []
    for lab in model.labs:
        for state in states:
            names = [
                one_line(learner.learner_id, 80)
                for learner in model.learners
                if model.grade(learner, lab).state is state
            ]
            if names:
                notes.append(f"{lab.lab}: left out, because {state.value}: {', '.join(names)}")
    return tuple(notes)
