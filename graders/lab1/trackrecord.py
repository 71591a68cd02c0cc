"""Reading the record of lab 1: what one track tells about its jobs; pure, nothing live."""

from collections import Counter
from datetime import datetime
from typing import Any

from graders.evidence.bundle import Bundle
from graders.evidence.records import AuditEvent, Object
from graders.evidence.timeline import ObjectHistory, TrackRecord, of_the_house
from graders.faults import Unmet
from graders.lab1.api import JOB_NAME, PLURAL, REPLICA_INDEX, controller_uid
from graders.lab1.names import OPERATOR_NOT_READY, RUN
from graders.lab1.pace import own_pace
from graders.lab1.starting import ended_by_itself, stopped_for, why_not_ready, without_fix


class JobsRecord(TrackRecord):
    """What is on record of one track and its jobs."""

    def job(self, name: str, namespace: str | None = None) -> ObjectHistory:
        """The job of that name.

        Raises:
            Unmet: it was never there.
        """
        for life in self.histories(PLURAL, namespace):
            if life.name == name:
                return life
        raise Unmet(f"a job named {name}", "the API server never showed one")

    def pods(self, job: str, namespace: str | None = None) -> list[ObjectHistory]:
        """Every pod the job ever controlled, or that nobody controls and is named after it."""
        uid = self.job(job, namespace).uid
        return [
            life
            for life in self.histories("pods", namespace)
            if any(controller_uid(s.object) == uid for s in life.seen)
            or (not controller_uid(life.first) and _named_after(life.name, job))
        ]

    def statuses(self, name: str, namespace: str | None = None) -> list[tuple[float, Object]]:
        """Every state of the job that was sighted, with its time."""
        return [(s.t, s.object) for s in self.job(name, namespace).seen if s.type != "DELETED"]

    def all_jobs(self) -> list[list[Object]]:
        """Every state of every job of the run, whatever its track."""
        by_uid: dict[str, list[Object]] = {}
        for sighting in self.bundle.watch_events:
            if sighting.resource == PLURAL and sighting.type != "DELETED":
                by_uid.setdefault(sighting.uid, []).append(sighting.object)
        return list(by_uid.values())

    def pod_creates(self, job: str | None = None, namespace: str | None = None) -> list[AuditEvent]:
        """Pods successfully created, for one job if it is named: the name or the label tells."""
        return [
            event for event in self.writes("pods", "create", namespace) if job is None or _belongs(event, job)
        ]

    def creates_by_member(self, job: str, namespace: str) -> Counter[str]:
        """How often each pod of a job was created; see `member`."""
        return Counter(
            member(event.request if isinstance(event.request, dict) else None, event.name)
            for event in self.pod_creates(job, namespace)
        )

    def gone_by_member(self, job: str, namespace: str) -> Counter[str]:
        """How often each pod of a job went; see `member`."""
        lives = self.pods(job, namespace)
        return Counter(member(life.last, life.name) for life in lives if life.gone is not None)


_CREATE = "create"
"""The track of creates-pods itself."""

_NEVER = "No pod was there at all: first make creates-pods pass."
_REFUSED = (400, 403, 422)
"""Answers that trying again does not change."""

_ENDED = "the operator's process ended"
"""How what a track saw tells of an operator that ended by itself meanwhile."""

_LATE = (
    "Other jobs got pods, this one none in time. Some sixty jobs are there at once: no job may have to wait"
    " for all others, so see to them side by side, and leave alone what is as it should be."
)


def track_record(bundle: Bundle, track: str, *, hint: str = "") -> JobsRecord:
    """The record of a track that got to its end.

    Raises:
        Unmet: the operator was never ready, or did not do in time what the track waited for.
    """
    for mark in bundle.marks_by_track.get(RUN, ()):
        if mark.name == OPERATOR_NOT_READY:
            exits = [p for p in bundle.processes if p.event == "exited"]
            seen = f"{mark.data['seen']}; the process ended {len(exits)} times"
            if exits:
                seen += f", first it {exits[0].data.get('status')}"
            log = str(mark.data.get("log", "")).strip()
            raise Unmet(
                "an operator that starts and reads the jobs",
                seen + (f"; it printed last: {without_fix(log)[-600:]}" if log else "; it printed nothing"),
                hint=why_not_ready(bundle, log),
            )
    story = JobsRecord(bundle, track)
    for mark in story.all("missed"):
        if str(mark.data["seen"]).startswith("0 pods"):
            hint = _podless(story, mark.t) or hint
        elif _ENDED in str(mark.data["seen"]):
            hint = stopped_for(bundle, mark.t) or hint
        elif pace := own_pace(bundle, mark.t - float(mark.data.get("within_s", 0)), mark.t):
            hint = str(pace)
        raise Unmet(
            str(mark.data["waiting_for"])
            + (f", within {mark.data['within_s']:g} s" if "within_s" in mark.data else ""),
            str(mark.data["seen"]),
            hint=hint,
        )
    return story


def _podless(story: JobsRecord, t: float) -> str:
    """The next step of a track whose job had no pod at time `t`; empty where that of its check is as good."""
    served = _served(story.bundle)
    if not served:
        cause = stopped_for(story.bundle, t) or _refusal(story.bundle) or ended_by_itself(story.bundle, t)
        return cause if cause or story.track == _CREATE else _NEVER
    return _LATE if served.isdisjoint(story.spaces.values()) else ""


def _refusal(bundle: Bundle) -> str:
    """What the API server says to pods that the operator asks for in vain; empty if it refused none."""
    for event in bundle.audit:
        mine = event.user == bundle.manifest.learner and event.resource == "pods" and not event.subresource
        if mine and event.verb in ("create", "patch") and event.code in _REFUSED:
            body = event.response if isinstance(event.response, dict) else {}
            said = str(body.get("message") or f"code {event.code}")[:300]
            return f"The API server refuses the operator's pods, and says why: {said}"
    return ""


def _served(bundle: Bundle) -> set[str]:
    """The namespaces, of whichever track, in which the operator ever created a pod."""
    return {
        event.namespace
        for event in bundle.audit
        if (event.resource, event.did, event.subresource) == ("pods", "create", "")
        and event.ok
        and not of_the_house(bundle, event.user)
    }


def index_name(pod: str, label: str) -> str:
    """A pod's index: what its label says, or else what its name ends in."""
    return label or pod.rsplit("-", 1)[-1]


def member(pod: Object | None, name: str) -> str:
    """What a pod is of its job, `job-index`, by its labels; its name where they do not say.

    Pods are told apart by it where their names are not the point.
    """
    labels = ((pod or {}).get("metadata") or {}).get("labels") or {}
    job, index = labels.get(JOB_NAME), labels.get(REPLICA_INDEX)
    return f"{job}-{index}" if job and index else name


def stamp(value: Any) -> float | None:
    """An RFC 3339 stamp in epoch seconds; None if it is none, or has no zone."""
    try:
        parsed = datetime.fromisoformat(str(value))
        return parsed.timestamp() if parsed.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def _belongs(event: AuditEvent, job: str) -> bool:
    body = event.request if isinstance(event.request, dict) else {}
    labels = (body.get("metadata") or {}).get("labels") or {}
    return labels.get("training.mod201.dev/job-name") == job or _named_after(event.name, job)


def _named_after(pod: str, job: str) -> bool:
    return pod.startswith(f"{job}-") and pod.removeprefix(f"{job}-").isdigit()
