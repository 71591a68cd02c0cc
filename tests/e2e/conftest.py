"""Whatever runs the command as a person types it counts among the tests that need a cluster."""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent
OF_THEIR_OWN = ("whole_class", "scale", "action")
"""Markers of tests that have a stage of their own."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents and not any(map(item.get_closest_marker, OF_THEIR_OWN)):
            item.add_marker(pytest.mark.cluster)
