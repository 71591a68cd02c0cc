"""Runs a command with the words of $GIVEN_ARGS in it: before its `--`, or at its end.

Quotes and backslashes mean what they mean in a shell, and nothing else does: no variable, no command.
"""

from __future__ import annotations

import os
import shlex
import sys

command = sys.argv[1:]
try:
    words = shlex.split(os.environ.pop("GIVEN_ARGS", ""))
except ValueError as error:
    print(f"args: {error}\n  fix: close every quote, as in args='--learner \"Ada L\"'", file=sys.stderr)
    sys.exit(2)
place = command.index("--") if "--" in command else len(command)
os.execv(command[0], [*command[:place], *words, *command[place:]])  # noqa: S606
