"""Reading the record of recoveries on one cluster: what was measured of each fault, and what came back."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar, cast
from weakref import WeakKeyDictionary

from graders.clusterctl.records import ControlCall
from graders.evidence.bundle import Bundle
from graders.evidence.records import AuditEvent
from graders.faults import InfraFault
from graders.recovery.intervals import Interval, largest
from graders.recovery.outages import Episode, Injection, RunbookAct
from graders.recovery.probes import CANARY, CAPACITY, SERVING, WRITE, ProbeSpec
from graders.recovery.records import (
    Drill,
    LedgerKey,
    LedgerLook,
    LedgerWrite,
    ObjectsLook,
    ProbeSample,
    RestoredRecord,
    ScriptRun,
    StarvationSample,
)
from graders.recovery.rpo import RestoredPrefix, restored_prefix
from graders.recovery.rto import RecoveryMeasurement, measure_recovery
from graders.recovery.seals import run_key
from graders.recovery.voids import starved

ACT_GRACE_S = 5.0
_LEAD_S = 5.0
"""How long before a fault samples belong to its record."""
_ACCOUNT = "system:serviceaccount:"
_REVIEWS = ("authentication.k8s.io", "authorization.k8s.io")
"""Groups whose objects are questions."""
_T = TypeVar("_T")
_KNOWN: WeakKeyDictionary[Bundle, dict[tuple[object, ...], object]] = WeakKeyDictionary()
"""What was worked out of a bundle, for as long as there is one: several checks ask for the same."""


@dataclass(frozen=True, kw_only=True)
class RecoveryTerms:
    """On which terms recoveries are measured; seconds are those of a machine that keeps up.

    `rto_s` says by scenarios in what time they are to be over, `judged_by` by which probes, where not by all
    of them. What is in `unaided` has to be survived without a restore, what is in `unseen` need not be seen
    by any probe. `stable_s` is W; `lenience_s` after its target a recovery counts no more.

    The runbook acts as `user`, on what is in `namespace`; objects called `own_prefix` and more are its own.
    `kinds` are those of the ledger, that of what is owned first; `salt` is what its key is made with.
    """

    rto_s: Mapping[str, float]
    judged_by: Mapping[str, Sequence[str]]
    unaided: Collection[str]
    unseen: Collection[str]
    stable_s: float
    lenience_s: float
    user: str
    namespace: str
    own_prefix: str
    kinds: Sequence[str]
    salt: bytes


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


class RecoveryRecord(ABC):
    """The record of recoveries on `cluster`, on a machine `scale` times as slow as one that keeps up.

    All records of one class, bundle and cluster have the same terms.
    """

    def __init__(self, bundle: Bundle, cluster: str, scale: float) -> None:
        self.bundle = bundle
        self.cluster = cluster
        self.scale = scale

    @property
    @abstractmethod
    def terms(self) -> RecoveryTerms:
        """On which terms they are measured."""

    def all_drills(self) -> list[Drill]:
        """All faults, in the order of time."""
        return [each for each in self.bundle.records(Drill) if each.cluster == self.cluster]

    def runs(self, script: str, purpose: str = "") -> list[ScriptRun]:
        """The starts of a script, of all purposes or one."""
        return [
            each
            for each in self.bundle.records(ScriptRun)
            if (each.cluster, each.script) == (self.cluster, script) and purpose in ("", each.purpose)
        ]

    def samples(self, since: float, until: float) -> dict[ProbeSpec, list[ProbeSample]]:
        """The samples of each probe that were sent in a stretch of time."""
        specs = [spec.scaled(self.scale) for spec in (WRITE, SERVING, CAPACITY, CANARY)]
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
        """What `work` gives, which is the same for all such records."""
        known, key = _KNOWN.setdefault(self.bundle, {}), (type(self), self.cluster, what, *of)
        if key not in known:
            known[key] = work()
        return cast(_T, known[key])

    def measured(self, drill: Drill) -> RecoveryMeasurement:
        """The RTO of one fault."""
        return self._once("measured", (drill.key, drill.t), lambda: self._measured(drill))

    def _measured(self, drill: Drill) -> RecoveryMeasurement:
        run = self.restore_of(drill)
        judged_by = self.terms.judged_by.get(drill.scenario, ())
        samples = self.samples(drill.t - _LEAD_S, drill.watched)
        episode = Episode(
            Injection(drill.t, drill.t_end),
            deadline_s=self._patience_s(drill) * self.scale,
            ended=drill.watched,
            stable_s=self.terms.stable_s * self.scale,
            acts=tuple(self.acts_of(drill)),
            act_grace_s=ACT_GRACE_S * self.scale,
            restored=drill.scenario in self.terms.unaided or (run is not None and run.code == 0),
        )
        return measure_recovery(
            episode,
            {spec: slots for spec, slots in samples.items() if not judged_by or spec.name in judged_by},
            self.bundle.records(StarvationSample),
            dead=drill.dead,
            unseen="" if judged_by or drill.scenario in self.terms.unseen else "no probe saw the loss",
        )

    def _patience_s(self, drill: Drill) -> float:
        cut_s = drill.facts.get("cut_s")
        return cut_s if isinstance(cut_s, float) else self.terms.rto_s[drill.scenario] + self.terms.lenience_s

    def restore_of(self, drill: Drill) -> ScriptRun | None:
        """The start of restore that answered a fault."""
        found = [each for each in self.runs("restore", drill.key) if drill.t <= each.t <= drill.watched]
        return found[0] if found else None

    def acts_of(self, drill: Drill) -> list[RunbookAct]:
        """What the runbook changed in answer to a fault."""
        run = self.restore_of(drill)
        return sorted(self._acts(run), key=lambda act: act.t) if run is not None else []

    def changes_in(self, run: ScriptRun) -> list[str]:
        """What a start of a script changed, its own objects aside; nothing where another ran meanwhile."""
        if any(each != run and each.t <= run.t_end and each.t_end >= run.t for each in self._started()):
            return []
        return list(dict.fromkeys(act.what for act in self._acts(run)))

    def _started(self) -> Iterator[ScriptRun]:
        return (each for each in self.bundle.records(ScriptRun) if each.cluster == self.cluster)

    def _acts(self, run: ScriptRun) -> Iterator[RunbookAct]:
        for call in self.bundle.records(ControlCall):
            if call.cluster == self.cluster and call.changes and run.t <= call.t <= run.t_end:
                yield RunbookAct(call.t, call.t_end, f"CLUSTER_CTL {' '.join(call.words)}")
        for event in self.bundle.on(self.cluster).audit:
            mine = (
                self._of_runbook(event)
                and event.is_write
                and not event.name.startswith(self.terms.own_prefix)
                and event.group not in _REVIEWS
            )
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
        key = run_key(self.terms.salt, bytes.fromhex(keys[0].secret), keys[0].run_id, look.ledger)
        kinds = []
        for kind in self.terms.kinds:
            of_kind = (look.ledger, kind)
            writes = [
                each
                for each in self.bundle.records(LedgerWrite)
                if (each.ledger, each.kind) == of_kind and each.cluster == self.cluster and each.t <= look.t
            ]
            found = [
                each
                for each in self._once("found", (), self._found_at).get((look.t, look.ledger), ())
                if (each.kind, each.cluster) == (kind, self.cluster)
            ]
            owners = look.owners if kind == self.terms.kinds[0] else None
            kinds.append(restored_prefix(key, writes, found, owners))
        return Restored(look.when, tuple(kinds))

    def _found_at(self) -> dict[tuple[float, str], list[RestoredRecord]]:
        found: dict[tuple[float, str], list[RestoredRecord]] = {}
        for each in self.bundle.records(RestoredRecord):
            found.setdefault((each.t, each.ledger), []).append(each)
        return found

    def changed_objects(self, when: str, since: str = "before") -> list[str]:
        """The protected objects that are not what they were before; all, where nobody could look."""
        before, after = self.objects(since), self.objects(when)
        return sorted(path for path, digest in before.items() if after.get(path) != digest)

    def objects(self, when: str) -> Mapping[str, str]:
        """The digests of what the protected objects held at a look; none, where nobody could look."""
        looks = [each for each in self.bundle.records(ObjectsLook) if each.cluster == self.cluster]
        return next((each.digests for each in looks if each.when == when), {})

    def _of_runbook(self, event: AuditEvent) -> bool:
        """Whether a runbook asked: as itself, or as an account that it has made for what it brings back."""
        mine = event.user.startswith(_ACCOUNT) and not event.user.startswith(f"{_ACCOUNT}kube-system:")
        return event.user == self.terms.user or (mine and event.namespace in (self.terms.namespace, ""))
