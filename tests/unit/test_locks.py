"""The locks pin every direct requirement with a hash and name no place to fetch from."""

from __future__ import annotations

import ast
import re
import tomllib
from collections import Counter
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from graders.paths import REPOSITORY
from graders.sandbox.runtime import LOCK as LEARNER_LOCK
from graders.tools.toolchain import TOOLCHAIN_LOCK

PROJECT_LOCK = REPOSITORY / "requirements.lock"
S3_LOCK = REPOSITORY / "graders" / "batch" / "s3-requirements.txt"
LOCKS = [PROJECT_LOCK, LEARNER_LOCK, TOOLCHAIN_LOCK, S3_LOCK]


def entries(lock: Path) -> dict[str, tuple[Requirement, list[str]]]:
    """Each pinned requirement by its name, with its hashes."""
    found: dict[str, tuple[Requirement, list[str]]] = {}
    for entry in lock.read_text().replace("\\\n", " ").splitlines():
        words, *hashes = re.split(r"\s+--hash=", entry.strip())
        requirement = Requirement(words)
        found[canonicalize_name(requirement.name)] = requirement, hashes
    return found


def direct_requirements(lock: Path) -> list[Requirement]:
    if lock == PROJECT_LOCK:
        project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
        lines = [
            *project["project"]["dependencies"],
            *project["project"]["optional-dependencies"]["dev"],
            *project["build-system"]["requires"],
        ]
    else:
        lines = [
            line for line in lock.with_suffix(".in").read_text().splitlines() if not line.startswith("#")
        ]
    return [Requirement(line) for line in lines]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_every_requirement_has_one_version_and_hashes(lock: Path) -> None:
    pinned = entries(lock)
    assert pinned
    for requirement, hashes in pinned.values():
        assert re.fullmatch(r"==[^*]+", str(requirement.specifier)), requirement
        assert hashes, requirement
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", digest) for digest in hashes), requirement


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_no_place_to_fetch_from_is_named(lock: Path) -> None:
    assert re.findall(r"(?i)https?:|://|index-url|find-links|trusted-host| @ |file:", lock.read_text()) == []


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_every_direct_requirement_is_pinned_to_what_is_asked_for(lock: Path) -> None:
    pinned = entries(lock)
    for wanted in direct_requirements(lock):
        requirement, _ = pinned[canonicalize_name(wanted.name)]
        (specifier,) = requirement.specifier
        assert Version(specifier.version) in wanted.specifier, wanted


def test_no_two_classes_have_one_name() -> None:
    """Whoever reads one by its name should not meet another."""
    texts = {file: file.read_text("utf-8") for file in sorted((REPOSITORY / "graders").rglob("*.py"))}
    # A line of text may begin like a class: what looks like two of one name is read as code.
    lines = Counter(
        name for text in texts.values() for name in re.findall(r"^\s*class (\w+)", text, re.MULTILINE)
    )
    twice = [name for name, times in lines.items() if times > 1]
    places: dict[str, list[str]] = {}
    for file, text in texts.items():
        if any(f"class {name}" in text for name in twice):
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.ClassDef):
                    places.setdefault(node.name, []).append(str(file.relative_to(REPOSITORY)))
    assert {name: there for name, there in places.items() if len(there) > 1} == {}
