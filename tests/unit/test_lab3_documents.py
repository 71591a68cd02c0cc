"""Lab3Files that others wrote: what is wrong with them is told with file and line, and costs one row."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from graders.judging import collect_checks
from graders.judging.run import outcome_of
from graders.model import Outcome, Status
from tests.unit.lab3_recording import Recording, reference


def judged(check: str, path: str, change: Callable[[str], str], folder: Path) -> Outcome:
    recording: Recording = reference()
    (file,) = (each for each in recording.parts["handedin"] if each["path"] == path)
    changed = change(file["text"])
    assert changed != file["text"]
    file["text"] = changed
    (info,) = (info for info in collect_checks("lab3") if info.id == check)
    return outcome_of(info, recording.held(folder / "bundle"))


def first(old: str, new: str) -> Callable[[str], str]:
    return lambda text: text.replace(old, new, 1)


@pytest.mark.parametrize(
    ("check", "path", "change", "says"),
    [
        ("report", "report.md", lambda text: text.removeprefix("---\n"), "report.md:1: has no front matter"),
        ("report", "report.md", lambda text: text.replace("\n---\n", "\n"), "does not end"),
        ("report", "report.md", first("cores: 2", "cores: .nan"), "not a finite number"),
        (
            "report",
            "report.md",
            first("probe_interval_s: 0.5", "probe_interval_s: -1"),
            "no number of seconds",
        ),
        ("report", "report.md", first("rpo_s: [0, 0]", "rpo_s: [3, 1]"), "below the lower one"),
        ("report", "report.md", first("cores: 2", "cores: 2, colour: red"), 'unknown key "colour"'),
        ("report", "report.md", first("severity: S2", "severity: S5"), "severity"),
        ("report", "report.md", first("file: experiments/pod-kill.yaml", "file: ../secret"), "../secret"),
        ("report", "report.md", first("rto_s: 10, rpo_s: 0", "rto_s: 9, rpo_s: 0"), "are not those of"),
        ("report", "report.md", first("outcome: upheld", "outcome: void"), "its journal says upheld"),
        ("report", "report.md", first('sha256: "', 'sha256: "0'), "is no SHA-256"),
        ("report", "report.md", first("  - id: cordon", "  - id: walk"), "experiment cordon is told 0 times"),
        (
            "report",
            "report.md",
            first("scenario: controller-loss\n    evidence", "scenario: pod-kill\n    evidence"),
            "recovery from controller-loss is told 0 times",
        ),
        (
            "report",
            "report.md",
            lambda text: re.sub(r"(?ms)^findings:\n.*?(?=^---$)", "findings: []\n", text),
            "findings",
        ),
        ("report", "evidence/pod-kill.journal.json", lambda _: "[" * 5000, "pod-kill"),
        ("report", "evidence/cordon.journal.json", first('"dry": null', '"dry": "actions"'), "says void"),
        (
            "report",
            "report.md",
            first("started: 2026-11-29T16:09:1", "started: 2026-11-29T16:07:1"),
            "started",
        ),
        ("report", "report.md", first("finished: 2026-11-29", "finished: 2025-11-29"), "to have finished"),
        ("runbook", "dr/RUNBOOK.md", lambda text: text.replace("15 s", "some"), "may cost 15 s of writes"),
        (
            "claims",
            "report.md",
            first("stabilisation_s: 10", "stabilisation_s: 1"),
            "stabilisation_s is said to be 1.0",
        ),
        ("claims", "report.md", first('backup_id: ""', 'backup_id: "b"'), "no restore was started"),
        (
            "claims",
            "report.md",
            first('backup_id: "6080d5937fd50a3d"', 'backup_id: "3a10eeb0f652e9b1"'),
            "was over before record",
        ),
        ("report", "evidence/cordon.journal.json", lambda _: "{", "evidence/cordon.journal.json:1"),
        ("backlog", "backlog.yaml", first("owner: serving team", 'owner: " "'), "is empty"),
        ("backlog", "backlog.yaml", first("due: 2027-01-31", "due: soon"), "is no time"),
        ("backlog", "backlog.yaml", first("type: prevent", "type: hope"), "type"),
        ("backlog", "backlog.yaml", first("priority: P1", "priority: P4"), "priority"),
        ("backlog", "backlog.yaml", first("metric: rto_s", "metric: hours"), "metric"),
        ("backlog", "backlog.yaml", first("status: open", "status: later"), "status"),
        ("backlog", "backlog.yaml", first("    action:", "    actions:"), 'unknown key "actions"'),
        (
            "backlog",
            "backlog.yaml",
            first("{scenario: node-loss}", "{scenario: node-loss, audit: 1.2.18}"),
            "names no single way",
        ),
        ("report", "report.md", first("    abort_condition:", "    aborted:"), 'unknown key "aborted"'),
        ("report", "report.md", first("outcome: upheld", "outcome: fine"), "outcome"),
        (
            "backlog",
            "backlog.yaml",
            first("due: 2027-01-31", "due: 2020-01-31"),
            "before the last experiment",
        ),
        ("backlog", "backlog.yaml", first("scenario: node-loss", "scenario: flood"), "no scenario flood"),
        ("backlog", "backlog.yaml", first("links: [PROJ-304]", "links: [PROJ-305]"), "links to PROJ-305"),
        (
            "backlog",
            "backlog.yaml",
            first("mitigations/tolerations", "mitigations/none"),
            "holds no manifest",
        ),
        ("backlog", "backlog.yaml", first("status: done", "status: open"), "item B1 is open"),
        ("runbook", "dr/RUNBOOK.md", first("## unknown", "## others"), "names unknown"),
        (
            "runbook",
            "dr/RUNBOOK.md",
            lambda text: text.replace("45 s", "soon"),
            "control-plane-loss is to be over",
        ),
        ("claims", "evidence/node-loss.json", lambda _: "{}", "is missing"),
        ("claims", "report.md", first("met: true", "met: false"), "met"),
    ],
)
def test_what_is_wrong_is_told(
    check: str, path: str, change: Callable[[str], str], says: str, tmp_path: Path
) -> None:
    outcome = judged(check, path, change, tmp_path)
    assert outcome.status is Status.FAILED, outcome.detail
    assert says in outcome.observed
    assert outcome.hint


def test_targets_may_stand_in_a_table(tmp_path: Path) -> None:
    limits = {"pod-kill": 10, "node-loss": 30, "controller-loss": 30, "control-plane-loss": 45}
    limits["namespace-deleted"] = 45
    rows = "".join(f"| {name} | {most} s | {15 if most == 45 else 0} s |\n" for name, most in limits.items())

    def tabled(text: str) -> str:
        below = re.sub(r"\d+ s", "soon", text)
        return f"# At a glance\n\n| scenario | back within | lost |\n|---|---|---|\n{rows}\n{below}"

    assert judged("runbook", "dr/RUNBOOK.md", tabled, tmp_path).status is Status.PASSED
