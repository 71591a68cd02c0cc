"""ChaosEngines of Litmus as steps and probes: pod-delete, node-drain, node-taint. Pure."""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from graders.chaos.chaosengine import ChaosEngineFile, EngineExperiment, ProbeBlock
from graders.chaos.durations import seconds_of, whole_number
from graders.chaos.probes import (
    MODES_OF,
    CommandProbe,
    Comparator,
    LitmusProbe,
    ObjectProbe,
)
from graders.chaos.selections import ALL, PERCENT_DOWN, PodSelection
from graders.chaos.steps import (
    ChaosStep,
    DrainNode,
    InTurn,
    KillPods,
    NotRunHere,
    Pause,
    Taint,
    TaintNode,
)
from graders.documents import Document, Location, parse
from graders.documents.wording import quote
from graders.faults import LocatedError
from graders.kube.paths import resource_path

_DURATION, _INTERVAL, _PERCENTAGE = "TOTAL_CHAOS_DURATION", "CHAOS_INTERVAL", "PODS_AFFECTED_PERC"
_PODS, _NODE, _FORCE, _TAINTS = "TARGET_PODS", "TARGET_NODE", "FORCE", "TAINTS"
_SETTINGS: Mapping[str, Mapping[str, str]] = {
    "pod-delete": {_DURATION: "15", _INTERVAL: "5", _PERCENTAGE: "0", _PODS: "", _FORCE: "true"},
    "node-drain": {_DURATION: "60", _NODE: ""},
    "node-taint": {_DURATION: "60", _NODE: "", _TAINTS: ""},
}
"""The experiments that are run here, and the settings that each takes, with what Litmus has by default."""
_OF_DAEMONS = re.compile(
    r"pod-(network|io|dns|http|api|cpu|memory|autoscaler)-.*|node-(cpu|memory|io)-.*|node-restart"
    r"|(container|kubelet-service|docker-service)-kill|disk-fill|time-chaos"
)
_OF_OLDER = {
    "annotationCheck": "remove it: appinfo (appns, applabel, appkind) alone says whose pods are meant",
    "monitoring": "remove it: nothing is measured beside the probes",
    "chaosType": "remove it: the name of the experiment says it",
}
"""Fields that a ChaosEngine had once, and what to write instead."""
_TAINT = re.compile(r"([A-Za-z0-9./_-]+)(?:=([A-Za-z0-9._-]*))?:(NoSchedule|PreferNoSchedule|NoExecute)")
_GRACE_S = 30


@dataclass(frozen=True)
class ChaosEngine:
    """What a ChaosEngine asks for: what is done, and the probes that are its hypothesis."""

    step: ChaosStep
    probes: tuple[LitmusProbe, ...]


def read_litmus(document: Document, service_account: str) -> ChaosEngine:
    """What a ChaosEngine asks for, whose experiments run as `service_account`.

    Raises:
        BadSubmission: it is none that could do anything; names the line. NotRunHere: it needs a node daemon.
    """
    spec = document.data.get("spec") if isinstance(document.data, Mapping) else None
    for key in spec if isinstance(spec, Mapping) else ():
        if key in _OF_OLDER:
            raise document.refusal(
                f"{key} is a field of older Litmus, which a ChaosEngine has no more", ("spec", key),
                fix=_OF_OLDER[key],
            )  # fmt: skip
    file = parse(document, ChaosEngineFile)
    return _EngineReading(document, file, service_account).engine()


@dataclass(frozen=True)
class _EngineReading:
    document: Document
    file: ChaosEngineFile
    service_account: str

    def engine(self) -> ChaosEngine:
        spec = self.file.spec
        if spec.state != "active":
            raise self._refusal(
                "engineState is stop: nothing would be done", "engineState", fix="write active"
            )
        if spec.service_account != self.service_account:
            raise self._refusal(
                f"chaosServiceAccount is {quote(spec.service_account)}, and submission.yaml says "
                f"{quote(self.service_account)}",
                "chaosServiceAccount",
                fix=f"write {self.service_account}",
            )
        if spec.selectors is not None:
            raise self._refusal("selectors are not evaluated here", "selectors", fix="use appinfo")
        ranked = sorted(enumerate(spec.experiments), key=lambda each: each[1].spec.rank or 0)
        steps = tuple(self._step(at, each) for at, each in ranked)
        probes = tuple(
            self._probe((*self._at(at), "spec", "probe", number), probe)
            for at, each in ranked
            for number, probe in enumerate(each.spec.probe)
        )
        for when in ("before", "after"):
            if not any(each.mode in MODES_OF[when] for each in probes):
                raise self._refusal(
                    f"no probe is asked {when} the fault: they are the hypothesis",
                    "experiments",
                    fix=f"add a probe of mode {' or '.join(MODES_OF[when])}",
                )
        return ChaosEngine(steps[0] if len(steps) == 1 else InTurn(steps), probes)

    @staticmethod
    def _at(number: int) -> Location:
        return "experiments", number

    def _refusal(self, problem: str, *location: str | int, fix: str) -> LocatedError:
        return self.document.refusal(problem, ("spec", *location), fix=fix)

    def _where(self, *location: str | int) -> str:
        return f"{self.document.file}:{self.document.line(('spec', *location))}"

    def _step(self, at: int, experiment: EngineExperiment) -> ChaosStep:
        place, name = self._at(at), experiment.name
        if _OF_DAEMONS.fullmatch(name):
            raise NotRunHere(f"{self._where(*place)}: {name} needs a daemon on each node")
        if name not in _SETTINGS:
            fix = f"use one of {', '.join(_SETTINGS)}"
            raise self._refusal(f"there is no experiment {quote(name)} here", *place, "name", fix=fix)
        settings = self._settings(place, experiment)
        duration_s = self._whole(place, settings, _DURATION, least=1, most=3600)
        if name == "pod-delete":
            return self._pod_delete(place, settings, duration_s)
        node = settings[_NODE]
        if not node:
            raise self._refusal(f"{name} names no node", *place, fix=f"set {_NODE}")
        where = self._where(*place)
        if name == "node-drain":
            return DrainNode(name, node, duration_s, where)
        return TaintNode(name, node, tuple(self._taints(place, settings[_TAINTS])), duration_s, where)

    def _settings(self, place: Location, experiment: EngineExperiment) -> dict[str, str]:
        known = _SETTINGS[experiment.name]
        found = dict(known)
        for number, each in enumerate(experiment.spec.components.env):
            where = (*place, "spec", "components", "env", number)
            if each.name not in known:
                fix = f"{experiment.name} takes {', '.join(known)}"
                raise self._refusal(f"unknown setting {quote(each.name)}", *where, fix=fix)
            if each.value_from is not None:
                raise self._refusal(f"{each.name} is taken from elsewhere", *where, fix="write its value")
            found[each.name] = each.value or ""
        return found

    def _whole(
        self, place: Location, settings: Mapping[str, str], name: str, *, least: int, most: int
    ) -> int:
        given = settings[name]
        number = whole_number(given, least, most)
        if number is None:
            fix = f"write a whole number from {least} to {most}, in quotes"
            raise self._refusal(f"{name} is {quote(given)}", *place, "spec", "components", "env", fix=fix)
        return number

    def _pod_delete(self, place: Location, settings: Mapping[str, str], duration_s: int) -> ChaosStep:
        app = self.file.spec.appinfo
        names = tuple(each.strip() for each in settings[_PODS].split(",") if each.strip())
        if not app.appns or not (app.applabel or names):
            raise self._refusal(
                "appinfo does not say which pods are meant", "appinfo", fix="add appns and applabel"
            )
        interval_s = self._whole(place, settings, _INTERVAL, least=1, most=3600)
        if settings[_FORCE] not in ("true", "false"):
            raise self._refusal(
                f"{_FORCE} is {quote(settings[_FORCE])}", *place, fix='write "true" or "false"'
            )
        selection = PodSelection(
            where=self._where("appinfo"),
            namespaces=(app.appns,),
            query="" if names else str(app.applabel),
            names=names,
            mode=ALL if names else PERCENT_DOWN,
            value=self._whole(place, settings, _PERCENTAGE, least=0, most=100),
        )
        kill = KillPods("pod-delete", selection, 0 if settings[_FORCE] == "true" else _GRACE_S)
        # Once an interval, as long as the duration has not passed when it begins.
        times = math.ceil(duration_s / interval_s)
        return InTurn(tuple(step for _ in range(times) for step in (kill, Pause(interval_s))))

    def _taints(self, place: Location, text: str) -> Iterator[Taint]:
        for each in text.split(","):
            found = _TAINT.fullmatch(each.strip())
            if not found:
                fix = "write KEY=VALUE:NoSchedule, PreferNoSchedule or NoExecute"
                raise self._refusal(
                    f"{_TAINTS} has {quote(each)}", *place, "spec", "components", "env", fix=fix
                )
            yield Taint(found[1], found[2] or "", found[3])

    def _probe(self, location: Location, given: ProbeBlock) -> LitmusProbe:
        times = given.run_properties
        delay_s = seconds_of(times.initial_delay) if times.initial_delay else float(times.initial_delay_s)
        if given.mode == "OnChaos":
            raise self._refusal("mode OnChaos is not asked here", *location, "mode", fix="use Continuous")
        return LitmusProbe(
            name=given.name,
            mode=given.mode,
            ask=self._asked(location, given),
            timeout_s=seconds_of(times.probe_timeout),
            interval_s=seconds_of(times.interval),
            attempts=max(1, times.attempt, times.retry),
            every_s=seconds_of(times.polling_interval) if times.polling_interval else 1.0,
            delay_s=delay_s,
            stops=times.stop_on_failure,
        )

    def _asked(self, location: Location, given: ProbeBlock) -> CommandProbe | ObjectProbe:
        if given.type == "cmdProbe" and given.command:
            inputs = given.command
            if inputs.source is not None:
                fix = "leave source out: the command then runs inline"
                raise self._refusal("a probe cannot have a pod of its own here", *location, fix=fix)
            comparator = Comparator(
                inputs.comparator.type, inputs.comparator.criteria, inputs.comparator.value
            )
            if problem := comparator.problem():
                raise self._refusal(
                    problem, *location, "cmdProbe/inputs", "comparator", fix="correct the comparator"
                )
            return CommandProbe(inputs.command, comparator)
        if given.type == "k8sProbe" and given.objects:
            objects = given.objects
            if objects.operation not in ("present", "absent"):
                fix = "use present or absent: a probe changes nothing"
                raise self._refusal(f"operation {objects.operation} is not done here", *location, fix=fix)
            version = f"{objects.group}/{objects.version}" if objects.group else objects.version
            query = {"fieldSelector": objects.field_selector, "labelSelector": objects.label_selector}
            return ObjectProbe(
                path=resource_path(version, objects.resource, namespace=objects.namespace),
                query={key: value for key, value in query.items() if value},
                names=tuple(each.strip() for each in objects.resource_names.split(",") if each.strip()),
                present=objects.operation == "present",
            )
        if given.type not in ("cmdProbe", "k8sProbe"):
            raise self._refusal(
                f"{given.type} is not asked here", *location, "type", fix="use cmdProbe or k8sProbe"
            )
        raise self._refusal(f"{given.type} has no inputs", *location, fix=f"add {given.type}/inputs:")
