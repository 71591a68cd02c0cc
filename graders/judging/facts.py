"""Facts: what a check measured, by name, in a form that any report can show."""

import itertools
import math
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from typing import Any

from graders.judging.text import clean

MAX_FACTS = 50
MAX_ITEMS = 50
MAX_DEPTH = 4
MAX_VALUES = 1_000
"""Most values in one fact before what is nested in it is left out."""
MAX_CHARS = 500
MAX_INT_BITS = 64


class Facts(MutableMapping[str, Any]):
    """Values a check records: `facts["restarts"] = 2`. Units belong into the name: `takeover_s`.

    Values are JSON: None, bool, int, float, str, and lists or mappings of them. What is too long is
    cut, for it may be a learner's doing; what is not JSON is the author's mistake.
    """

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}
        self._dropped: set[str] = set()

    def __setitem__(self, name: str, value: object) -> None:
        """Record one value.

        Raises:
            TypeError: `value` holds something that JSON has no place for.
        """
        plain = _Shortener(name).plain(value)
        key = clean(name, MAX_CHARS)
        if key in self._values or len(self._values) < MAX_FACTS:
            self._values[key] = plain
        else:
            self._dropped.add(key)

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __delitem__(self, name: str) -> None:
        del self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def recorded(self) -> dict[str, Any]:
        """All facts as plain JSON values; says how many there was no room for."""
        return {**self._values, **({"…": f"{len(self._dropped)} more"} if self._dropped else {})}


class _Shortener:
    """Turns one fact into plain JSON of bounded size."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._left = MAX_VALUES

    def plain(self, value: object, depth: int = 0) -> Any:
        self._left -= 1
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int):
            bits = value.bit_length()
            return int(value) if bits <= MAX_INT_BITS else f"a number of {bits} bits"
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else str(value)
        if isinstance(value, str):
            return clean(value, MAX_CHARS)
        if isinstance(value, Mapping | list | tuple):
            if depth == MAX_DEPTH or self._left <= 0:
                return "…"
            return self._mapping(value, depth) if isinstance(value, Mapping) else self._list(value, depth)
        raise TypeError(
            f"fact {self._name!r} holds a {type(value).__name__}; facts are JSON values only: "
            "numbers, text, None, and lists or mappings of them"
        )

    def _mapping(self, value: Mapping[Any, Any], depth: int) -> dict[str, Any]:
        short: dict[str, Any] = {}
        for key, item in itertools.islice(value.items(), MAX_ITEMS):
            if not isinstance(key, str):
                raise TypeError(f"fact {self._name!r} has the key {key!r}; keys of JSON are text")
            short[clean(key, MAX_CHARS)] = self.plain(item, depth + 1)
        more = len(value) - MAX_ITEMS
        return {**short, "…": f"{more} more"} if more > 0 else short

    def _list(self, value: Sequence[Any], depth: int) -> list[Any]:
        short = [self.plain(item, depth + 1) for item in value[:MAX_ITEMS]]
        more = len(value) - MAX_ITEMS
        return [*short, f"… {more} more"] if more > 0 else short
