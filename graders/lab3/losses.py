"""Judging losses: in what time they were over, and what they cost. Pure."""

from graders.evidence.bundle import Bundle
from graders.faults import Unmet
from graders.judging import Facts, Findings
from graders.lab3.lanerecord import LaneRecord
from graders.lab3.names import CONTROLLER_LOSS, LATE, NODE_LOSS, POD_KILL, RANDOM_PHASE
from graders.recovery.objectives import judge_drill, losses
from graders.recovery.records import Drill

_PHASES = (RANDOM_PHASE, LATE)
_IN_WORDS = {
    RANDOM_PHASE: "a loss at a random moment",
    LATE: "a loss just before the next backup",
    POD_KILL: "the loss of half of the pods",
    NODE_LOSS: "the loss of a zone",
    CONTROLLER_LOSS: "the loss of controllers and scheduler",
    "stopped": "a process that is stopped, and that nobody names,",
    "refused": "requests that are refused, nobody says why,",
}


def drills_of(record: LaneRecord, scenario: str, phase: str) -> list[Drill]:
    """The drills of a phase.

    Raises:
        Unmet: it never came to that.
    """
    found = [each for each in record.drills(scenario) if each.phase == phase]
    if not found:
        raise Unmet(
            f"{_IN_WORDS[phase]} to be recovered from",
            record.never("no backup was sealed, or the loss before was not recovered from"),
            hint="dr/backup has to exit 0 and dr/restore to bring the cluster back.",
        )
    return found


def judge_rto(
    bundle: Bundle, facts: Facts, track: str, scenario: str, phases: tuple[str, ...] = _PHASES
) -> None:
    """All phases of a scenario over within its target.

    Raises:
        Unmet: one was not. InfraFault: what was measured is void, or decides nothing.
    """
    record = LaneRecord(bundle, track)
    target_s = record.terms.rto_s[scenario] * record.scale
    facts["target_s"], facts["scale"] = round(target_s, 2), record.scale
    with Findings(f"recovery within {target_s:.1f} s each time") as found:
        for phase in phases:
            why = judge_drill(record, drills_of(record, scenario, phase), facts)
            if why:
                found.miss(f"{_IN_WORDS[phase]}: {why}")


def judge_rpo(bundle: Bundle, facts: Facts, track: str, scenario: str) -> None:
    """All phases of a scenario recovered with no more lost than its target allows, and nothing else amiss.

    Raises:
        Unmet: more was lost, or what came back never was. InfraFault: nothing came back, and the machine was
            too busy.
    """
    record = LaneRecord(bundle, track)
    target_s = record.manifest.target(scenario).rpo_s * record.scale
    with Findings(f"at most {target_s:.1f} s of writes lost each time, and a state that was") as found:
        for phase in _PHASES:
            drill = drills_of(record, scenario, phase)[-1]
            for why in losses(record, drill, target_s, facts):
                found.miss(f"{_IN_WORDS[phase]}: {why}")
