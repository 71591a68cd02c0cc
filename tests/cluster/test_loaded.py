"""What a real recording loads is what its key is made from: the closure is held against the process."""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

import graders
from graders.closure import Closure
from graders.course import load_course
from graders.distributions import distributions_of, pinned
from graders.gradekey import LOCK, PROGRAMS, recording_closure
from graders.labsettings import LabSettings
from graders.paths import REPOSITORY

pytestmark = pytest.mark.cluster

LAB = "lab1"
TRACKS = frozenset({"create", "conflicts", "policies", "events", "quality", "run"})
"""Between them they use every room that lab 1 records with."""


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    folder = tmp_path_factory.mktemp("alone")
    lab = load_course().find_lab(LAB)
    settings = LabSettings(**{each.name: getattr(lab, each.name) for each in dataclasses.fields(LabSettings)})
    wanted, found = folder / "wanted", folder / "found.json"
    wanted.write_bytes(pickle.dumps((settings, lab.references[0], folder, TRACKS)))
    program = Path(__file__).with_name("recordalone.py")
    path = os.pathsep.join((str(REPOSITORY), os.environ.get("PYTHONPATH", "")))
    subprocess.run(
        [sys.executable, "-P", str(program), str(wanted), str(found)],
        check=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    told: dict[str, list[str]] = json.loads(found.read_text())
    return told


@pytest.fixture(scope="module")
def closure() -> Closure:
    return recording_closure(LAB, "embedded")


def test_every_module_is_in_the_closure(loaded: dict[str, list[str]], closure: Closure) -> None:
    ours = {name for name in loaded["modules"] if name.split(".")[0] == "graders"}
    assert len(ours) > 100
    assert ours - closure.modules == set()


def test_every_file_of_the_package_is_in_the_closure(loaded: dict[str, list[str]], closure: Closure) -> None:
    root = Path(graders.__file__).parent
    read = {Path(name) for name in loaded["read"] if Path(name).is_relative_to(root) and Path(name).is_file()}
    read = {path for path in read if path.suffix != ".pyc"}
    assert root / "sandbox" / "learner-requirements.txt" in read
    assert read - set(closure.files) == set()


def test_every_distribution_is_pinned(loaded: dict[str, list[str]], closure: Closure) -> None:
    providers = metadata.packages_distributions()
    packages = {name.split(".")[0] for name in loaded["modules"]}
    found = {canonicalize_name(each) for name in packages for each in providers.get(name, ())}
    # The environment's own start-up imports it, whatever runs.
    found = (found & pinned(LOCK).keys()) - {"setuptools"}
    assert len(found) > 20
    assert found - distributions_of(closure.outside, LOCK, programs=PROGRAMS) == set()
