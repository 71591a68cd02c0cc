"""What `kubeproof drill lab3` writes, and where: from the recorded run, without a cluster."""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from graders import drilling
from graders.cli import app
from graders.clusters import registry
from graders.faults import UsageError
from graders.lab3.drills import LANE_OF
from graders.paths import REPOSITORY
from graders.recording import RecordRequest
from tests.unit.lab3_recording import ARCHIVE


@pytest.fixture
def handed_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The reference without evidence; whoever records it gets its recorded run."""
    root = tmp_path / "handin"
    shutil.copytree(REPOSITORY / "solutions" / "lab3" / "reference", root)
    shutil.rmtree(root / "evidence")

    def record(wanted: RecordRequest, *_: object) -> None:
        with tarfile.open(ARCHIVE) as archive:
            archive.extractall(wanted.bundle, filter="data")

    monkeypatch.setattr(drilling, "record", record)
    monkeypatch.setattr(registry, "default_provider", lambda _: "embedded")
    return root


@pytest.mark.parametrize("scenario", LANE_OF)
def test_a_drill_of_a_scenario_is_written_as_evidence(handed_in: Path, scenario: str) -> None:
    done = CliRunner().invoke(app, ["drill", "lab3", str(handed_in), "--scenario", scenario])
    assert done.exit_code == 0, done.output
    written = json.loads((handed_in / "evidence" / f"{scenario}.json").read_text())
    assert (written["schema"], written["scenario"]) == ("kubeproof/lab3-drill/v1", scenario)


def test_a_drill_of_an_experiment_is_written_as_its_journal(handed_in: Path) -> None:
    done = CliRunner().invoke(app, ["drill", "lab3", str(handed_in), "--experiment", "cordon"])
    assert done.exit_code == 0, done.output
    written = json.loads((handed_in / "evidence" / "cordon.journal.json").read_text())
    assert written["experiment"]["title"].startswith("A node without room")
    assert written["status"] == "completed"


def test_evidence_that_cannot_be_written_is_said_before_anything_starts(
    handed_in: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drilling, "record", lambda *_: pytest.fail("it was recorded"))
    (tmp_path / "file").touch()
    for place in (tmp_path, tmp_path / "file" / "below"):
        with pytest.raises(UsageError, match=r"the evidence cannot be written here: .*\n  fix: name a file"):
            CliRunner().invoke(
                app,
                ["drill", "lab3", str(handed_in), "--scenario", "pod-kill", "--out", str(place)],
                catch_exceptions=False,
            )
