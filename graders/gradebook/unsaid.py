"""Says whom a format has no place for: those without a grade, by state and by name."""

from graders.gradebook.model import GradebookModel, GradeState
from graders.reports.text import one_line

HANDED_IN = (GradeState.GRADED, GradeState.UNGRADED, GradeState.REJECTED)
"""States of which a system that shows submissions can tell something."""

NOTHING = (GradeState.EXCUSED, GradeState.MISSING)
"""States in which there is no submission."""

WITHOUT_GRADE = tuple(state for state in GradeState if state is not GradeState.GRADED)
"""All states but one."""


def left_out(
    model: GradebookModel,
    states: tuple[GradeState, ...] = WITHOUT_GRADE,
) -> tuple[str, ...]:
    """A note for each lab and state of which the format has nothing to tell, naming all learners."""
    notes = []
    for lab in model.labs:
        for state in states:
            names = [
                one_line(learner.learner_id, 80)
                for learner in model.learners
                if model.grade(learner, lab).state is state
            ]
            if names:
                notes.append(f"{lab.lab}: no grade, because {state.value}: {', '.join(names)}")
    return tuple(notes)
