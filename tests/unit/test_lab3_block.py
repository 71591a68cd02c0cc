"""What submission.yaml of lab 3 may say, and how it is told what it may not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from graders.faults import BadSubmission
from graders.lab3.block import Lab3Block
from graders.lab3.handin import Lab3Manifest, manifest_from
from graders.lab3.names import CEILINGS
from graders.paths import REPOSITORY
from graders.submissions.load import load_submission

REFERENCE = REPOSITORY / "solutions" / "lab3" / "reference"


def read(root: Path) -> Lab3Manifest:
    found: Lab3Manifest = load_submission(root, lab="lab3", block=Lab3Block).manifest
    return found


def changed(folder: Path, old: str, new: str) -> tuple[Path, int]:
    """The reference with a change of its submission.yaml, and the line that is changed."""
    root = folder / "handin"
    shutil.copytree(REFERENCE, root)
    text = (root / "submission.yaml").read_text()
    assert old in text
    (root / "submission.yaml").write_text(text.replace(old, new))
    return root, text[: text.index(old)].count("\n") + 1


def test_the_reference_is_read_and_survives_the_record() -> None:
    manifest = read(REFERENCE)
    assert manifest.target("control-plane-loss").rto_s == 45
    assert [each.id for each in manifest.chaos.experiments] == ["pod-kill", "cordon"]
    assert manifest_from(manifest.as_block()) == manifest


@pytest.mark.parametrize(
    ("old", "new", "says", "fix"),
    [
        ("node-loss, rto_s: 30", "node-loss, rto_s: 31", "above its ceiling of 30", "write 30 or less"),
        ("node-loss, rto_s: 30", "node-loss, rto_s: .nan", "not a finite number", "write a number"),
        ("node-loss, rto_s: 30", "node-loss, rto_s: -1", "no number of seconds", "from 0 up"),
        ("scenario: node-loss", "scenario: node-lost", "there is no scenario", "use one of"),
        ("every_s: 5", "every_s: 4", "every_s", "correct"),
        ("every_s: 5", "every_s: 5.5", "a whole number", "write a whole number"),
        ("every_s: 5", "every_s: 11", "every_s", "correct"),
        ("settings: experiments/settings.yaml", "settings: settings.yaml", "does not exist", "path"),
        (
            "format: chaostoolkit\n",
            "format: chaostoolkit\n      hypothesis: [x]\n",
            "in its own file",
            "remove",
        ),
        ("format: chaostoolkit\n", "format: litmus\n      hypothesis: [x]\n", "in its own probes", "remove"),
        ("restore: [dr/restore]", "restore: []", "has no program", "dr/restore"),
        ("file: experiments/cordon.yaml", "file: experiments/cordn.yaml", "does not exist", "path"),
        ("file: experiments/cordon.yaml", "file: ../cordon.yaml", "..", "inside its folder"),
        ("scope: {nodes: [node-a1], max: 1}", "scope: {max: 1}", "a scope is of nodes", "namespace"),
        ("scope: {nodes: [node-a1], max: 1}", "scope: {nodes: [node-a1], max: 0}", "max", "correct"),
        ("scope: {namespace: serving", "scope: {namespace: tenant-b", '"tenant-b"', "namespace: serving"),
        ("id: cordon", "id: pod-kill", "two experiments are called", "id of its own"),
        ("format: chaostoolkit", "format: chaosmesh", "a command as its hypothesis", "add hypothesis"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_a_fix(
    tmp_path: Path, old: str, new: str, says: str, fix: str
) -> None:
    root, line = changed(tmp_path, old, new)
    with pytest.raises(BadSubmission) as refused:
        read(root)
    assert says in refused.value.problem
    assert fix in refused.value.fix
    assert refused.value.file == "submission.yaml"
    # A mistake in a mapping as a whole is told where that begins.
    assert refused.value.line is not None
    assert line - 5 <= refused.value.line <= line


def test_all_five_scenarios_have_one_target(tmp_path: Path) -> None:
    root, _ = changed(tmp_path, "  - {scenario: node-loss, rto_s: 30, rpo_s: 0}\n", "")
    with pytest.raises(BadSubmission, match="there is no target for node-loss"):
        read(root)


def test_the_starter_is_read() -> None:
    manifest = read(REPOSITORY / "labs" / "lab3" / "starter")
    assert manifest.chaos.service_account == "chaos-runner"
    assert {each.scenario for each in manifest.targets} == set(CEILINGS)


@pytest.mark.parametrize("count", [1, 2, 4, 5])
def test_there_are_two_to_four_experiments(tmp_path: Path, count: int) -> None:
    root, _ = changed(tmp_path, "every_s: 5", "every_s: 5")
    file = root / "submission.yaml"
    told = yaml.safe_load(file.read_text())
    first, *_ = told["chaos"]["experiments"]
    told["chaos"]["experiments"] = [{**first, "id": f"experiment-{at}"} for at in range(count)]
    file.write_text(yaml.safe_dump(told))
    if 2 <= count <= 4:
        assert len(read(root).chaos.experiments) == count
    else:
        with pytest.raises(BadSubmission, match="experiments"):
            read(root)


def test_settings_and_pythonpath_may_be_left_out(tmp_path: Path) -> None:
    root, _ = changed(tmp_path, "  settings: experiments/settings.yaml\n  pythonpath: experiments/lib\n", "")
    assert (read(root).chaos.settings, read(root).chaos.pythonpath) == ("", "")


@pytest.mark.parametrize("every_s", [5, 10])
def test_backups_may_be_five_to_ten_seconds_apart(tmp_path: Path, every_s: int) -> None:
    root, _ = changed(tmp_path, "every_s: 5", f"every_s: {every_s}")
    assert read(root).dr.every_s == every_s
