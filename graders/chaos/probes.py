"""Probes of Litmus: what they ask, when, and whether an answer is the one that is wanted. Pure."""

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass

SOT, EOT, EDGE, CONTINUOUS = "SOT", "EOT", "Edge", "Continuous"
MODES_OF = {"before": (SOT, EDGE, CONTINUOUS), "during": (CONTINUOUS,), "after": (EOT, EDGE, CONTINUOUS)}
"""The modes of the probes that are asked before, while and after something is injected."""
_NUMBERS: Mapping[str, Callable[[float, float], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
_TEXTS: Mapping[str, Callable[[str, str], bool]] = {
    "equal": operator.eq,
    "notEqual": operator.ne,
    "contains": operator.contains,
}


@dataclass(frozen=True)
class Comparator:
    """What an answer is compared with: as `int`, `float` or `string`."""

    type: str
    criteria: str
    value: str

    def problem(self) -> str:
        """What is wrong with it, empty if nothing is."""
        known = tuple(_TEXTS if self.type == "string" else _NUMBERS)
        if self.criteria not in known:
            return f"criteria {self.criteria!r} is none for {self.type}: use {', '.join(known)}"
        if self.type != "string":
            try:
                self._number(self.value)
            except ValueError:
                return f"value {self.value!r} is no {self.type}"
        return ""

    def met(self, answer: str) -> bool:
        """Whether an answer is as wanted; one that is no number is not, where numbers are compared."""
        said = answer.strip()
        if self.type == "string":
            return _TEXTS[self.criteria](said, self.value)
        try:
            return _NUMBERS[self.criteria](self._number(said), self._number(self.value))
        except ValueError:
            return False

    def _number(self, text: str) -> float:
        return int(text) if self.type == "int" else float(text)


@dataclass(frozen=True)
class CommandProbe:
    """A command line, run by a shell; what it prints is compared."""

    command: str
    comparator: Comparator


@dataclass(frozen=True)
class ObjectProbe:
    """Whether there are objects: at `path` by `query`, or all of `names`; `present` says which is wanted."""

    path: str
    query: Mapping[str, str]
    names: tuple[str, ...]
    present: bool


@dataclass(frozen=True)
class LitmusProbe:
    """One probe: when it is asked, how often until it counts as failed, and for how long."""

    name: str
    mode: str
    ask: CommandProbe | ObjectProbe
    timeout_s: float
    interval_s: float
    attempts: int = 1
    every_s: float = 1.0
    delay_s: float = 0.0
    stops: bool = False
