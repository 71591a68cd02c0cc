"""Reading the record of the experiments: their runs, what they wrote, and what that changed. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from graders.chaos.records import BaselineLook, ExperimentRun
from graders.evidence.bundle import Bundle
from graders.evidence.records import AuditEvent, Mark
from graders.faults import InfraFault, KubeproofError, Unmet
from graders.lab3.handin import Experiment, Scope
from graders.lab3.lanerecord import LaneRecord
from graders.lab3.names import EXPERIMENTS

_SEEN_S = 1.0
"""How much later than a request its effect may be on record."""


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
        self.user = str(chaos["user"])

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

    def writes(self, run: ExperimentRun) -> list[AuditEvent]:
        """What the experiment changed in a run, accepted or not; reviews of its own rights are no change."""
        return [
            each
            for each in self._requests
            if run.t <= each.t <= run.t_end and each.is_write and each.group != "authorization.k8s.io"
        ]

    def denied(self, run: ExperimentRun) -> list[AuditEvent]:
        """What RBAC did not let it do in a run."""
        return [each for each in self._requests if run.t <= each.t <= run.t_end and each.code == 403]

    @cached_property
    def _requests(self) -> list[AuditEvent]:
        return [each for each in self.bundle.on(self.cluster).audit if each.user == self.user]

    def in_scope(self, event: AuditEvent, scope: Scope) -> bool:
        """Whether a request is about an object that the experiment may touch.

        What it may touch stays so where the experiment takes the label away: somebody has to put it back.
        """
        if scope.nodes and event.resource == "nodes":
            return event.name in scope.nodes
        return any(_within(scope, event, each) for each in self._versions(event))

    def changed(self, event: AuditEvent, run: ExperimentRun) -> bool:
        """Whether a watch saw, before the run was over, that the object of a request was another, or gone.

        What changes later does so for another reason: sooner or later every pod is gone.
        """
        before = self._seen(event)
        for each in self.bundle.on(self.cluster).watch_events:
            if (each.resource, each.namespace, each.name) != self._place(event):
                continue
            if not event.t <= each.t <= run.t_end + _SEEN_S:
                continue
            if each.type == "DELETED" or before is None or _held(each.object) != _held(before):
                return True
        return False

    def _seen(self, event: AuditEvent) -> Mapping[str, Any] | None:
        """The object of a request as it was seen last before it; else as it was seen first after it."""
        return next(reversed(self._versions(event)), None)

    def _versions(self, event: AuditEvent) -> list[Mapping[str, Any]]:
        """The object of a request as it was seen before it, the oldest first; else once, after it."""
        found: list[Mapping[str, Any]] = []
        for each in self.bundle.on(self.cluster).watch_events:
            if (each.resource, each.namespace, each.name) == self._place(event):
                if each.t > event.t and found:
                    break
                found.append(each.object)
        return found

    @staticmethod
    def _place(event: AuditEvent) -> tuple[str, str, str]:
        return event.resource, event.namespace, event.name

    def left_behind(self, experiment: Experiment, when: str) -> list[str]:
        """The objects that are not as they were before the experiment."""
        looks = {
            each.when: each.digests
            for each in self.bundle.records(BaselineLook)
            if (each.experiment, each.cluster) == (experiment.id, self.cluster)
        }
        before, after = looks.get("before", {}), looks.get(when)
        if after is None:
            raise self._missing(f"the record does not say what {experiment.id} left behind")
        return sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))


def _within(scope: Scope, event: AuditEvent, seen: Mapping[str, Any]) -> bool:
    """Whether an object as it was seen is in a scope."""
    if scope.nodes:
        return event.resource == "pods" and (seen.get("spec") or {}).get("nodeName") in scope.nodes
    labels = (seen.get("metadata") or {}).get("labels") or {}
    return event.namespace == scope.namespace and scope.labels.items() <= labels.items()


def _held(item: Mapping[str, Any]) -> tuple[Any, ...]:
    """What of an object an experiment changes: nodes report their status all the time."""
    metadata = item.get("metadata") or {}
    written = {key: value for key, value in item.items() if key not in ("metadata", "status")}
    return written, *(metadata.get(key) for key in ("labels", "uid", "deletionTimestamp"))
