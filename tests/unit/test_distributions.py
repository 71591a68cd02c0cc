"""What code runs on: the pins of what it imports, and of all that those require."""

from __future__ import annotations

from pathlib import Path

import pytest

from graders.distributions import distributions_of, pinned, pins_of
from graders.gradekey import LOCK


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    file = tmp_path / "some.lock"
    file.write_text(
        "httpx==1.2 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n"
        'Idna==3.4 ; python_version >= "3.8" \\\n    --hash=sha256:cc\n'
        "mypy==1.0 \\\n    --hash=sha256:dd\n"
    )
    return file


def test_a_pin_is_a_version_with_its_condition_and_without_hashes(lock: Path) -> None:
    assert pinned(lock) == {
        "httpx": "httpx==1.2",
        "idna": 'idna==3.4 ; python_version >= "3.8"',
        "mypy": "mypy==1.0",
    }


def test_what_is_imported_and_what_that_requires_is_pinned(lock: Path) -> None:
    assert pins_of(["httpx"], lock) == ("httpx==1.2", 'idna==3.4 ; python_version >= "3.8"')


def test_programs_are_named_and_not_imported(lock: Path) -> None:
    assert pins_of([], lock, programs=["mypy", "not-in-the-lock"]) == ("mypy==1.0",)


def test_a_package_has_another_name_than_its_distribution() -> None:
    assert "pyyaml" in distributions_of(["yaml"], LOCK)


def test_an_extra_that_is_asked_for_counts_and_no_other() -> None:
    assert "psycopg-binary" not in distributions_of(["psycopg"], LOCK)
    # Of httpx's extras, what its command needs is imported where it is there.
    found = distributions_of(["httpx"], LOCK)
    assert {"httpcore", "click", "rich", "pygments"} <= found
    assert "h2" not in found


def test_what_no_distribution_provides_is_pinned_by_nothing() -> None:
    assert distributions_of(["tomllib", "nothing_of_this_name"], LOCK) == frozenset()
