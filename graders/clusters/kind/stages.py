"""What kind says while it makes a cluster, as steps of a progress bar.

Without a terminal kind prints ` • Preparing nodes 📦  ...` when a step begins and ` ✓ Preparing nodes 📦`
when it is done. Nobody promises that the words stay, so what is not understood is kept and changes nothing.
"""

import re
from collections import deque

from graders.progress import Task

_BEGUN = re.compile(r"^ • (?P<step>.+?)\s+\.\.\.$")
_DONE = re.compile(r"^ ✓ ")
_ORNAMENT = re.compile(r"[^\w\s()/.,:@<>≤=-]+")
_STEPS = (
    "Ensuring node image",
    "Preparing nodes",
    "Writing configuration",
    "Starting control-plane",
    "Installing CNI",
    "Installing StorageClass",
)
_KEPT_LINES = 60


def steps(workers: int) -> int:
    """How many steps kind takes to a cluster of one control plane and `workers`."""
    return len(_STEPS) + (workers > 0)


class Stages:
    """Follows kind's lines for `task`, whose total is in steps, and keeps the last ones for an error."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._done = 0
        self._lines: deque[str] = deque(maxlen=_KEPT_LINES)

    def __call__(self, line: str) -> None:
        """Take one line."""
        line = line.rstrip()
        if line:
            self._lines.append(line)
        if begun := _BEGUN.match(line):
            self._task.update(done=self._done, detail=plain(begun["step"]))
        elif _DONE.match(line):
            self._done += 1
            self._task.update(done=self._done, detail=self.last)

    @property
    def last(self) -> str:
        """The step that was begun last, in kind's words; empty before the first."""
        begun = [found["step"] for line in self._lines if (found := _BEGUN.match(line))]
        return plain(begun[-1]) if begun else ""

    @property
    def complaint(self) -> str:
        """What kind said from its first error on, or its last lines."""
        lines = list(self._lines)
        first = next((n for n, line in enumerate(lines) if line.startswith("ERROR")), max(0, len(lines) - 15))
        return "\n".join(lines[first:])


def plain(step: str) -> str:
    """A step without its pictures: `preparing nodes`."""
    words = " ".join(_ORNAMENT.sub(" ", step).split())
    return words[:1].lower() + words[1:]
