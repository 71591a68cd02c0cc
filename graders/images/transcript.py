"""What a build printed, as much as is worth keeping, from the engine's messages."""

from collections import deque
from collections.abc import Mapping
from typing import Any

from graders.escapes import without_escapes

_KEPT_FIRST = 200
_KEPT_LAST = 400
_LONGEST_LINE = 500


class Transcript:
    """Takes messages one by one; keeps the first lines and the last, and counts what it drops."""

    def __init__(self, most_bytes: int) -> None:
        self.error = ""
        self.exit_code: int | None = None
        """Of the step that failed; None where no step did."""
        self.printed_bytes = 0
        self._most_bytes = most_bytes
        self._first: list[str] = []
        self._last: deque[str] = deque(maxlen=_KEPT_LAST)
        self._dropped = 0
        self._open = ""

    def take(self, message: Mapping[str, Any]) -> None:
        """Take one message of the engine's."""
        text = message.get("stream")
        if isinstance(text, str):
            self.printed_bytes += len(text)
            *lines, self._open = (self._open + text).split("\n")
            self._open = self._open[:_LONGEST_LINE]
            for line in lines:
                self._keep(line)
        if "error" in message:
            self.error = printable(str(message["error"]))[:_LONGEST_LINE] or "the build failed"
            detail = message.get("errorDetail")
            code = detail.get("code") if isinstance(detail, Mapping) else None
            self.exit_code = code if isinstance(code, int) else None

    @property
    def is_too_much(self) -> bool:
        """Whether it printed more than it may."""
        return self.printed_bytes > self._most_bytes

    @property
    def last_line(self) -> str:
        """The last line that says something."""
        return next((line for line in [*reversed(self._last), *reversed(self._first)] if line), "")[:100]

    @property
    def text(self) -> str:
        """All that was kept, a line each."""
        gap = [f"[{self._dropped} lines left out]"] if self._dropped else []
        rest = [self._open] if self._open else []
        error = [self.error] if self.error else []
        return "".join(f"{line}\n" for line in [*self._first, *gap, *self._last, *rest, *error])

    def _keep(self, line: str) -> None:
        line = printable(line.rsplit("\r", 1)[-1])[:_LONGEST_LINE]
        if len(self._first) < _KEPT_FIRST:
            self._first.append(line)
            return
        self._dropped += len(self._last) == _KEPT_LAST
        self._last.append(line)


def printable(text: str) -> str:
    """`text` without what a terminal would obey."""
    return "".join(c for c in without_escapes(text) if c.isprintable() or c == "\t").strip()
