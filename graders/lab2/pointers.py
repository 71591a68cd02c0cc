"""Places in plain objects; pure."""

from __future__ import annotations

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
