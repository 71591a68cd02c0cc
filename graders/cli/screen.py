"""What commands print on: whoever reads it may stop reading at any moment."""

import os
import sys

import typer
from rich.console import Console


class Screen(Console):
    """A console whose reader may leave, as `head` does: the command goes on and ends as it would have."""

    def on_broken_pipe(self) -> None:
        """Print nothing more; rich itself would end the process, with the code for a low score."""
        self.quiet = True
        _read_by_nobody(self.file.fileno())

    def tell(self, text: str) -> None:
        """Print `text` as it is, however long its lines are."""
        self.print(text, markup=False, highlight=False, soft_wrap=True)


def print_raw(text: str) -> None:
    """Print `text` as it is to standard output; a reader who left is no error."""
    try:
        typer.echo(text, nl=False)
        sys.stdout.flush()
    except BrokenPipeError:
        _read_by_nobody(sys.stdout.fileno())


def _read_by_nobody(number: int) -> None:
    # What is still in a buffer is flushed at exit, which fails otherwise and gives a code of its own.
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, number)
    os.close(nothing)
