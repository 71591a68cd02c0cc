"""Runs experiments of any format: by the tool itself, or by an executor of ours."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from random import Random

from graders.evidence.recording import Recording
from graders.faults import BadSubmission
from graders.kube.client import Kube
from graders.lab3.experiments.account import account_of
from graders.lab3.experiments.resources import ResourceRunner, read_resource
from graders.lab3.experiments.steps import NotRunHere
from graders.lab3.experiments.toolkit import ToolkitRunner, expect_toolkit
from graders.lab3.experiments.way import Way
from graders.lab3.handin import Experiment
from graders.lab3.records import ExperimentRun
from graders.lab3.world.scripts import Kit

TOOLKIT = "chaostoolkit"


class ExperimentRunner:
    """Runs experiments against one cluster, as the experiments' ServiceAccount."""

    def __init__(
        self, kit: Kit, recording: Recording, kube: Kube, cluster: str, dice: Random, scale: float
    ) -> None:
        account = account_of(kube, kit.submission.manifest.chaos.service_account)
        self.user = account.user
        self._toolkit = ToolkitRunner(kit, recording, cluster, account)
        self._resources = ResourceRunner(kit, recording, cluster, account, dice, scale)

    def run(self, experiment: Experiment, way: Way, timeout_s: float) -> ExperimentRun:
        """Run an experiment to its end, or for `timeout_s`; what became of it is on record."""
        runner = self._toolkit if experiment.format == TOOLKIT else self._resources
        return runner.run(experiment, way, timeout_s)


@dataclass(frozen=True)
class Runnable:
    """Whether an experiment can be run: `problem` is the learner's to mend, `unsupported` costs nothing."""

    problem: str = ""
    unsupported: str = ""


def runnable(root: Path, experiment: Experiment, service_account: str) -> Runnable:
    """Whether an experiment of a hand-in can be run."""
    try:
        if experiment.format == TOOLKIT:
            expect_toolkit(root, experiment)
        else:
            read_resource(root, experiment, service_account)
    except BadSubmission as error:
        return Runnable(problem=str(error))
    except NotRunHere as reason:
        return Runnable(unsupported=str(reason))
    return Runnable()
