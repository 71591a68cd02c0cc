"""Reading the record of the experiments: their runs, what they wrote, and what that changed. Pure."""

from collections.abc import Iterator, Mapping
from functools import cached_property

from graders.chaos.effects import ExperimentEffects
from graders.chaos.records import ExperimentRun
from graders.evidence.bundle import Bundle
from graders.evidence.records import Mark
from graders.faults import InfraFault, KubeproofError, Unmet
from graders.lab3.handin import Experiment
from graders.lab3.lanerecord import LaneRecord
from graders.lab3.names import EXPERIMENTS


class ExperimentsRecord(LaneRecord):
    """The record of the lane of the experiments.

    Raises:
        Unmet: the workload never came up, or nobody could run experiments. InfraFault: there is no such lane.
    """

    def __init__(self, bundle: Bundle) -> None:
        super().__init__(bundle, EXPERIMENTS)
        chaos = self.mark("chaos").data
        if chaos["problem"]:
            raise Unmet(
                "the ServiceAccount of the experiments with its RBAC",
                str(chaos["problem"]),
                hint="Look at chaos/.",
            )
        self.effects = ExperimentEffects(bundle, self.cluster, str(chaos["user"]))

    def mark(self, name: str, **data: object) -> Mark:
        """The first mark of that name whose data are these.

        Raises:
            InfraFault: there is none. Unmet: for something that was handed in forbids it.
        """
        for mark in self.marks:
            if mark.name == name and data.items() <= mark.data.items():
                return mark
        raise self._missing(f"the record of the experiments has no mark {name!r}")

    def _missing(self, what: str) -> KubeproofError:
        """Whose fault it is that something is not on record."""
        if not self.over:
            return InfraFault(what)
        return Unmet(
            "experiments in all states of the workload",
            f"the grader could not go on: {self.over}",
            hint="See that nothing in workload/ and chaos/ forbids others to scale and patch it.",
        )

    @cached_property
    def not_shown(self) -> Mapping[str, str]:
        """By id, why experiments cannot be shown on this cluster."""
        reasons = {
            each.id: str(self.mark("experiment", id=each.id).data.get("unsupported") or "")
            for each in self.manifest.chaos.experiments
        }
        return {id: reason for id, reason in reasons.items() if reason}

    def tried(self) -> Iterator[Experiment]:
        """The experiments that could be run; what this cluster cannot show is left out.

        Raises:
            Unmet: one could not be run, for what is wrong with it, or none at all.
        """
        shown = [each for each in self.manifest.chaos.experiments if each.id not in self.not_shown]
        if not shown:
            raise Unmet("an experiment that can be run here", "; ".join(self.not_shown.values()))
        for experiment in shown:
            problem = str(self.mark("experiment", id=experiment.id).data["problem"])
            if problem:
                raise Unmet(f"experiment {experiment.id} to run", problem)
            yield experiment

    def run_of(self, experiment: Experiment, purpose: str) -> ExperimentRun:
        """The run of an experiment for a purpose.

        Raises:
            InfraFault: there is none. Unmet: for something that was handed in forbids it.
        """
        for each in self.bundle.records(ExperimentRun):
            if (each.experiment, each.purpose) == (experiment.id, purpose):
                return each
        raise self._missing(f"the record has no run of {experiment.id} for {purpose}")

    def left_behind(self, experiment: Experiment, when: str) -> list[str]:
        """The objects that are not as they were before the experiment."""
        found = self.effects.left_behind(experiment.id, when)
        if found is None:
            raise self._missing(f"the record does not say what {experiment.id} left behind")
        return found
