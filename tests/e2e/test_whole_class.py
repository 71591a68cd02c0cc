"""A class of forty, killed ten times on the way, beside one that nobody disturbed: `make test-class`."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
from contextlib import nullcontext
from pathlib import Path

import pytest

from tests.e2e.classes import COURSE, ESSAYS, command, gradebook_at, kubeproof
from tests.e2e.test_batch import until_kept
from tests.unit.postgres_server import running_server

pytestmark = [pytest.mark.whole_class, pytest.mark.timeout(3600)]

LEARNERS = 40
KILLS = 10
SEED = 201


@pytest.fixture(scope="module")
def class_of_forty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty hand-ins, each a solution of the essay with something cut out, put in or broken by the dice."""
    folder = tmp_path_factory.mktemp("class")
    dice = random.Random(SEED)
    solutions = [ESSAYS / "reference", COURSE / "labs" / "essay" / "starter"]
    for number in range(LEARNERS):
        learner = folder / f"learner-{number:02}"
        shutil.copytree(dice.choice(solutions), learner)
        essay = learner / "essay.md"
        words = essay.read_text().split()
        dice.shuffle(words)
        essay.write_text(" ".join(words[dice.randrange(len(words)) :] + ["etcd"] * dice.randrange(40)))
        if dice.random() < 0.1:
            (learner / "submission.yaml").write_text("lab: [essay\n")
        if dice.random() < 0.3:
            shutil.make_archive(str(learner), "zip", learner)
            shutil.rmtree(learner)
    return folder


@pytest.fixture(scope="module")
def undisturbed(class_of_forty: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    folder = tmp_path_factory.mktemp("undisturbed")
    done = kubeproof(folder, class_of_forty)
    assert done.returncode == 0, done.stdout + done.stderr
    return dict(gradebook_at(folder / "class.db"))


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_the_gradebook_is_that_of_a_run_which_nobody_killed(
    kind: str, class_of_forty: Path, undisturbed: dict[str, object], tmp_path: Path
) -> None:
    with running_server() if kind == "postgresql" else nullcontext() as server:
        url = server.url() if server else str(tmp_path / "class.db")
        arguments = [class_of_forty, "--store", url, "--results", tmp_path / "results"]
        dice = random.Random(SEED)
        for number in range(KILLS):
            with subprocess.Popen(
                command(*arguments), cwd=tmp_path, env={**os.environ}, stdout=subprocess.DEVNULL
            ) as process:
                until_kept(tmp_path / "results", dice.randint(3 * number + 1, 3 * number + 3))
                process.send_signal(signal.SIGKILL)
        last = kubeproof(tmp_path, *arguments)
        assert last.returncode == 0, last.stdout + last.stderr
        found = gradebook_at(url)
    assert len(found) == LEARNERS
    assert {state for state, _ in found.values()} == {"graded", "rejected"}
    assert found == undisturbed
