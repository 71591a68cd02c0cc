"""What holds although the world was disturbed between the operator and its API server."""

from collections import Counter

from graders.evidence.bundle import Bundle
from graders.evidence.records import AuditEvent
from graders.evidence.timeline import ObjectHistory, of_the_house
from graders.faults import InfraFault
from graders.judging import Facts, Findings, check
from graders.lab1.api import PLURAL, conditions, controller_uid, is_terminating, status_field
from graders.lab1.names import FOREIGN_CONDITION, FOREIGN_FINALIZER, FOREIGN_LABEL
from graders.lab1.trackrecord import JobsRecord, member, track_record


@check(
    "conflicts",
    tracks=("conflicts",),
    hint="Name the resourceVersion that you read, and after a 409 read again; write only what is yours.",
)
def check_conflicts(bundle: Bundle, facts: Facts) -> None:
    """What others wrote just before a write survives it, and what was to be written is, within T."""
    story = track_record(
        bundle, "conflicts", hint="Others had written just before: after a 409 read again and retry."
    )
    contested = story.all("contested")
    for mark in contested:
        facts[f"met {mark.data['what']}"] = mark.data["applied"]
    job = story.job("contested").last
    metadata = job["metadata"]
    hint = "Never send back a list that you read before without the resourceVersion it was read at."
    with Findings(hint=hint) as found:
        for mark in contested:
            found.expect(
                mark.data["applied"],
                f"a write to the job where {mark.data['what']} appears meanwhile",
                "no update or patch of the job at all",
            )
        found.equal(f"label {FOREIGN_LABEL}", "yes", (metadata.get("labels") or {}).get(FOREIGN_LABEL))
        found.expect(
            FOREIGN_FINALIZER in (metadata.get("finalizers") or ()),
            f"the foreign finalizer {FOREIGN_FINALIZER} still on the job",
            f"finalizers: {', '.join(map(str, metadata.get('finalizers') or ())) or 'none'}",
        )
        found.expect(
            conditions(job).get(FOREIGN_CONDITION, {}).get("reason") == "Reviewed",
            f"the foreign status condition {FOREIGN_CONDITION} still there",
            "conditions: " + ", ".join(conditions(job)),
        )


@check(
    "stale-cache",
    tracks=("stale-cache",),
    hint="A cache tells what was. Delete with a uid precondition, count failures by uid, "
    "and read from the API server where being wrong costs a pod.",
)
def check_stale_cache(bundle: Bundle, facts: Facts) -> None:
    """An operator that hears of its pods five seconds late does what it does when it hears at once."""
    story = track_record(
        bundle, "stale-cache", hint="The pod watch was five seconds late; everything else worked as always."
    )
    if "calm" not in story.spaces:
        raise InfraFault("the record of track stale-cache has no namespace 'calm'")
    late, calm = story.namespace, story.spaces["calm"]
    with Findings() as found:
        for what, count in (
            ("creates", JobsRecord.creates_by_member),
            ("pods that went", JobsRecord.gone_by_member),
        ):
            undisturbed, disturbed = count(story, "behind", calm), count(story, "behind", late)
            facts[f"{what} undisturbed"] = _told(undisturbed)
            facts[f"{what} disturbed"] = _told(disturbed)
            found.equal(
                f"{what}, pod by pod, as in the undisturbed run:", _told(undisturbed), _told(disturbed)
            )
        found.equal(
            "restarts:",
            status_field(story.job("behind", calm).last, "restarts"),
            status_field(story.job("behind", late).last, "restarts"),
        )
        most = _most_at_once(story.pods("behind", late))
        found.expect(most <= 3, "never more than the three pods of numNodes", f"{most} pods at once")


@check(
    "new-uid",
    tracks=("new-uid",),
    hint="Key what you remember by uid, not by name, and look at a child's owner before you touch it.",
)
def check_new_uid(bundle: Bundle, facts: Facts) -> None:
    """A job re-created under an old name starts anew, and its children are left alone."""
    story = track_record(
        bundle,
        "new-uid",
        hint="The job had been deleted and created again under its name while the watches were silent.",
    )
    uid = story.mark("new").data["uid"]
    failed = [mark.data["pod"] for mark in story.all("end-pod") if mark.t > story.mark("new").t]
    pods = [life for life in story.histories("pods") if life.seen[0].t >= _first_seen(story, uid)]
    lost = [life.name for life in pods if life.gone is not None and life.name not in failed]
    foreign = [life.name for life in pods if controller_uid(life.first) != uid]
    facts["pods of the new job"] = len(pods)
    with Findings() as found:
        found.expect(not lost, "the new job's pods left alone", f"gone: {', '.join(lost)}")
        found.expect(
            not foreign, "every pod created for the new job's uid", f"owned by another: {', '.join(foreign)}"
        )
        found.equal("pods created for the new job:", 3, len(pods), "Two, and one more after a failure.")


@check(
    "replay",
    tracks=("replay",),
    hint="Compare what is with what should be and write only the difference: an event is no reason.",
)
def check_replay(bundle: Bundle, facts: Facts) -> None:
    """Duplicated events, and a watch that has to list anew, lead to no write."""
    story = track_record(bundle, "replay")
    if not story.all("expired"):
        raise InfraFault("the record of track replay has no mark 'expired'")
    replayed, until = story.mark("replayed"), story.mark("end").t
    since, facts["frames"] = replayed.t, replayed.data["frames"]
    if replayed.data.get("watches") and not replayed.data["frames"]:
        raise InfraFault("the operator watches, and nothing was told to it again")
    writes = [event for event in _mutations(story) if since <= event.t <= until]
    facts["writes"] = len(writes)
    shown = Counter(f"{event.verb} {event.resource} {event.name} ({event.code})" for event in writes)
    with Findings() as found:
        found.expect(
            not writes,
            "no write while every event is told again and every list read anew",
            f"{len(writes)}: " + ", ".join(f"{text} x{n}" for text, n in shown.most_common(4)),
        )


@check(
    "missed-events",
    tracks=("missed-events",),
    hint="Derive what is missing from a list of what is there; no event may be the only way to learn of it.",
)
def check_missed_events(bundle: Bundle, facts: Facts) -> None:
    """A pod that vanished unheard is replaced within T."""
    story = track_record(
        bundle,
        "missed-events",
        hint="The pod watch was cut, and the list that followed lacked the pod. No DELETED event comes then.",
    )
    vanished = story.mark("vanished")
    pods = story.pods("unheard")
    name = next((_member(life) for life in pods if life.uid == vanished.data["uid"]), vanished.data["pod"])
    replaced = [life for life in pods if _member(life) == name and life.uid != vanished.data["uid"]]
    with Findings() as found:
        found.equal(f"new pods {name}:", 1, len(replaced))
        if replaced:
            facts["replaced_after_s"] = round(max(0.0, replaced[0].seen[0].t - vanished.t), 2)


def _mutations(story: JobsRecord) -> list[AuditEvent]:
    """Every write of the operator's in the track's namespace, refused or not; Leases and Events aside."""
    return [
        event
        for event in story.audit_in(story.namespace)
        if event.is_write
        and event.resource not in ("leases", "events")
        and not of_the_house(story.bundle, event.user)
    ]


def _member(life: ObjectHistory) -> str:
    return member(life.first, life.name)


def _told(counts: Counter[str]) -> str:
    return ", ".join(f"{name} x{count}" for name, count in sorted(counts.items())) or "none"


def _first_seen(story: JobsRecord, uid: str) -> float:
    for life in story.histories(PLURAL):
        if life.uid == uid:
            return life.seen[0].t
    raise InfraFault(f"the record of track {story.track} lacks the job of uid {uid}")


def _most_at_once(pods: list[ObjectHistory]) -> int:
    """The most pods that were there and not on their way out at any moment."""
    changes = []
    for life in pods:
        leaving = next((s.t for s in life.seen if s.type == "DELETED" or is_terminating(s.object)), None)
        changes.append((life.seen[0].t, 1))
        if leaving is not None:
            changes.append((leaving, -1))
    most = now = 0
    for _, change in sorted(changes):
        now += change
        most = max(most, now)
    return most
