"""A part of a hand-in that is missing or malformed costs the criteria that read it, and no others."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from graders.course import load_course
from graders.lab3.lanes import LANES
from graders.lab3.names import AUDITS, EXPERIMENTS, PAPERS
from graders.model import Status
from graders.scoring import score
from tests.unit.flaws import checks_of, judged_alone
from tests.unit.lab3_recording import Recording, reference

OF_EXPERIMENTS = frozenset({"hypothesis", "injects", "blast-radius", "dry", "abort"})


def lost(mutate: Callable[[Recording], None], folder: Path) -> set[str]:
    """The checks that a change of the reference's record costs; none of them is the harness's fault."""
    recording = reference()
    mutate(recording)
    outcomes = judged_alone(recording.held(folder / "bundle"), checks_of("lab3"))
    assert not [name for name, each in outcomes.items() if each.status is Status.ERROR]
    assert all(each.hint for each in outcomes.values() if each.status is Status.FAILED)
    return {name for name, each in outcomes.items() if each.status is Status.FAILED}


def without(path: str) -> Callable[[Recording], None]:
    """A file, or all of a folder, was not handed in."""

    def mutate(recording: Recording) -> None:
        files = recording.parts["handedin"]
        gone = [each for each in files if each["path"].startswith(path)]
        assert gone
        for each in gone:
            files.remove(each)

    return mutate


def garbage(path: str) -> Callable[[Recording], None]:
    """A file is no YAML, no JSON, and no report."""

    def mutate(recording: Recording) -> None:
        (file,) = (each for each in recording.parts["handedin"] if each["path"] == path)
        file["text"] = "\t{ [}"

    return mutate


def marked(name: str, *tracks: str) -> Callable[[Recording], None]:
    """What these marks are of could not be used."""

    def mutate(recording: Recording) -> None:
        marks = [
            mark for mark in recording.parts["marks"] if mark["name"] == name and mark["track"] in tracks
        ]
        assert len(marks) == len(tracks)
        for mark in marks:
            mark["data"]["problem"] = "the API server refuses it"

    return mutate


# The report says when the last experiment had finished, which waivers and items are held against.
READ_THE_REPORT = frozenset({"report", "claims", "backlog", "audits"})


@pytest.mark.parametrize(
    ("change", "costs"),
    [
        (without("report.md"), READ_THE_REPORT),
        (garbage("report.md"), READ_THE_REPORT),
        (without("backlog.yaml"), {"backlog", "audits"}),
        (garbage("backlog.yaml"), {"backlog", "audits"}),
        (without("dr/RUNBOOK.md"), {"runbook"}),
        (garbage("dr/RUNBOOK.md"), {"runbook"}),
        (without("evidence/"), {"report", "claims"}),
        (without("evidence/pod-kill.json"), {"report", "claims"}),
        (garbage("evidence/pod-kill.json"), {"claims"}),
        (without("evidence/pod-kill.journal.json"), {"report"}),
        (without("audits/"), {"audits", "backlog"}),
        (garbage("audits/kube-hunter.json"), {"audits", "backlog"}),
        (without("audits/waivers.yaml"), {"audits"}),
        (garbage("audits/waivers.yaml"), {"audits"}),
        (without("mitigations/"), {"backlog"}),
        (marked("chaos", EXPERIMENTS), OF_EXPERIMENTS),
        (marked("experiment", *[EXPERIMENTS] * 2), OF_EXPERIMENTS),
    ],
    ids=lambda value: getattr(value, "__qualname__", "").partition(".")[0] or None,
)
def test_a_part_costs_what_reads_it(
    change: Callable[[Recording], None], costs: set[str], tmp_path: Path
) -> None:
    assert lost(change, tmp_path) == costs


def test_a_workload_that_does_not_come_up_costs_all_that_needs_it(tmp_path: Path) -> None:
    live = [track for track in LANES if track != AUDITS]
    needs_it = {info.id for info in checks_of("lab3") if set(info.tracks) & set(live)}
    assert lost(marked("workload", *live), tmp_path) == needs_it
    # The papers are judged all the same, and what audits say.
    assert {info.id for info in checks_of("lab3")} - needs_it >= {"report", "runbook", "backlog", "audits"}
    assert PAPERS not in LANES


def test_points_of_what_takes_real_nodes_are_those_of_what_is_injected(tmp_path: Path) -> None:
    bundle = reference().held(tmp_path / "bundle")
    outcomes = judged_alone(bundle, checks_of("lab3"))
    assert {name for name, each in outcomes.items() if each.status is Status.UNSUPPORTED} == {"daemon-faults"}
    rubric, capabilities = load_course().find_lab("lab3").rubric, bundle.manifest.capabilities
    result = score(rubric, tuple(outcomes.values()), capabilities=capabilities)
    points = {each.criterion.id: each.points for each in result.criteria}
    assert {name: int(points[name]) for name in ("daemon-faults", "injects")} == {
        "daemon-faults": 0,
        "injects": 5,
    }
    assert result.total == result.possible == Decimal(100)
