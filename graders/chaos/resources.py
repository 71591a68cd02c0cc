"""Custom resources of Chaos Mesh and Litmus, executed: their operators cannot be had without their images.

One run is one life of the resource: created, done what it asks for, watched for a moment, and deleted, which
takes back whatever has to be undone.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from graders.chaos.chaosmesh import read_chaos_mesh
from graders.chaos.commands import SandboxedCommands
from graders.chaos.hypotheses import ALONE, CommandHypothesis, Hypothesis, ProbesHypothesis
from graders.chaos.injecting import Injector
from graders.chaos.journal import ActionFailed, RunJournal
from graders.chaos.litmus import read_litmus
from graders.chaos.pauses import Deleted, Overdue, Pauses
from graders.chaos.probes import LitmusProbe
from graders.chaos.records import ExperimentRun
from graders.chaos.session import ChaosSession
from graders.chaos.spec import ChaosExperiment, RunMode
from graders.chaos.steps import ChaosStep
from graders.documents import load_document
from graders.faults import InfraFault

WATCHED_S = 3.0
"""For how long a resource is left after it has done what it asks for."""


@dataclass(frozen=True)
class ChaosResource:
    """A custom resource that was read: the file's data, and what they ask for."""

    data: Any
    step: ChaosStep
    probes: tuple[LitmusProbe, ...] = ()


def read_resource(root: Path, experiment: ChaosExperiment, service_account: str) -> ChaosResource:
    """The custom resource in an experiment's file.

    Raises:
        BadSubmission: it is none that could do anything; names the line. NotRunHere: it needs a node daemon.
    """
    document = load_document(root / experiment.file, shown_as=experiment.file)
    if experiment.format == "chaosmesh":
        return ChaosResource(document.data, read_chaos_mesh(document))
    engine = read_litmus(document, service_account)
    return ChaosResource(document.data, engine.step, engine.probes)


class ResourceRunner:
    """Executes custom resources on one cluster."""

    def __init__(self, session: ChaosSession) -> None:
        self._session = session
        self._clock = session.recording.clock
        self._numbers = count(1)
        self._scratch = session.scratch("resources")
        self._kube = session.account.kube(self._scratch)

    def run(self, experiment: ChaosExperiment, mode: RunMode, timeout_s: float) -> ExperimentRun:
        """Run an experiment to its end, or for `timeout_s`; what became of it is on record."""
        name = f"{experiment.format}-{experiment.id}-{next(self._numbers)}"
        environment, account, said = self._session.environment, self._session.account, list[str]()
        resource = read_resource(environment.submission, experiment, account.name)
        journal = RunJournal(resource.data, f"kubeproof/{experiment.format}", said.append)
        pauses = Pauses(self._clock.now, timeout_s, abort=mode.aborted)
        commands = SandboxedCommands(environment, account, name, self._scratch)
        life = _Life(resource, self._hypothesis(experiment, resource, commands), journal, pauses, mode)
        injector = Injector(self._kube, journal, pauses, self._session.dice, dry=mode.dry)
        t = self._clock.now()
        # Whatever waits, for itself or for a probe, waits no longer than this.
        timer = threading.Timer(timeout_s, pauses.delete)
        timer.start()
        try:
            status = life.live(injector)
        finally:
            timer.cancel()
        t_end = self._clock.now()
        late = status == _LATE or pauses.late
        run = ExperimentRun(
            t=t,
            t_end=t_end,
            experiment=experiment.id,
            purpose=mode.purpose,
            code=None if late else int(status == "aborted"),
            how=f"was stopped after {t_end - t:.1f} s" if late else f"ended: {status}",
            journal=journal.text("interrupted" if late else status),
            aborted=pauses.aborted,
            said="\n".join(said) + "\n",
        )
        return self._session.keep(name, run)

    def _hypothesis(
        self, experiment: ChaosExperiment, resource: ChaosResource, commands: SandboxedCommands
    ) -> Hypothesis:
        scale = self._session.scale
        if experiment.format == "chaosmesh":
            return CommandHypothesis(commands, experiment.hypothesis, scale)
        return ProbesHypothesis(commands, self._kube, resource.probes, scale)


_LATE = "late"


@dataclass(frozen=True)
class _Life:
    """One life of a resource."""

    resource: ChaosResource
    hypothesis: Hypothesis
    journal: RunJournal
    pauses: Pauses
    mode: RunMode

    def live(self, injector: Injector) -> str:
        """All of it; how it ended: completed, failed, aborted or late."""
        if self.mode.bare:
            return "completed" if self._met("before", ALONE) else "failed"
        if not self._met("before"):
            return "failed"
        status = "completed"
        with self._asked_meanwhile():
            try:
                injector.do(self.resource.step)
                if not self.mode.dry:
                    self.pauses.wait(WATCHED_S)
            except ActionFailed:
                status = "failed"
            except Deleted:
                return _LATE if self.pauses.late else "aborted"
            except Overdue:
                return _LATE
        self._met("after")
        return status

    def _met(self, state: str, when: str = "") -> bool:
        return self.journal.state(state, self.hypothesis.ask(when or state, self.pauses.over))

    @contextmanager
    def _asked_meanwhile(self) -> Iterator[None]:
        """The hypothesis is asked again and again while the block runs."""
        every_s = self.hypothesis.every_s if self.mode.continuous else None
        if every_s is None:
            yield
            return
        done, broken = threading.Event(), []

        def ask() -> None:
            try:
                while not done.is_set():
                    answers = self.hypothesis.ask("during", done)
                    # One that the end cut off says nothing.
                    if done.is_set():
                        return
                    self.journal.state("during", answers)
                    if self.hypothesis.stops(answers):
                        self.pauses.delete()
                    done.wait(every_s)
            except InfraFault as error:
                broken.append(error)

        asking = threading.Thread(target=ask, name="hypothesis", daemon=True)
        asking.start()
        try:
            yield
        finally:
            done.set()
            asking.join()
        if broken:
            raise broken[0]
