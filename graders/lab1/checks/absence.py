"""Catching up with what nobody saw, and deletion that is finished properly."""

from typing import Any

from graders.evidence.bundle import Bundle
from graders.evidence.records import Object
from graders.faults import InfraFault
from graders.judging import Facts, Findings, check
from graders.lab1.api import is_terminating, phase
from graders.lab1.outcome import outcome
from graders.lab1.trackrecord import JobsRecord, track_record

GRACE_S = 1.0
"""A create that begins so soon after the deletion was under way."""


@check(
    "downtime",
    tracks=("downtime",),
    hint="At the start read what is there and compare it with what should be; no event will tell.",
)
def check_downtime(bundle: Bundle, facts: Facts) -> None:
    """What was scaled, failed and deleted while the operator was down is put right when it is back."""
    story = track_record(bundle, "downtime")
    end = story.mark("end").t
    down, up = story.mark("down").t, story.mark("up").t
    facts["down_s"] = round(up - down, 2)
    cases = story.all("case")
    facts["kinds_of_news"] = len(cases)
    if not cases:
        raise InfraFault("the record of track downtime has no mark 'case'")
    with Findings() as found:
        for case in cases:
            seen, missed = (str(case.data["jobs"][how]) for how in ("seen", "missed"))
            job, twin = story.job(missed).at(end), story.job(seen).at(end)
            there = [state for life in story.pods(missed) if (state := life.at(end)) is not None]
            running = [pod for pod in there if phase(pod) == "Running" and not is_terminating(pod)]
            found.equal(f"{missed}: running pods", case.data["nodes"], len(running))
            if found.expect(job is not None, f"{missed} to be there", f"{missed} is gone"):
                assert job is not None
                wanted = [case.data["outcome"], *([outcome(twin)] if twin is not None else [])]
                found.expect(
                    outcome(job) in wanted,
                    f"{missed}: {wanted[0]}, as a job to which the same happened while the operator ran",
                    f"{missed}: {outcome(job)}",
                )


@check(
    "finalizers",
    tracks=("finalizers",),
    hint="Once deletionTimestamp is set, create nothing, and take only your own finalizer off the list.",
)
def check_finalizers(bundle: Bundle, facts: Facts) -> None:
    """A deleted job that somebody else still holds gets no pods, keeps that finalizer, then goes."""
    story = track_record(bundle, "finalizers")
    troubled = story.mark("troubled").data
    facts["cleanups_that_failed"] = troubled["failures"]
    with Findings() as found:
        for name in ("watched", "unwatched"):
            release = next((m.t for m in story.all("release") if m.data["job"] == name), None)
            if release is None:
                raise InfraFault(f"the record of track finalizers does not say when {name} was let go")
            hold = next(str(m.data["finalizer"]) for m in story.all("held") if m.data["job"] == name)
            _expect_held(found, story, name, hold, release)
            _expect_gone(found, story, name, story.namespace)
            gone = story.job(name).gone
            if gone is not None:
                facts[f"{name}_gone_after_s"] = round(gone - release, 2)
        _expect_gone(found, story, str(troubled["job"]), story.spaces["own"])


def _expect_gone(found: Findings, story: JobsRecord, name: str, namespace: str) -> None:
    """The job went in the end, and nothing was created for it once it was to go."""
    life = story.job(name, namespace)
    found.expect(life.gone is not None, f"{name} to be gone", f"{name} is still there")
    deleted = next((s.t for s in life.seen if is_terminating(s.object)), None)
    if deleted is None:
        return
    creates = story.pod_creates(name, namespace)
    late = [event.name for event in creates if event.t > deleted + GRACE_S]
    found.expect(
        not late,
        f"no pod created for {name} later than {GRACE_S:g} s after its deletion",
        f"created {', '.join(late)}",
    )


def _expect_held(found: Findings, story: JobsRecord, name: str, hold: str, release: float) -> None:
    """Until the grader lets go of the job, its finalizer is on every state of it."""
    life = story.job(name)
    wiped = next((s.t for s in life.seen if s.t < release and hold not in _finalizers(s.object)), None)
    gone = life.gone if life.gone is not None and life.gone < release else None
    found.expect(
        wiped is None and gone is None,
        f"{name} to keep the finalizer {hold}, which is somebody else's",
        f"it was taken off the list {release - (wiped or gone or release):.1f} s before its owner did so",
        "Patch the list so that only your own entry goes; never send a list without the others.",
    )


def _finalizers(job: Object) -> list[Any]:
    found = job["metadata"].get("finalizers")
    return found if isinstance(found, list) else []
