"""What commands about a store have in common."""

import difflib
import getpass
import os
import sys
from typing import Annotated

import typer

from graders.cohort.roster import Learner
from graders.faults import UsageError
from graders.store import GradeStore
from graders.surroundings import typed

StoreArgument = Annotated[
    str,
    typer.Argument(metavar="STORE", help="The store of a class: a file, or postgresql://user@host/database."),
]
LabsOption = Annotated[
    list[str] | None, typer.Option("--lab", help="Only this lab (repeat it for several); else all.")
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Write without asking.")]


def whoever_types() -> str:
    """The name of this user, for a history."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"


def said(text: str, option: str) -> str:
    """What somebody gave for a history: one line that can be printed.

    Raises:
        UsageError: it is empty, or has characters in it that nobody can see.
    """
    words = " ".join(typed(text).split())
    if not words or not words.isprintable() or len(words) > 500:
        raise UsageError(
            f"{option} says nothing that can be kept", fix="write one line of at most 500 characters"
        )
    return words


def expect_an_answer(*, yes: bool) -> None:
    """See that somebody can be asked, before anything takes time.

    Raises:
        UsageError: nobody can, and nobody answered beforehand.
    """
    if not yes and not sys.stdin.isatty():
        raise UsageError("there is no terminal to ask on", fix="say --yes to write, or --dry-run to look")


def find_learner(store: GradeStore, name: str) -> Learner:
    """The learner of that id, also one who left.

    Raises:
        UsageError: nobody is called so; says who is called alike.
    """
    roster = store.roster(everybody=True)
    found = roster.find(typed(name))
    if found is None:
        close = difflib.get_close_matches(name, [one.learner_id for one in roster.learners], n=3)
        raise UsageError(
            f"nobody in the roster is called {typed(name)!r}",
            file=store.address.shown,
            fix=f"did you mean {' or '.join(close)}?" if close else "give the learner_id of the roster",
        )
    return found
