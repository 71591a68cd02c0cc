"""Runs experiments of any format: by the tool itself, or by an executor of ours."""

from dataclasses import dataclass
from pathlib import Path

from graders.chaos.records import ExperimentRun
from graders.chaos.resources import ResourceRunner, read_resource
from graders.chaos.session import ChaosSession
from graders.chaos.spec import ChaosExperiment, RunMode
from graders.chaos.steps import NotRunHere
from graders.chaos.toolkit import ToolkitRunner, expect_toolkit
from graders.faults import BadSubmission

TOOLKIT = "chaostoolkit"


class ExperimentRunner:
    """Runs experiments against the cluster of a session."""

    def __init__(self, session: ChaosSession) -> None:
        self._toolkit = ToolkitRunner(session)
        self._resources = ResourceRunner(session)

    def run(self, experiment: ChaosExperiment, mode: RunMode, timeout_s: float) -> ExperimentRun:
        """Run an experiment to its end, or for `timeout_s`; what became of it is on record."""
        runner = self._toolkit if experiment.format == TOOLKIT else self._resources
        return runner.run(experiment, mode, timeout_s)


@dataclass(frozen=True)
class Runnable:
    """Whether an experiment can be run: `problem` is the learner's to mend, `unsupported` costs nothing."""

    problem: str = ""
    unsupported: str = ""


def runnable(root: Path, experiment: ChaosExperiment, service_account: str) -> Runnable:
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
