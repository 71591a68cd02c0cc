"""Places in plain objects; pure."""

from collections.abc import Mapping, Sequence
from typing import Any


def json_pointer(steps: Sequence[str | int]) -> str:
    """The steps as one text, as JSON patches have it (RFC 6901)."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in steps)


def at_pointer(value: Any, pointer: Sequence[str | int]) -> Any:
    """What stands at `pointer`, step by step; None where the steps lead nowhere."""
    for step in pointer:
        if isinstance(value, Mapping):
            value = value.get(step)
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            value = value[step]
        else:
            return None
    return value


def holds(value: Any, declared: Any) -> bool:
    """Whether a field is as Git declares it; of a set of words all have to be there.

    A server-side apply gives back its own words and leaves those that somebody else put beside them.
    """
    words = isinstance(declared, list) and all(isinstance(each, str) for each in declared)
    if words and declared and isinstance(value, list):
        return all(each in value for each in declared)
    return bool(value == declared)
