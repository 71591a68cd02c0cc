"""Nothing changes where nothing should: a settled fleet, and a commit that is about no object."""

from graders.lab2.context import FleetContext
from graders.lab2.names import NOTE, WINDOW_S


def steady(context: FleetContext) -> None:
    """Look at a settled fleet, commit a text file, and look again."""
    context.settle()
    context.mark("window", nth=1)
    context.rest("that nobody writes", WINDOW_S)
    context.mark("window-over", nth=1)
    with context.in_git():
        context.fleet.manager.change("Write a note", {NOTE: b"Nothing of this is deployed.\n"})
    context.mark("window", nth=2)
    context.rest("that nobody writes because of a note", WINDOW_S)
    context.mark("window-over", nth=2)
