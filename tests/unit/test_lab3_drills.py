"""What a recorded run shows of its drills: as evidence to hand in, and as pictures."""

from __future__ import annotations

import json

import pytest

from graders.evidence.bundle import Bundle
from graders.lab3.documents.evidence import DrillEvidence
from graders.lab3.drills import LANE_OF, evidence_of
from graders.lab3.lanerecord import LaneRecord
from graders.lab3.names import LENIENCE_S, STABLE_S, WORKLOAD
from graders.lab3.panels import panels_of_drills
from graders.recovery.evidence import drilled, not_restored
from graders.recovery.panels import claimed_steps
from graders.recovery.records import Drill, ScriptRun
from graders.reports.critical import Step
from graders.reports.timeline import draw
from tests.unit.lab3_recording import reference


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return reference().held(tmp_path_factory.mktemp("recorded") / "bundle")


@pytest.mark.parametrize("scenario", LANE_OF)
def test_evidence_gives_the_intervals_that_were_measured(bundle: Bundle, scenario: str) -> None:
    written = json.loads(json.dumps(evidence_of(bundle, scenario)))
    record = LaneRecord(bundle, LANE_OF[scenario])
    drill = record.drills(scenario)[0]
    shown = drilled(
        DrillEvidence.model_validate(written), record.terms.rto_s[scenario] + LENIENCE_S, STABLE_S
    )
    measured = record.measured(drill).rto_s
    assert shown.rto_s.lower_s == pytest.approx(measured.lower_s, abs=0.01)
    assert shown.rto_s.upper_s == pytest.approx(measured.upper_s, abs=0.01)
    (look,) = record.looks(f"{drill.key}: settled")
    restored = record.restored(look)
    loss_s = restored.loss_s(drill)
    # Evidence has one log of all kinds, and says nothing of deletions.
    assert bool(shown.records_lost) == bool(restored.lost)
    if restored.lost:
        assert shown.rpo_s.lower_s <= (loss_s.upper_s or 0.0)
        assert loss_s.lower_s <= (shown.rpo_s.upper_s or 0.0)


_LOSS = {
    "schema": "kubeproof/lab3-drill/v1",
    "scenario": "control-plane-loss",
    "interval_s": 0.5,
    "injected": [0.0, 0.1],
    "restore": {"started": 1.0, "ended": 1.2, "exit": 0},
}


def test_the_bounds_of_a_claim_are_those_that_the_text_says() -> None:
    slots = [[-0.5, -0.4, True], [0.2, 0.3, False], [0.7, 0.8, False], [1.2, 1.3, True], [1.7, 1.8, True]]
    evidence = {
        **_LOSS,
        "probes": {"serving": slots, "write": [[sent, sent + 0.1, True] for sent, _, _ in slots]},
        "backups": [],
        "ledger": {"acked": {"1": -3.0, "2": -2.0, "3": -1.0}, "present": [1]},
    }
    found = drilled(DrillEvidence.model_validate(evidence), 75.0, 0.5)
    assert (found.rto_s.lower_s, found.rto_s.upper_s) == pytest.approx((0.7 - 0.1, 1.3), abs=0.001)
    assert (found.rpo_s.lower_s, found.rpo_s.upper_s) == pytest.approx((2.0, 3.0 + 0.1), abs=0.001)
    assert found.records_lost == 2


@pytest.mark.parametrize(
    ("backup", "says"),
    [
        ("older", "was over before record 2 was written, which is there again"),
        ("restored", ""),
        ("newer", "was begun after record 3 was written, which is lost"),
        ("unknown", "the evidence has no backup 'unknown'"),
    ],
)
def test_a_backup_was_restored_if_it_can_hold_what_is_there(backup: str, says: str) -> None:
    ends = {"older": -9.5, "restored": -4.5, "newer": -0.5}
    evidence = {
        **_LOSS,
        "probes": {"serving": [[-0.5, -0.4, True]]},
        "backups": [{"id": name, "started": end - 1.0, "ended": end} for name, end in ends.items()],
        "ledger": {"acked": {"1": -12.0, "2": -6.0, "3": -3.0, "4": -1.0}, "present": [1, 2]},
    }
    assert not_restored(DrillEvidence.model_validate(evidence), backup).endswith(says)
    assert bool(not_restored(DrillEvidence.model_validate(evidence), backup)) is bool(says)


def test_each_drill_has_a_picture_with_its_probes_and_the_interval(bundle: Bundle) -> None:
    made = [panel for panel in panels_of_drills(bundle) if panel.title]
    assert len(made) == len([each for each in bundle.records(Drill) if "mitigation" not in each.phase])
    for panel in made:
        labels = [row.label for row in panel.rows]
        assert labels[:5] == ["probe write", "probe serving", "probe capacity", "probe canary", "RTO"]
        drawn = str(draw(panel, "key"))
        assert drawn.startswith("<svg")
        assert panel.title in drawn


def test_of_a_lane_that_decides_the_end_outages_alone_are_shaded(bundle: Bundle) -> None:
    lane = bundle.manifest.tracks[WORKLOAD]
    step = Step(lane.started, lane.ended, WORKLOAD, "acting", "acting")
    shown = [panel for panel in panels_of_drills(bundle) if panel.track == WORKLOAD]
    *drills, whole = shown
    for panel in drills:
        ((since, until),) = panel.decisive
        assert panel.start < since < until < panel.end
        assert str(draw(panel, "key", [step])).count('class="decisive"') == 1
    assert str(draw(whole, "key", [step])).count('class="decisive"') == len(drills)
    (elsewhere,) = drills[0].decisive
    before = Step(lane.started, elsewhere[0], WORKLOAD, "acting", "acting")
    assert 'class="decisive"' not in str(draw(drills[0], "key", [before]))


def test_beside_each_picture_stands_what_was_claimed(bundle: Bundle) -> None:
    for panel in panels_of_drills(bundle):
        if panel.title:
            about = [each.about for each in panel.comparisons]
            assert about[0] == "recovery time (RTO)"
            claimed = panel.comparisons[0].claimed
            assert (claimed == "nothing") == panel.title.startswith("unknown")


@pytest.mark.parametrize(
    "line",
    [
        '{"step": "x", "at": 1e999}',
        '{"step": "x", "at": 1' + "0" * 400 + "}",
        '{"step": "x", "at": "soon"}',
        '{"step": "x"}',
        "[" * 100_000,
        "{" * 100_000,
    ],
)
def test_what_is_no_claim_of_a_step_is_not_drawn(line: str) -> None:
    run = ScriptRun(10.0, 20.0, "restore", "control-plane-loss", 0, "exited with 0", said=line)
    assert list(claimed_steps(run)) == []


def test_a_claimed_step_is_drawn_until_the_next_one_and_within_the_run() -> None:
    said = (
        '{"event": "stop", "step": "etcd", "at": 500}\nnoise\n{"event": "start", "step": "etcd", "at": 9e9}'
    )
    run = ScriptRun(10.0, 20.0, "restore", "control-plane-loss", 0, "exited with 0", said=said)
    (row,) = claimed_steps(run)
    assert [(span.label, span.start, span.end) for span in row.spans] == [
        ("stop etcd", 10.0, 20.0),
        ("start etcd", 20.0, 20.0),
    ]
