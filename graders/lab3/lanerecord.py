"""Reading the record of a lane of lab 3. Pure."""

from functools import cached_property

from graders.evidence.bundle import Bundle
from graders.faults import InfraFault, Unmet
from graders.lab3.handin import Lab3Manifest, manifest_from
from graders.lab3.names import (
    DR_USER,
    JUDGED_BY,
    LEDGER_SALT,
    LENIENCE_S,
    OVER,
    OWN_PREFIX,
    SERVING,
    STABLE_S,
    UNKNOWN,
    UNKNOWN_RTO_S,
    WITHOUT_RESTORE,
)
from graders.recovery.records import Drill, ScriptRun, StarvationSample
from graders.recovery.recoveryrecord import RecoveryRecord, RecoveryTerms
from graders.recovery.voids import starved


class LaneRecord(RecoveryRecord):
    """The record of one lane; `track` is its name.

    Raises:
        Unmet: the workload never came up. InfraFault: the record has no such lane.
    """

    def __init__(self, bundle: Bundle, track: str) -> None:
        self.track = track
        self.marks = [mark for mark in bundle.marks if mark.track == track]
        workload = next((mark for mark in self.marks if mark.name == "workload"), None)
        if workload is None:
            raise InfraFault(f"the record of lane {track} says nothing of the workload")
        if workload.data["problem"]:
            raise Unmet(
                "the workload to be up, all its replicas ready addresses of the Service, within 30 s",
                str(workload.data["problem"]),
                hint="Try it on the cluster of `kubeproof cluster up`.",
            )
        super().__init__(bundle, str(workload.data["cluster"]), float(workload.data["scale"]))

    @cached_property
    def manifest(self) -> Lab3Manifest:
        """What submission.yaml says."""
        return manifest_from(self.bundle.manifest.block)

    @cached_property
    def terms(self) -> RecoveryTerms:
        """On which terms recoveries are measured."""
        return RecoveryTerms(
            rto_s={UNKNOWN: UNKNOWN_RTO_S} | {each.scenario: each.rto_s for each in self.manifest.targets},
            judged_by=JUDGED_BY,
            unaided=WITHOUT_RESTORE,
            unseen=(UNKNOWN,),
            stable_s=STABLE_S,
            lenience_s=LENIENCE_S,
            user=DR_USER,
            namespace=SERVING,
            own_prefix=OWN_PREFIX,
            kinds=("ConfigMap", "Model"),
            salt=LEDGER_SALT,
        )

    @property
    def over(self) -> str:
        """Why the lane was over before its end; empty if it was not."""
        return next((str(mark.data["why"]) for mark in self.marks if mark.name == OVER), "")

    def never(self, otherwise: str) -> str:
        """Why it never came to something: what the runbook left, where the lane was over, or `otherwise`.

        Raises:
            InfraFault: the machine was too busy in the last drill for the runbook to be blamed.
        """
        drills = self.all_drills()
        busy = "; ".join(self.measured(drills[-1]).voids) if drills and not self.over else ""
        if busy:
            raise InfraFault(f"it never came to that, for {drills[-1].key} is void: {busy}")
        why = f"nothing more could be done with the cluster: {self.over}" if self.over else otherwise
        return f"it never came to that: {why}"

    def blame(self, since: float, until: float) -> None:
        """What was late in a stretch of time is put down to the runbook.

        Raises:
            InfraFault: the machine was too busy meanwhile for that.
        """
        if why := starved(self.bundle.records(StarvationSample), since, until):
            raise InfraFault(f"{why}, so that what is late says nothing")

    def drills(self, scenario: str) -> list[Drill]:
        """The faults of a scenario, but those that try a mitigation."""
        found = [each for each in self.all_drills() if each.scenario == scenario]
        return [each for each in found if not each.phase.startswith("mitigation-")]

    def run(self, script: str, purpose: str) -> ScriptRun:
        """The one start for a purpose.

        Raises:
            Unmet: there was none, for what came before had failed.
        """
        found = self.runs(script, purpose)
        if not found:
            raise Unmet(
                f"{script} to be tried",
                self.never("what it needs had not been recovered, or backed up"),
                hint="Look at the criteria of recovery and backups first.",
            )
        return found[-1]
