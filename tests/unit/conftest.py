"""What holds for tests that start no cluster."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from graders.slots import AT_ONCE


@pytest.fixture(scope="session", autouse=True)
def gradings_of_others_are_not_waited_for() -> Iterator[None]:
    """What is graded here measures nothing, and so takes no turn among gradings that do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(AT_ONCE, "64")
        yield
