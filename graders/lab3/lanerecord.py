"""Reading the record of a lane: its drills, what was measured of each, and what came back. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar, cast
from weakref import WeakKeyDictionary

from graders.clusterctl.records import ControlCall
from graders.evidence.bundle import Bundle
from graders.evidence.records import AuditEvent
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
from graders.lab3.records import Drill, LedgerKey, LedgerLook, ObjectsLook, ScriptRun
from graders.recovery.intervals import Interval, largest
from graders.recovery.outages import Episode, Injection, RunbookAct
from graders.recovery.probes import CANARY, CAPACITY, WRITE, ProbeSpec
from graders.recovery.probes import SERVING as SERVING_PROBE
from graders.recovery.records import LedgerWrite, ProbeSample, RestoredRecord, StarvationSample
from graders.recovery.rpo import RestoredPrefix, restored_prefix
from graders.recovery.rto import RecoveryMeasurement, measure_recovery
from graders.recovery.seals import run_key
from graders.recovery.voids import starved

ACT_GRACE_S = 5.0
_LEAD_S = 5.0
"""How long before a fault samples belong to its record."""
_ACCOUNT = "system:serviceaccount:"
KINDS = ("ConfigMap", "Model")
_T = TypeVar("_T")
_KNOWN: WeakKeyDictionary[Bundle, dict[tuple[object, ...], object]] = WeakKeyDictionary()
"""What was worked out of a bundle, for as long as there is one: several checks ask for the same."""


@dataclass(frozen=True)
class Restored:
    """What came back of a ledger at one look: the prefix of the log of each kind."""

    when: str
    kinds: tuple[RestoredPrefix, ...]

    @property
    def lost(self) -> int:
        """How many acknowledged operations are lost."""
        return sum(len(each.lost) for each in self.kinds)

    @property
    def anomalies(self) -> tuple[str, ...]:
        """What no state explains, in words."""
        return tuple(str(anomaly) for each in self.kinds for anomaly in each.anomalies)

    def loss_s(self, drill: Drill) -> Interval:
        """How many seconds of acknowledged writes are lost."""
        return largest(each.loss_s(Injection(drill.t, drill.t_end)) for each in self.kinds)


class LaneRecord:
    """The record of one lane; `track` is its name.

    Raises:
        Unmet: the workload never came up. InfraFault: the record has no such lane.
    """

    def __init__(self, bundle: Bundle, track: str) -> None:
        self.bundle = bundle
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
        self.scale = float(workload.data["scale"])
        self.cluster = str(workload.data["cluster"])

    @cached_property
    def manifest(self) -> Lab3Manifest:
        """What submission.yaml says."""
        return manifest_from(self.bundle.manifest.block)

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

    def all_drills(self) -> list[Drill]:
        """All faults, in the order of time."""
        return [each for each in self.bundle.records(Drill) if each.cluster == self.cluster]

    def drills(self, scenario: str) -> list[Drill]:
        """The faults of a scenario, but those that try a mitigation."""
        found = [each for each in self.all_drills() if each.scenario == scenario]
        return [each for each in found if not each.phase.startswith("mitigation-")]

    def runs(self, script: str, purpose: str = "") -> list[ScriptRun]:
        """The starts of a script, of all purposes or one."""
        return [
            each
            for each in self.bundle.records(ScriptRun)
            if (each.cluster, each.script) == (self.cluster, script) and purpose in ("", each.purpose)
        ]

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

    def samples(self, since: float, until: float) -> dict[ProbeSpec, list[ProbeSample]]:
        """The samples of each probe that were sent in a stretch of time."""
        specs = [spec.scaled(self.scale) for spec in (WRITE, SERVING_PROBE, CAPACITY, CANARY)]
        found: dict[str, list[ProbeSample]] = {spec.name: [] for spec in specs}
        for each in self.bundle.records(ProbeSample):
            if each.cluster == self.cluster and since <= each.t <= until and each.probe in found:
                found[each.probe].append(each)
        return {spec: found[spec.name] for spec in specs}

    def failed(self, since: float, until: float) -> list[ProbeSample]:
        """The slots that failed in a stretch of time.

        Raises:
            InfraFault: the machine was too busy meanwhile for that to mean anything.
        """
        samples = self.samples(since, until)
        bad = [each for spec, slots in samples.items() for each in slots if spec.failed(each)]
        if bad and (why := starved(self.bundle.records(StarvationSample), since, until)):
            raise InfraFault(f"{why}, so that a failed probe says nothing")
        return sorted(bad, key=lambda each: each.t)

    def _once(self, what: str, of: tuple[object, ...], work: Callable[[], _T]) -> _T:
        """What `work` gives, which is the same for every record of this cluster of the bundle."""
        known, key = _KNOWN.setdefault(self.bundle, {}), (what, self.cluster, *of)
        if key not in known:
            known[key] = work()
        return cast(_T, known[key])

    def measured(self, drill: Drill) -> RecoveryMeasurement:
        """The RTO of one fault."""
        return self._once("measured", (drill.key, drill.t), lambda: self._measured(drill))

    def _measured(self, drill: Drill) -> RecoveryMeasurement:
        run = self.restore_of(drill)
        judged_by = JUDGED_BY.get(drill.scenario, ())
        samples = self.samples(drill.t - _LEAD_S, drill.watched)
        episode = Episode(
            Injection(drill.t, drill.t_end),
            deadline_s=self._patience_s(drill) * self.scale,
            ended=drill.watched,
            stable_s=STABLE_S * self.scale,
            acts=tuple(self.acts_of(drill)),
            act_grace_s=ACT_GRACE_S * self.scale,
            restored=drill.scenario in WITHOUT_RESTORE or (run is not None and run.code == 0),
        )
        return measure_recovery(
            episode,
            {spec: slots for spec, slots in samples.items() if not judged_by or spec.name in judged_by},
            self.bundle.records(StarvationSample),
            dead=drill.dead,
            unseen="" if judged_by or drill.scenario == UNKNOWN else "no probe saw the loss",
        )

    def rto_s(self, scenario: str) -> float:
        """Within how many seconds a scenario is to be over, on a machine that keeps up."""
        return UNKNOWN_RTO_S if scenario == UNKNOWN else self.manifest.target(scenario).rto_s

    def _patience_s(self, drill: Drill) -> float:
        cut_s = drill.facts.get("cut_s")
        return cut_s if isinstance(cut_s, float) else self.rto_s(drill.scenario) + LENIENCE_S

    def restore_of(self, drill: Drill) -> ScriptRun | None:
        """The start of restore that answered a fault."""
        found = [each for each in self.runs("restore", drill.key) if drill.t <= each.t <= drill.watched]
        return found[0] if found else None

    def acts_of(self, drill: Drill) -> list[RunbookAct]:
        """What the runbook changed in answer to a fault."""
        run = self.restore_of(drill)
        return sorted(self._acts(run), key=lambda act: act.t) if run is not None else []

    def _acts(self, run: ScriptRun) -> Iterator[RunbookAct]:
        for call in self.bundle.records(ControlCall):
            if call.cluster == self.cluster and call.changes and run.t <= call.t <= run.t_end:
                yield RunbookAct(call.t, call.t_end, f"CLUSTER_CTL {' '.join(call.words)}")
        for event in self.bundle.on(self.cluster).audit:
            mine = _of_runbook(event) and event.is_write and not event.name.startswith(OWN_PREFIX)
            if mine and event.ok and run.t <= event.t <= run.t_end:
                yield RunbookAct(event.t, event.t_end, f"{event.verb} {event.resource} {event.name}")

    def looks(self, when: str) -> list[LedgerLook]:
        """The looks at a ledger on an occasion."""
        found = self.bundle.records(LedgerLook)
        return [each for each in found if (each.cluster, each.when) == (self.cluster, when)]

    def restored(self, look: LedgerLook) -> Restored:
        """What was there of a ledger at a look."""
        return self._once("restored", (look.ledger, look.when, look.t), lambda: self._restored(look))

    def _restored(self, look: LedgerLook) -> Restored:
        keys = [each for each in self.bundle.records(LedgerKey) if each.cluster == self.cluster]
        if not keys:
            raise InfraFault("the record has no key of the ledger")
        key = run_key(LEDGER_SALT, bytes.fromhex(keys[0].secret), keys[0].run_id, look.ledger)
        kinds = []
        for kind in KINDS:
            of_kind = (look.ledger, kind)
            writes = [
                each
                for each in self.bundle.records(LedgerWrite)
                if (each.ledger, each.kind) == of_kind and each.cluster == self.cluster and each.t <= look.t
            ]
            found = [
                each
                for each in self._found_at().get((look.t, look.ledger), ())
                if (each.kind, each.cluster) == (kind, self.cluster)
            ]
            owners = look.owners if kind == KINDS[0] else None
            kinds.append(restored_prefix(key, writes, found, owners))
        return Restored(look.when, tuple(kinds))

    def _found_at(self) -> dict[tuple[float, str], list[RestoredRecord]]:
        def work() -> dict[tuple[float, str], list[RestoredRecord]]:
            found: dict[tuple[float, str], list[RestoredRecord]] = {}
            for each in self.bundle.records(RestoredRecord):
                found.setdefault((each.t, each.ledger), []).append(each)
            return found

        return self._once("found", (), work)

    def changed_objects(self, when: str, since: str = "before") -> list[str]:
        """The objects of workload/ that are not what they were before; all, where nobody could look."""
        before, after = self.objects(since), self.objects(when)
        return sorted(path for path, digest in before.items() if after.get(path) != digest)

    def objects(self, when: str) -> Mapping[str, str]:
        """The digests of what the objects of workload/ held at a look; none, where nobody could look."""
        looks = [each for each in self.bundle.records(ObjectsLook) if each.cluster == self.cluster]
        return next((each.digests for each in looks if each.when == when), {})


def _of_runbook(event: AuditEvent) -> bool:
    """Whether a runbook asked: as itself, or as an account that it has made for what it brings back."""
    an_account = event.user.startswith(_ACCOUNT) and not event.user.startswith(f"{_ACCOUNT}kube-system:")
    return event.user == DR_USER or (an_account and event.namespace in (SERVING, ""))


def shown(intervals: Sequence[Interval]) -> str:
    """Intervals in words."""
    return ", ".join(
        f"{each.lower_s:.1f} to {each.upper_s:.1f} s"
        if each.upper_s is not None
        else f"over {each.lower_s:.1f} s"
        for each in intervals
    )
