"""Asks whether a hypothesis holds: a command of the learner's, or the probes of a ChaosEngine."""

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from graders.chaos.commands import SandboxedCommands
from graders.chaos.journal import Entry, probe_entry
from graders.chaos.probes import CONTINUOUS, MODES_OF, CommandProbe, LitmusProbe, ObjectProbe
from graders.faults import InfraFault
from graders.kube.client import Kube

ALONE = "alone"
"""A hypothesis without an experiment around it: all of it is asked for."""
_EVERY_S = 1.0
_COMMAND_S = 15.0
_CHARS = 400


class Hypothesis(Protocol):
    """What holds of a workload in its steady state."""

    def ask(self, when: str, stop: threading.Event) -> list[Entry]:
        """The answers of what is asked `before`, `during`, `after` or `alone`; no more once `stop` is set."""

    @property
    def every_s(self) -> float | None:
        """How long to wait before it is asked again while something is injected; None if it is not."""

    def stops(self, answers: Sequence[Entry]) -> bool:
        """Whether these answers end the experiment."""


@dataclass(frozen=True)
class CommandHypothesis:
    """A command that exits with 0 where the hypothesis holds."""

    commands: SandboxedCommands
    argv: tuple[str, ...]
    scale: float

    every_s: float | None = _EVERY_S

    def ask(self, when: str, stop: threading.Event) -> list[Entry]:
        """One answer."""
        del when
        began = datetime.now(UTC)
        ended = self.commands.run(self.argv, _COMMAND_S * self.scale, stop)
        provider = {"type": "process", "path": self.argv[0], "arguments": list(self.argv[1:])}
        output = {"status": ended.code, "printed": ended.printed[-_CHARS:]}
        problem = f"{self.argv[0]} {ended.how}: {ended.said[-_CHARS:]}" if ended.code is None else ""
        return [probe_entry(self.argv[0], provider, began, output, problem, ended.code == 0)]

    def stops(self, answers: Sequence[Entry]) -> bool:
        """Never."""
        del answers
        return False


@dataclass(frozen=True)
class ProbesHypothesis:
    """The probes of a ChaosEngine, each in its mode."""

    commands: SandboxedCommands
    kube: Kube
    probes: tuple[LitmusProbe, ...]
    scale: float

    @property
    def every_s(self) -> float | None:
        """As often as the most frequent of the continuous ones."""
        return min((each.every_s for each in self.probes if each.mode == CONTINUOUS), default=None)

    def ask(self, when: str, stop: threading.Event) -> list[Entry]:
        """An answer of each probe that is asked then."""
        answers = []
        for each in self.probes:
            if when == ALONE or each.mode in MODES_OF[when]:
                if when not in (ALONE, "during"):
                    stop.wait(each.delay_s)
                answers.append(self._answer(each, stop))
        return answers

    def stops(self, answers: Sequence[Entry]) -> bool:
        """Whether one failed that ends the experiment."""
        stopping = {each.name for each in self.probes if each.stops}
        return any(not each["tolerance_met"] and each["activity"]["name"] in stopping for each in answers)

    def _answer(self, probe: LitmusProbe, stop: threading.Event) -> Entry:
        """The first answer that is as wanted, else the last."""
        for left in reversed(range(probe.attempts)):
            began = datetime.now(UTC)
            output, problem, met = (
                self._command(probe, probe.ask, stop)
                if isinstance(probe.ask, CommandProbe)
                else self._objects(probe, probe.ask)
            )
            if met or not left or stop.wait(probe.interval_s):
                break
        provider = {"type": "litmus", "mode": probe.mode}
        return probe_entry(probe.name, provider, began, output, problem, met)

    def _command(self, probe: LitmusProbe, ask: CommandProbe, stop: threading.Event) -> tuple[Any, str, bool]:
        ended = self.commands.run(("bash", "-c", ask.command), probe.timeout_s * self.scale, stop)
        if ended.code != 0:
            return ended.printed[-_CHARS:], f"its command {ended.how}: {ended.said[-_CHARS:]}", False
        return ended.printed[-_CHARS:], "", ask.comparator.met(ended.printed)

    def _objects(self, probe: LitmusProbe, ask: ObjectProbe) -> tuple[Any, str, bool]:
        began = time.monotonic()
        answer = self.kube.request("GET", ask.path, query=ask.query)
        took_s = time.monotonic() - began
        if answer.code >= 500:
            raise InfraFault(f"GET {ask.path}: {answer.code} {answer.message}")
        if took_s > probe.timeout_s * self.scale:
            return None, f"GET {ask.path} took {took_s:.2f} s", False
        if not answer.ok:
            return None, f"GET {ask.path}: {answer.code} {answer.message}", False
        found = _names(answer.body)
        wanted = [name for name in ask.names if name in found] if ask.names else sorted(found)
        if not ask.present:
            return wanted, "", not wanted
        return wanted, "", len(wanted) == len(ask.names) if ask.names else bool(wanted)


def _names(listed: Mapping[str, Any]) -> set[str]:
    return {str(each["metadata"]["name"]) for each in listed.get("items") or ()}
