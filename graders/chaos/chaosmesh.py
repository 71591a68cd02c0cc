"""Custom resources of Chaos Mesh as steps: PodChaos, Schedule (fired once), Workflow. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from graders.chaos.crds import expect_kind
from graders.chaos.durations import seconds_of, whole_number
from graders.chaos.selections import ALL, FIXED, ONE, PERCENT, PodSelection, label_query
from graders.chaos.steps import (
    ChaosStep,
    FailPods,
    InTurn,
    KillPods,
    NotRunHere,
    Pause,
    SideBySide,
)
from graders.documents import Document, Location
from graders.documents.wording import quote
from graders.faults import LocatedError

_NAMED = re.compile(r"@(yearly|annually|monthly|weekly|daily|midnight|hourly)")
_FIELD = re.compile(r"[\d*?/,A-Za-z-]+")
_SELECTORS = ("namespaces", "labelSelectors", "expressionSelectors", "podPhaseSelectors")
_MOST_CALLS = 200
_MODES = (ONE, ALL, FIXED, PERCENT)
_PHASES = ("Pending", "Running", "Succeeded", "Failed", "Unknown")


def read_chaos_mesh(document: Document) -> ChaosStep:
    """What a custom resource of Chaos Mesh asks for.

    Raises:
        BadSubmission: it is none that could do anything; names the line. NotRunHere: it needs a node daemon.
    """
    kind = expect_kind(document)
    metadata = document.data["metadata"]
    part = _Part(document, ("spec",), str(metadata["name"]), str(metadata.get("namespace") or "default"))
    return part.named(kind)


@dataclass(frozen=True)
class _Calls:
    """Who calls templates of a workflow: those `above`; `made` counts all calls."""

    templates: Mapping[str, int]
    above: tuple[str, ...] = ()
    made: Iterator[int] = field(default_factory=count)

    def below(self, name: str) -> _Calls:
        return _Calls(self.templates, (*self.above, name), self.made)


@dataclass(frozen=True)
class _Part:
    """A specification inside a document; `name` is what its step is called."""

    document: Document
    location: Location
    name: str
    namespace: str

    @property
    def spec(self) -> Mapping[str, Any]:
        found: Any = self.document.data
        for key in self.location:
            found = found[key]
        return found if isinstance(found, Mapping) else {}

    def below(self, *location: str | int, name: str = "") -> _Part:
        return _Part(self.document, (*self.location, *location), name or self.name, self.namespace)

    def refusal(self, problem: str, *location: str | int, fix: str) -> LocatedError:
        return self.document.refusal(problem, (*self.location, *location), fix=fix)

    def where(self, *location: str | int) -> str:
        return f"{self.document.file}:{self.document.line((*self.location, *location))}"

    def named(self, kind: str, *, deadline_s: float | None = None, in_workflow: bool = False) -> ChaosStep:
        """The step of a specification of a kind."""
        match kind:
            case "PodChaos":
                return self.pod_chaos(deadline_s, in_workflow)
            case "Schedule":
                return self.schedule()
            case "Workflow":
                return self.workflow()
        raise NotRunHere(f"{self.where()}: {kind} needs a daemon on each node")

    def seconds(self, key: str) -> float | None:
        given = self.spec.get(key)
        if given is None:
            return None
        try:
            return seconds_of(str(given))
        except ValueError:
            raise self.refusal(
                f"{quote(given)} is no duration", key, fix="write it as in 5s or 1m30s"
            ) from None

    def pod_chaos(self, deadline_s: float | None, in_workflow: bool) -> ChaosStep:
        action, duration_s = self.spec["action"], self.seconds("duration")
        if action == "container-kill":
            raise NotRunHere(f"{self.where('action')}: {action} needs a daemon on each node")
        selection = self.selection()
        # In a workflow the deadline of the template takes the place of the duration.
        lasts_s = deadline_s if in_workflow else duration_s
        if action == "pod-kill":
            kill = KillPods(self.name, selection, int(self.spec.get("gracePeriod", 0)))
            return InTurn((kill, Pause(lasts_s))) if lasts_s else kill
        if lasts_s is None:
            lacking = "deadline" if in_workflow else "duration"
            raise self.refusal(
                f"pod-failure has no {lacking}: it would never end", "action", fix=f"add {lacking}: 5s"
            )
        return FailPods(self.name, selection, lasts_s)

    def selection(self) -> PodSelection:
        given, mode = self.spec["selector"], self.spec["mode"]
        for key in given:
            if key not in _SELECTORS:
                raise self.refusal(
                    f"{key} is not evaluated here", "selector", key, fix=f"use {', '.join(_SELECTORS)}"
                )
        if mode not in _MODES:
            raise self.refusal(f"mode {mode} is not drawn here", "mode", fix=f"use {', '.join(_MODES)}")
        phases = tuple(map(str, given.get("podPhaseSelectors") or ()))
        for at, phase in enumerate(phases):
            if phase.removeprefix("!") not in _PHASES:
                fix = f"use one of {', '.join(_PHASES)}"
                raise self.refusal(
                    f"there is no phase {quote(phase)}", "selector", "podPhaseSelectors", at, fix=fix
                )
        try:
            query = label_query(given.get("labelSelectors") or {}, given.get("expressionSelectors") or ())
        except ValueError as error:
            raise self.refusal(
                str(error), "selector", "expressionSelectors", fix="correct the expression"
            ) from error
        return PodSelection(
            where=self.where("selector"),
            namespaces=tuple(map(str, given.get("namespaces") or (self.namespace,))),
            query=query,
            phases=phases,
            mode=str(mode),
            value=self.value(str(mode)),
        )

    def value(self, mode: str) -> int:
        if mode in (ONE, ALL):
            return 1
        given = str(self.spec.get("value", ""))
        number = whole_number(given, 1, 100 if mode == PERCENT else 1_000_000)
        if number is None:
            what = "a percentage from 1 to 100" if mode == PERCENT else "how many pods"
            raise self.refusal(
                f"mode {mode} has value {quote(given)}", "value", fix=f'write {what}, as in "1"'
            )
        return number

    def schedule(self) -> ChaosStep:
        """What a schedule does each time."""
        when, kind = str(self.spec["schedule"]), str(self.spec["type"])
        if not _is_schedule(when):
            fix = 'write five fields or "@every 30s"'
            raise self.refusal(f"{quote(when)} is no schedule", "schedule", fix=fix)
        key = kind[:1].lower() + kind[1:]
        if kind == "Schedule" or not (kind == "Workflow" or kind.endswith("Chaos")):
            raise self.refusal(
                f"a schedule cannot make {quote(kind)}", "type", fix="use PodChaos or Workflow"
            )
        if key not in self.spec:
            raise self.refusal(f"type is {kind}, and there is no {key}", "type", fix=f"add {key}:")
        return self.below(key).named(kind)

    def workflow(self) -> ChaosStep:
        """The entry of a workflow, with all that it calls."""
        templates: dict[str, int] = {}
        for at, each in enumerate(self.spec["templates"]):
            if templates.setdefault(str(each["name"]), at) != at:
                fix = "give each a name of its own"
                raise self.refusal(
                    f"two templates are called {quote(each['name'])}", "templates", at, fix=fix
                )
        return self._called(str(self.spec["entry"]), ("entry",), _Calls(templates))

    def _called(self, name: str, asked: Location, calls: _Calls) -> ChaosStep:
        templates = calls.templates
        if name not in templates:
            raise self.refusal(
                f"there is no template {quote(name)}", *asked, fix=f"use one of {', '.join(templates)}"
            )
        if next(calls.made) >= _MOST_CALLS:
            raise self.refusal(f"it calls over {_MOST_CALLS} templates", *asked, fix="call fewer")
        if name in calls.above:
            raise self.refusal(
                f"template {quote(name)} calls itself", *asked, fix="end with a Suspend or a PodChaos"
            )
        place = ("templates", templates[name])
        part = self.below(*place, name=name)
        kind, deadline_s = str(part.spec["templateType"]), part.seconds("deadline")
        if kind == "Suspend":
            if deadline_s is None:
                raise part.refusal("a Suspend without a deadline never ends", fix="add deadline: 5s")
            return Pause(deadline_s)
        if kind in ("Serial", "Parallel"):
            named = part.spec.get("children") or ()
            if not named:
                raise part.refusal(f"a {kind} without children does nothing", fix="add children: [NAME, …]")
            children = tuple(
                self._called(str(each), (*place, "children", at), calls.below(name))
                for at, each in enumerate(named)
            )
            return (InTurn if kind == "Serial" else SideBySide)(children, deadline_s)
        key = kind[:1].lower() + kind[1:]
        if not kind.endswith("Chaos"):
            fix = "use Serial, Parallel, Suspend or PodChaos"
            raise part.refusal(f"templates of type {quote(kind)} are not run here", "templateType", fix=fix)
        if key not in part.spec:
            raise part.refusal(
                f"templateType is {kind}, and there is no {key}", "templateType", fix=f"add {key}:"
            )
        return part.below(key).named(kind, deadline_s=deadline_s, in_workflow=True)


def _is_schedule(text: str) -> bool:
    """Whether this is a line of cron as Chaos Mesh takes it."""
    if text.startswith("@every "):
        try:
            return seconds_of(text.removeprefix("@every ")) >= 1
        except ValueError:
            return False
    fields = text.split()
    return bool(_NAMED.fullmatch(text)) or (len(fields) == 5 and all(map(_FIELD.fullmatch, fields)))
