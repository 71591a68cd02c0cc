"""What a recorded run shows of its drills: as evidence to hand in, and as pictures."""

from __future__ import annotations

import json

import pytest

from graders.evidence.bundle import Bundle
from graders.lab3.drills import LANE_OF, evidence_of
from graders.lab3.lanerecord import LaneRecord
from graders.lab3.panels import panels_of_drills
from graders.lab3.papers.evidence import DrillEvidence, drilled
from graders.lab3.records import Drill
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
    shown = drilled(DrillEvidence.model_validate(written), record.rto_s(scenario))
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


def test_each_drill_has_a_picture_with_its_probes_and_the_interval(bundle: Bundle) -> None:
    made = [panel for panel in panels_of_drills(bundle) if ", " in panel.track]
    assert len(made) == len([each for each in bundle.records(Drill) if "mitigation" not in each.phase])
    for panel in made:
        labels = [row.label for row in panel.rows]
        assert labels[:5] == ["probe write", "probe serving", "probe capacity", "probe canary", "RTO"]
        drawn = str(draw(panel, "key"))
        assert drawn.startswith("<svg")
        assert panel.track in drawn
