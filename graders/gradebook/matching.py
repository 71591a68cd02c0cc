"""Finding learners in another system: all are found, or who is not is named and nothing is written."""

from collections import Counter
from collections.abc import Callable, Sequence

from graders.faults import UsageError
from graders.gradebook.cells import runs
from graders.gradebook.model import GradebookLearner, GradebookModel
from graders.reports.text import one_line


def ids_of(
    model: GradebookModel, take: Callable[[GradebookLearner], str], *, what: str, column: str
) -> dict[str, str]:
    """The id that `take` gives for each learner, by learner id.

    `what` names the id in a message, `column` where the roster holds it.

    Raises:
        UsageError: some have none, two have the same, or a spreadsheet would run one.
    """
    found = {learner.learner_id: take(learner) for learner in model.learners}
    stop(
        [learner_id for learner_id, value in found.items() if not value],
        f"have no {what}",
        f"fill in {column} of the roster for them",
    )
    times = Counter(found.values())
    stop(
        [learner_id for learner_id, value in found.items() if times[value] > 1],
        f"share their {what} with somebody",
        f"give each its own {column} in the roster",
    )
    ids_unchanged(found, what)
    return found


def ids_unchanged(found: dict[str, str], what: str) -> None:
    """See that every id can be written as it is.

    Raises:
        UsageError: a spreadsheet would run one, or it holds what no file shows as it is.
    """
    stop(
        [one for one, value in found.items() if runs(value) or one_line(value, 500) != value],
        f"have a {what} that a spreadsheet would run or that holds hidden characters",
        f"correct their {what} in the roster: an id has to arrive as it is",
    )


def stop(learners: Sequence[str], problem: str, fix: str) -> None:
    """Refuse the export where there are such learners, and name all of them.

    Raises:
        UsageError: `learners` is not empty.
    """
    if learners:
        names = ", ".join(one_line(name, 80) for name in learners)
        raise UsageError(f"{len(learners)} learner(s) {problem}: {names}", fix=fix)
