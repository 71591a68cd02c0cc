"""What the report draws of lab 3: a panel for each drill, and of its tracks what they show otherwise."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from graders.chaos.records import ExperimentRun
from graders.evidence.bundle import Bundle
from graders.faults import BadSubmission, InfraFault, Unmet
from graders.lab3.documents.handedin import Lab3Files
from graders.lab3.documents.report import ReportedRecovery, read_report
from graders.lab3.drills import LANE_OF
from graders.lab3.lanerecord import LaneRecord
from graders.lab3.names import EXPERIMENTS, UNKNOWN, WORKLOAD
from graders.recovery.panels import drill_panel
from graders.reports.panels import Panel
from graders.reports.trackpanels import panels


def panels_of_drills(bundle: Bundle) -> tuple[Panel, ...]:
    """A panel for each drill of each lane that could be measured, then what the tracks show otherwise.

    A lane may be all that the run waited for: what decides in it are outages, and runs of experiments.
    """
    made: list[Panel] = []
    told = _reported(bundle)
    for track in dict.fromkeys(LANE_OF.values()):
        if track in bundle.manifest.tracks:
            made += _of_lane(bundle, track, told)
    decisive = {EXPERIMENTS: tuple((run.t, run.t_end) for run in bundle.records(ExperimentRun))}
    for each in made:
        decisive[each.track] = (*decisive.get(each.track, ()), *each.decisive)
    whole = (replace(each, decisive=decisive.get(each.track, ())) for each in panels(bundle))
    return (*made, *whole)


def _reported(bundle: Bundle) -> dict[str, ReportedRecovery]:
    """What the report says of each scenario; nothing where it cannot be read, which a check says."""
    try:
        return {each.scenario: each for each in read_report(Lab3Files(bundle)).front.recoveries}
    except (Unmet, InfraFault, BadSubmission, ValueError):
        return {}


def _of_lane(bundle: Bundle, track: str, told: Mapping[str, ReportedRecovery]) -> Iterator[Panel]:
    try:
        record = LaneRecord(bundle, track)
    except (Unmet, InfraFault):
        return
    scenarios = [name for name, lane in LANE_OF.items() if lane == track]
    for scenario in (*scenarios, *([UNKNOWN] if track == WORKLOAD else [])):
        for drill in record.drills(scenario):
            yield drill_panel(track, record, drill, told.get(scenario))
