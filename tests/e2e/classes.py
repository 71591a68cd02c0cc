"""Classes that batches are tried on, the command that grades them, and what came of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from graders.batch.executor import Batch
from graders.batch.intake import hand_ins_in
from graders.cohort.roster import Roster
from graders.course import load_course
from graders.paths import REPOSITORY
from graders.store import GradeStore, open_store

COURSE = REPOSITORY / "tests" / "tinycourse"
ESSAYS = COURSE / "solutions" / "essay"


def class_of_essays(folder: Path, whole: Sequence[str], begun: str) -> Path:
    """Whole essays that differ, and one that is only begun; cyd's is packed, dan's none, fay's damaged."""
    for learner in whole:
        shutil.copytree(ESSAYS / "reference", folder / learner)
        (folder / learner / "more.md").write_text(f"by {learner}\n")
    shutil.copytree(COURSE / "labs" / "essay" / "starter", folder / begun)
    shutil.make_archive(str(folder / "cyd"), "zip", ESSAYS / "reference")
    (folder / "dan").mkdir()
    (folder / "dan" / "submission.yaml").write_text("schema: x\n")
    (folder / "fay.zip").write_bytes(b"PK\x03\x04 and no more")
    return folder


def essay_batch(submissions: Path, results: Path) -> Batch:
    """What a folder of essays is graded as; the tiny course has to be the one that is named."""
    return Batch(
        lab=load_course().find_lab("essay"),
        hand_ins=hand_ins_in(submissions),
        results=results,
        provider="embedded",
        jobs=2,
    )


def enrolled(store: GradeStore, batch: Batch) -> GradeStore:
    """The store, with whoever handed in on its roster."""
    store.enrol(Roster.of_ids(each.learner_id for each in batch.hand_ins))
    return store


def command(*arguments: str | Path) -> list[str | Path]:
    """The command that grades essays, as it is typed."""
    return [sys.executable, "-m", "graders", "--course", COURSE, "batch", "essay", *arguments]


def kubeproof(folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """That command, run to its end in `folder`."""
    environment = {**os.environ, "PYTHONPATH": python_path()}
    return subprocess.run(
        command(*arguments), cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def python_path() -> str:
    """Where a process of a test finds this checkout, and after it what this process was given besides."""
    return os.pathsep.join(filter(None, (str(REPOSITORY), os.environ.get("PYTHONPATH"))))


def gradebook(store: GradeStore) -> dict[str, tuple[str, str | None]]:
    """Each learner's state and points."""
    return {
        one: (final.state.value, None if final.points is None else str(final.points))
        for (one, _), final in store.finals().items()
    }


def gradebook_at(url: str | Path) -> dict[str, tuple[str, str | None]]:
    """The same, of the store at that URL."""
    with open_store(url, create=False) as store:
        return gradebook(store)
