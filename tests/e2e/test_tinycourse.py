"""A course of three tiny labs needs no line in a shared room: none, two clusters at once, and a lost one."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from graders.evidence.bundle import Bundle
from graders.paths import REPOSITORY

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

COURSE = REPOSITORY / "tests" / "tinycourse"


def kubeproof(*arguments: str | Path, course: Path = COURSE) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "graders", "--course", course, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    return subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False
    )


def has_a_record_type_of_its_own(bundle: Bundle) -> None:
    assert bundle.manifest.clusters == {}
    assert (bundle.folder / "pages.jsonl").is_file()


def tells_two_clusters_with_one_namespace_apart(bundle: Bundle) -> None:
    assert bundle.manifest.clusters.keys() == {"east", "west"}
    for cluster in ("east", "west"):
        view = bundle.on(cluster)
        (seen,) = (e for e in view.watch_events if (e.namespace, e.name) == ("web", "greeting"))
        assert seen.object["data"]["said"] == cluster
        assert {event.cluster for event in view.audit} == {cluster}
        assert view.health
        writes = [event for event in view.audit if event.namespace == "web" and event.is_write]
        assert {bundle.manifest.role(event.user) for event in writes} <= {"grader", "control-plane"}


def has_the_outage_that_was_meant_as_evidence(bundle: Bundle) -> None:
    (lost,) = (mark.t for mark in bundle.marks if mark.name == "lost")
    (back,) = (mark.t for mark in bundle.marks if mark.name == "back")
    view = bundle.on("phoenix")
    # The API server that starts takes a connection before it can answer.
    away = [sample for sample in view.health if sample.read_s is None or sample.read_s > 0.3]
    assert any(lost <= sample.t <= back + 1 for sample in away)
    went_back = [each for each in view.watch_breaks if each.how == "went-back"]
    assert went_back
    assert {each.t >= lost for each in went_back} == {True}
    assert bundle.manifest.tracks["loss"].status == "done"
    # The API server that was started again has its log on record, too.
    assert any(event.t > back for event in view.audit)


@pytest.mark.parametrize(
    ("lab", "record"),
    [
        ("essay", has_a_record_type_of_its_own),
        ("twins", tells_two_clusters_with_one_namespace_apart),
        ("phoenix", has_the_outage_that_was_meant_as_evidence),
    ],
)
def test_every_solution_loses_exactly_what_it_should_and_the_record_says_why(
    lab: str, record: Callable[[Bundle], None], tmp_path: Path
) -> None:
    # A self-test writes what it proved into the course.
    course = shutil.copytree(COURSE, tmp_path / "course")
    out = tmp_path / "out"
    done = kubeproof("selftest", lab, "--again", "--jobs", "1", "--out", out, course=course)
    assert done.returncode == 0, done.stdout + done.stderr
    assert ", 0 failed" in done.stdout
    assert json.loads((out / "reference" / "report.json").read_text())["percent"] == 100
    record(Bundle(out / "reference" / "bundle"))


def test_nothing_outside_of_a_lab_s_own_folder_names_a_lab() -> None:
    named = re.compile(r"\b(lab[0-9]|essay|twins|phoenix)\b")
    found = [
        f"{path.relative_to(REPOSITORY)}:{number}: {line.strip()}"
        for path in sorted((REPOSITORY / "graders").rglob("*.py"))
        if not re.match(r"lab\d$|assessment$", path.relative_to(REPOSITORY / "graders").parts[0])
        for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1)
        if named.search(line)
    ]
    assert found == []


@pytest.mark.parametrize("lab", ["essay", "twins", "phoenix"])
def test_a_lab_is_made_of_the_files_that_contributors_are_told_of(lab: str) -> None:
    text = (
        (REPOSITORY / "docs" / "contributing.md").read_text("utf-8").split("## A lab\n")[1].split("\n## ")[0]
    )
    told = [line.split()[0] for line in text.splitlines() if line.startswith("    ")]
    assert len(told) == 11
    for each in told:
        pattern = re.sub(r"<(topic|why)>", "*", each.replace("<slug>", lab)).rstrip("/")
        assert list(COURSE.glob(pattern)), f"{each}: there is none in the tiny course"
