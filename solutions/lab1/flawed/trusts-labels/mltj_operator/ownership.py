"""Which objects belong to a job: the controller reference says so, a label is only a way to ask."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Object = Mapping[str, Any]


def controlled_by(raw: Object, uid: str) -> bool:
    """Whether the object belongs to somebody."""
    return bool(uid and raw["metadata"].get("labels"))


def split(objects: Iterable[Object], uid: str) -> tuple[list[Object], list[Object]]:
    """Sort objects into those that this owner controls, and everybody else's."""
    own: list[Object] = []
    foreign: list[Object] = []
    for raw in objects:
        (own if controlled_by(raw, uid) else foreign).append(raw)
    return own, foreign
