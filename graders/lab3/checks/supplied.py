"""Whether a backup is what is restored: all of it, nothing else, and not one that is bad."""

from collections.abc import Mapping

from graders.evidence.bundle import Bundle
from graders.evidence.records import Mark
from graders.faults import Unmet
from graders.judging import Facts, Findings, check
from graders.lab3.lanerecord import LaneRecord
from graders.lab3.names import BACKED_UP, CONTROL_PLANE, NAMESPACE, SUPPLIED
from graders.model import Capability
from graders.recovery.recoveryrecord import Restored
from graders.recovery.rpo import AnomalyKind

_BAD = {
    "bad-none": "there was no backup",
    "bad-cut": "the files of the backup ended in the middle",
    "bad-forged": "the backup was changed after it was made",
}
_BY_ITSELF = "it has to end by itself, and say no"
_ANOTHER = "what is there is another state than that of the backup"
_IMMUTABLE = "neither a ConfigMap nor a Secret of workload/ could be changed in the cluster before"
_IN_WORDS = {CONTROL_PLANE: "the control plane lost", NAMESPACE: "the namespace deleted"}


@check(
    "backup-causality",
    tracks=(CONTROL_PLANE, NAMESPACE),
    needs=(Capability.ETCD_ACCESS,),
    hint="What is restored must come from the backup alone: not from Git, not from a copy aside.",
)
def check_backup_causality(bundle: Bundle, facts: Facts) -> None:
    """With one backup alone, what comes back is the state at the moment when that was made."""
    with Findings("a state between the begin and the end of the backup that was supplied") as found:
        for track in (CONTROL_PLANE, NAMESPACE):
            record = LaneRecord(bundle, track)
            given = _mark(record, "given").data
            looks = record.looks(SUPPLIED)
            found.expect(looks, "records to be there", f"{_IN_WORDS[track]}: nobody answers for them")
            for look in looks:
                there = record.restored(look)
                facts[f"{track.replace('-', '_')}_lost"] = there.lost
                if not _made_in(there, given):
                    found.miss(f"{_IN_WORDS[track]}: {_ANOTHER}")
                elif strange := _strange(there):
                    found.miss(f"{_IN_WORDS[track]}: the backup has nothing of {strange}")
            if _unchanged(record):
                found.miss(
                    f"{_IN_WORDS[track]}: {_IMMUTABLE}, so that nothing shows where it comes from",
                    hint="Have a ConfigMap in Namespace serving that is not immutable.",
                )
            for path in _otherwise(record):
                found.miss(
                    f"{_IN_WORDS[track]}: {path} was changed in the cluster before the backup was made, and "
                    "what is there is not what the backup holds"
                )


@check(
    "resumable",
    tracks=(CONTROL_PLANE, NAMESPACE),
    needs=(Capability.ETCD_ACCESS,),
    hint="An object that is there may be of a restore that was killed: what it lacks is still to do.",
)
def check_resumable(bundle: Bundle, facts: Facts) -> None:
    """A restore that was killed in the middle recovers when it is started again."""
    with Findings("recovery by a second start") as found:
        for track in (CONTROL_PLANE, NAMESPACE):
            record = LaneRecord(bundle, track)
            ended, given = _mark(record, "resumed"), _mark(record, "given").data
            resumed = ended.data
            facts[f"{track.replace('-', '_')}_killed"] = bool(resumed["killed"])
            if resumed["code"] != 0 or not resumed["stable"]:
                record.blame(record.run("restore", "resumed").t, ended.t)
            if resumed["code"] != 0:
                found.miss(f"{_IN_WORDS[track]}: started again, restore {resumed['how']}")
            elif not resumed["stable"]:
                found.miss(f"{_IN_WORDS[track]}: started again, restore ended with 0, and probes failed on")
            for look in record.looks("resumed"):
                if not _made_in(record.restored(look), given):
                    found.miss(f"{_IN_WORDS[track]}: started again, {_ANOTHER}")


@check(
    "bad-backup",
    tracks=(CONTROL_PLANE, NAMESPACE),
    needs=(Capability.ETCD_ACCESS,),
    hint="Write down digests of what you back up, and believe no backup whose digests do not hold.",
)
def check_bad_backup(bundle: Bundle, facts: Facts) -> None:
    """A backup that is missing, cut or changed is noticed, and an older good one is taken instead."""
    with Findings("not 0 where no good backup is; then the older one's state, or not 0") as found:
        for track in (NAMESPACE, CONTROL_PLANE):
            record = LaneRecord(bundle, track)
            begun = {each.purpose for each in record.runs("restore")}
            if "killed" in begun and not begun & _BAD.keys():
                # It was recorded when bad ones were supplied on the other lane alone.
                continue
            for purpose, told in _BAD.items():
                run = record.run("restore", purpose)
                facts[f"{track}-{purpose}".replace("-", "_")] = run.code
                where = f"{_IN_WORDS[track]}: restore"
                found.expect(run.code != 0, "not 0", f"{where} ended with 0, though {told}")
                found.expect(run.code is not None, "an end", f"{where} {run.how}, where {told}: {_BY_ITSELF}")
        run = record.run("restore", "bad-newest-forged")
        facts["bad_newest_forged"] = run.code
        if run.code is None:
            found.miss(f"restore {run.how}, where the newest backup was forged: {_BY_ITSELF}")
        if run.code == 0:
            older = _mark(record, "supplied").data["older"]
            for look in record.looks("bad-newest-forged"):
                if why := _not_of(record.restored(look), older):
                    found.miss(f"the newest backup was forged and the one before was good: {why}")


def _not_of(there: Restored, backup: Mapping[str, float]) -> str:
    """Why what is there is not the state of a backup; empty if it is."""
    if there.anomalies:
        return f"{len(there.anomalies)} records are in no state that was: {there.anomalies[0]}"
    return "" if _made_in(there, backup) else _ANOTHER


def _strange(there: Restored) -> str:
    """What is there and in no state of the ledger; a restore in two goes may leave something out."""
    wrong = [each for kind in there.kinds for each in kind.anomalies if each.kind is not AnomalyKind.HOLE]
    return ", ".join(map(str, wrong[:3]))


def _otherwise(record: LaneRecord) -> list[str]:
    """The objects of workload/ that are there, and not as they were when the backup was made."""
    there = record.objects(SUPPLIED)
    return [path for path in record.changed_objects(SUPPLIED, BACKED_UP) if there.get(path)]


def _unchanged(record: LaneRecord) -> bool:
    """Whether nothing of workload/ could be changed in the cluster before the backup was made."""
    return bool(record.objects(BACKED_UP)) and not record.changed_objects(BACKED_UP)


def _made_in(there: Restored, backup: Mapping[str, float]) -> bool:
    """Whether a backup can have the state that is nearest to what is there."""
    return all(each.made_between(backup["began"], backup["ended"]) for each in there.kinds)


def _mark(record: LaneRecord, name: str) -> Mark:
    found = [mark for mark in record.marks if mark.name == name]
    if not found:
        raise Unmet(
            "a loss to be recovered from with one backup alone",
            record.never("the losses before were not recovered from, or no backup was sealed"),
            hint="Look at the criteria of recovery and backups first.",
        )
    return found[0]
