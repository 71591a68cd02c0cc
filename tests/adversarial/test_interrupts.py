"""Ctrl-C, kill and kill -9 at any moment of a grading: it ends, and nothing it started outlives it.

The moments are drawn around each stage of a grading, from a seed that is printed with a failure.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from graders.outfolder import OutFolder
from graders.polling import NotYet, wait_for
from graders.reports import REPORTS
from graders.selftest.run import LOGS
from tests.e2e.command import REFERENCE, ROOT, Ended, Running

pytestmark = [pytest.mark.adversarial, pytest.mark.cluster, pytest.mark.timeout(600)]

SIDE_BY_SIDE = 3
SEED = int(os.environ.get("KUBEPROOF_TEST_SEED", "7"))

STAGES = {
    "start": ("starting cluster lab1", 2.5),
    "ready": ("starting cluster lab1", 5.0),
    "install": ("installing manifests ...", 0.5),
    "operator": ("starting operator ...", 0.8),
    "tracks": ("a job of four nodes ...", 0.8),
    "tools": ("code quality, aside ...", 3.0),
    "judging": ("judging ...", 0.1),
}
"""The line that a stage begins with, and how many seconds of it a moment is drawn from."""

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)


@dataclass(frozen=True)
class Moment:
    """A signal, sent `delay_s` after a stage began."""

    stage: str
    number: signal.Signals

    @property
    def delay_s(self) -> float:
        return random.Random(f"{SEED} {self.stage} {self.number}").uniform(0.0, STAGES[self.stage][1])


def interrupted(moment: Moment, folder: Path) -> Ended:
    """Grade the reference up to the moment, and give how that ended."""
    checks = "code-quality" if moment.stage == "tools" else "creates-pods"
    running = Running(
        ["grade", "lab1", REFERENCE, "--out", folder / "out", "--only", checks], folder, within_s=2.0
    )
    line, _ = STAGES[moment.stage]
    assert running.wait_line(lambda said: said.startswith(line)), "".join(running.lines)
    threading.Event().wait(moment.delay_s)
    running.signal(moment.number)
    return running.end(30.0)


MOMENTS = tuple(Moment(stage, number) for stage in STAGES for number in SIGNALS)


@pytest.fixture(scope="module")
def ended_runs(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[Moment, Future[Ended]]]:
    folder = tmp_path_factory.mktemp("interrupts")
    specs = (getattr(item, "callspec", None) for item in request.session.items)
    wanted = [spec.params["moment"] for spec in specs if spec is not None and "moment" in spec.params]
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        yield {
            moment: pool.submit(interrupted, moment, folder / f"{moment.stage}-{moment.number.name}")
            for moment in dict.fromkeys(wanted)
        }
        pool.shutdown(cancel_futures=True)


def of(*signals: signal.Signals) -> pytest.MarkDecorator:
    chosen = [moment for moment in MOMENTS if moment.number in signals]
    return pytest.mark.parametrize("moment", chosen, ids=lambda m: f"{m.stage}-{m.number.name}")


@of(signal.SIGINT, signal.SIGTERM)
def test_a_signal_ends_everything(moment: Moment, ended_runs: dict[Moment, Future[Ended]]) -> None:
    ended = ended_runs[moment].result()
    said = f"seed {SEED}, {moment.delay_s:.2f} s into {moment.stage}: {ended.err}"
    if ended.code == 0:
        # Judging may be over before the signal is there; a grading that is done is not undone.
        assert moment.stage == "judging", said
    else:
        assert ended.code == 128 + moment.number, said
        assert f"stopped by {moment.number.name}: removing what was started" in ended.err
    assert "Traceback" not in ended.err
    assert ended.left == [], said
    assert ended.folders_left() == [], said


@of(signal.SIGKILL)
def test_kill_9_leaves_no_process_and_the_next_run_no_folder(
    moment: Moment, ended_runs: dict[Moment, Future[Ended]]
) -> None:
    ended = ended_runs[moment].result()
    said = f"seed {SEED}, {moment.delay_s:.2f} s into {moment.stage}: {ended.err}"
    assert ended.code == -signal.SIGKILL or (ended.code == 0 and moment.stage == "judging"), said
    assert ended.left == [], said
    sweep = "from graders.ownership import sweep; print(*sweep())"
    environment = {**os.environ, "KUBEPROOF_STATE": str(ended.state)}
    swept = subprocess.run(
        [sys.executable, "-c", sweep], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    # By the end of judging the folders may be gone already.
    assert moment.stage == "judging" or "grade-lab1-" in swept.stdout, said
    assert ended.folders_left() == [], said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_self_test_that_is_stopped_ends_its_gradings_and_spares_what_is_there(
    number: signal.Signals, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    earlier, log = out / "starter" / "report.json", out / LOGS / "reference.txt"
    OutFolder(earlier.parent, REPORTS).begin()
    earlier.write_text("of an earlier run")
    named = ["--solution", "reference", "--solution", "starter"]
    running = Running(["selftest", "lab1", *named, "--again", "--jobs", "1", "--out", out], tmp_path / "run")

    def runs() -> None:
        if not log.exists() or STAGES["tracks"][0] not in log.read_text():
            raise NotYet("the first solution is not graded yet")

    wait_for(runs, timeout_s=120.0, interval_s=0.1)
    running.signal(number)
    ended = running.end(60.0)
    assert ended.code == 128 + number, ended.err
    assert ended.left == []
    assert ended.folders_left() == []
    assert "stopped by SIGTERM: removing what was started" in log.read_text()
    assert earlier.read_text() == "of an earlier run"
