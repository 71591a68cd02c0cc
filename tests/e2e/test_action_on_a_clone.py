"""Every `run:` step of the action as written, on a fresh clone, with whole submissions of each lab.

`make test-action`; one lab alone with args="-k lab2". Programs come from the cache of this machine, as from a
runner's own.
"""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from graders.paths import REPOSITORY
from scripts.action_matrix import rows
from tests.unit.action_steps import SECRETS, Job

pytestmark = [pytest.mark.action, pytest.mark.timeout(7200)]

ROWS = rows()
BOUND = 60
STEP_WITHIN_S = 3600.0


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The action's repository as a runner gets it: what is committed, and no environment."""
    folder = tmp_path_factory.mktemp("fresh") / "kubeproof"
    subprocess.run(["git", "clone", "--quiet", REPOSITORY, folder], check=True)
    assert (folder / "action.yml").read_bytes() == (REPOSITORY / "action.yml").read_bytes(), "commit it first"
    assert not (folder / ".venv").exists()
    return folder


@pytest.mark.parametrize("row", ROWS, ids=[str(row["submission"]) for row in ROWS])
def test_a_submission_is_graded_as_it_must_be(row: dict[str, Any], clone: Path, tmp_path: Path) -> None:
    inputs = {"lab": row["lab"], "submission": "work", "fail-under": str(BOUND)}
    job = Job(tmp_path, clone, inputs, step_within_s=STEP_WITHIN_S)
    shutil.copytree(clone / row["submission"], job.workspace / "work")
    (tmp_path / "home" / ".cache").symlink_to(Path.home() / ".cache")
    code = job.run()
    found = job.outputs["publish"]
    assert found["verdict"] == "graded", job.printed
    percent, classroom = float(found["percent"]), json.loads(base64.b64decode(found["result"]))
    if row["passes"]:
        assert (code, percent) == (0, 100), job.summary
        assert {each["status"] for each in classroom["tests"]} == {"pass"}
    else:
        assert percent < BOUND
        assert code == 1
        assert job.printed["End as the grading did"].strip().endswith(f"the score is below {BOUND} %25")
        assert "## " in job.summary
        assert "::error" in job.printed["Publish the report"]
    written = [path for path in Path(found["report"]).parent.rglob("*") if path.is_file()]
    assert {"report.json", "report.html", "junit.xml", "summary.md"} <= {path.name for path in written}
    told = job.summary + "".join(path.read_text("utf-8", "replace") for path in written)
    assert not [secret for secret in SECRETS.values() if secret in told]
