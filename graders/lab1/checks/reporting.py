"""What the operator says: conditions, Events, metrics."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from graders.evidence.bundle import Bundle
from graders.evidence.records import Object, Scrape
from graders.judging import Facts, Findings, check
from graders.lab1.api import CONDITIONS, PLURAL, conditions, is_true, replica_counts, status_field
from graders.lab1.metrics import COUNTERS, Page, lint, read_page
from graders.lab1.trackrecord import JobsRecord, stamp, track_record


@check(
    "conditions",
    tracks=("conditions",),
    hint="Write all six conditions at the first visit, and keep them current.",
)
def check_conditions(bundle: Bundle, facts: Facts) -> None:
    """Conditions follow the job from the first status write on, and observedGeneration never lies."""
    story = track_record(
        bundle, "conditions", hint="Look at the status with `kubectl get mltj -o yaml` while the job runs."
    )
    states = [(t, job) for t, job in story.statuses("watched") if conditions(job)]
    facts["status_writes_seen"] = len(states)
    with Findings() as found:
        if not found.expect(states, "a status with conditions", "no conditions were ever written"):
            return
        for seen in story.all_jobs():
            _expect_first(found, next((job for job in seen if conditions(job)), None))
        starts = {status_field(job, "startTime") for _, job in states} - {None}
        found.expect(
            len(starts) <= 1,
            "one startTime as long as a job is not suspended, whatever fails",
            f"startTime was {', '.join(sorted(map(str, starts)))}",
        )
        for _, job in states:
            _expect_shape(found, job)
            found.expect(
                not (is_true(job, "Running") and is_true(job, "Restarting")),
                "Running and Restarting never True together",
                "both were True",
            )
        for (_, before), (_, after) in pairwise(states):
            _expect_steady(found, before, after)
        told = [(t, conditions(job)) for t, job in states]
        for name in CONDITIONS:
            _expect_moved(found, name, told)
        for _, job in story.statuses("watched"):
            observed, generation = status_field(job, "observedGeneration"), job["metadata"]["generation"]
            found.expect(
                observed is None or (isinstance(observed, int) and observed <= generation),
                "observedGeneration a number that is never above generation",
                f"observedGeneration {observed!r} at generation {generation}",
            )
        _expect_settled(found, story)
        failing = story.mark("failing").t
        found.expect(
            any(is_true(job, "Restarting") for t, job in states if t > failing),
            "Restarting True between a counted failure and Running",
            "Restarting was never True after the failure",
        )


def _expect_first(found: Findings, job: Object | None) -> None:
    """The first status that anybody saw of a job."""
    if job is not None:
        where = f"in the first status write of {job['metadata']['name']}"
        told = conditions(job)
        missing = [name for name in CONDITIONS if name not in told]
        found.expect(not missing, f"all six conditions {where}", f"missing: {', '.join(missing)}")
        found.expect(is_true(job, "Created"), f"Created True {where}", "it was not")


def _expect_shape(found: Findings, job: Object) -> None:
    listed = (job.get("status") or {}).get("conditions") or []
    types = [str(c.get("type")) for c in listed if isinstance(c, Mapping)]
    found.expect(len(types) == len(set(types)), "one condition of each type", f"types {', '.join(types)}")
    told = conditions(job)
    for name in CONDITIONS:
        entry = told.get(name)
        if entry is None:
            found.miss(f"{name} was missing from a status", "all six conditions in every status")
            continue
        found.expect(
            entry.get("status") in ("True", "False", "Unknown")
            and entry.get("reason")
            and stamp(entry.get("lastTransitionTime")) is not None,
            f"{name} a metav1.Condition with status, reason and lastTransitionTime",
            f"{name} is {dict(entry)}",
        )


def _expect_steady(found: Findings, before: Object, after: Object) -> None:
    old, new = status_field(before, "observedGeneration"), status_field(after, "observedGeneration")
    found.expect(
        not isinstance(old, int) or (isinstance(new, int) and new >= old),
        "observedGeneration never falling",
        f"observedGeneration went from {old} to {new}",
    )
    earlier, later = conditions(before), conditions(after)
    for name in CONDITIONS:
        was, now = earlier.get(name), later.get(name)
        if was is not None and now is not None and was.get("status") == now.get("status"):
            found.expect(
                was.get("lastTransitionTime") == now.get("lastTransitionTime"),
                "lastTransitionTime moving only when the status flips",
                f"{name} stayed {now.get('status')} and its lastTransitionTime moved",
            )


_WHOLE_S = 1.5
"""Stamps are whole seconds: two flips that are further apart cannot have the same one."""


def _expect_moved(
    found: Findings, name: str, states: Sequence[tuple[float, Mapping[str, Mapping[str, Any]]]]
) -> None:
    """The stamp of a condition is another one after its status flipped; `states` are all conditions."""
    since, status, moved = 0.0, "", ""
    for t, conditions_then in states:
        entry = conditions_then.get(name, {})
        now, at = str(entry.get("status")), str(entry.get("lastTransitionTime"))
        if status and now != status and t - since > _WHOLE_S:
            found.expect(
                at != moved,
                "lastTransitionTime moving when the status flips",
                f"{name} became {now}, and its lastTransitionTime stayed",
            )
        if now != status:
            since, status = t, now
        moved = at


def _expect_settled(found: Findings, story: JobsRecord) -> None:
    """Each time the operator had come to rest (or had T to do so), what the status says is what is."""
    ended = max((mark.t for mark in story.all("end-pod") if mark.data["code"] == "0"), default=math.inf)
    unready = min((mark.t for mark in story.all("unready")), default=math.inf)
    failing = story.mark("failing").t
    lingers = min((mark.t for mark in story.all("lingers")), default=math.inf)
    lingered = max((mark.t for mark in story.all("lingered")), default=lingers)
    waiting = list(zip(story.all("waits"), story.all("finds-a-place"), strict=False))
    for mark in sorted(story.all("settled") + story.all("restless"), key=lambda mark: mark.t):
        job = story.job("watched").at(mark.t)
        if job is None:
            continue
        generation = job["metadata"]["generation"]
        observed = status_field(job, "observedGeneration")
        found.equal("observedGeneration once settled", generation, observed)
        waits = next((begin for begin, end in waiting if begin.t <= mark.t <= end.t), None)
        if waits is not None:
            _expect_waiting(found, job, restarting=bool(waits.data["restarting"]))
            continue
        last = mark.t > ended
        ready = int(not unready <= mark.t < failing)
        wanted = {"active": int(not last), "ready": 0 if last else ready, "succeeded": int(last)}
        going = lingers <= mark.t <= lingered
        if going:
            wanted = {"active": 0, "ready": 0, "failed": 0}
        found.equal(
            "replicaStatuses once settled" + ", the pod being deleted" * going,
            wanted,
            replica_counts(job, wanted),
        )
        if not last and not going:
            found.expect(is_true(job, "Running"), "Running True while both pods run", "it was not")
            found.expect(status_field(job, "startTime"), "a startTime while running", "startTime is empty")


def _expect_waiting(found: Findings, job: Object, *, restarting: bool) -> None:
    """The only pod is a new one that has no place yet."""
    wanted = {"active": 1, "ready": 0, "succeeded": 0}
    found.equal(
        "replicaStatuses once settled, the pod waiting for a place", wanted, replica_counts(job, wanted)
    )
    found.expect(
        not is_true(job, "Running"),
        "Running False while the only pod waits for a place",
        "Running was True",
    )
    # That no Restarting comes of a pod that was deleted is the business of pod-loss.
    found.expect(
        is_true(job, "Restarting") or not restarting,
        "Restarting True while a pod in place of a failed one waits for a place",
        "Restarting was False",
        "It is True from a counted failure on, and until Running.",
    )


@check(
    "events",
    tracks=("events", "events-failed"),
    hint="Emit one Event for each transition, regarding the job.",
)
def check_events(bundle: Bundle, facts: Facts) -> None:
    """Each transition of a job has its Event, and there is no flood of them."""
    hint = "An Event's involvedObject (regarding) must be the job itself."
    with Findings() as found:
        for track, job in (("events", "talks"), ("events-failed", "doomed")):
            story = track_record(bundle, track, hint=hint)
            story.mark("end")
            counted = _event_count(story, job)
            transitions = sum(int(mark.data["wanted"]) for mark in story.all("transition"))
            facts[f"events_{job}"] = counted
            found.expect(
                counted >= transitions,
                f"at least {transitions} Events about {job}, one for each transition",
                f"{counted} Events",
            )
            # Running comes again after a restart and after a resume.
            transitions += 2 if job == "talks" else 0
            most = 3 * transitions + 5
            found.expect(
                counted <= most,
                f"at most {most} Events about {job}, which had {transitions} transitions",
                f"{counted} Events",
                "Emit Events on transitions, not on every reconcile.",
            )


def _event_count(story: JobsRecord, job: str) -> int:
    total = 0
    for life in story.histories("events"):
        target = life.last.get("involvedObject") or {}
        if target.get("kind") == "MLTrainingJob" and target.get("name") == job:
            series: Any = life.last.get("series") or {}
            total += int(series.get("count") or life.last.get("count") or 1)
    return total


_SLACK_S = 3.0
"""Stamps are whole seconds, and an operator may observe a little later than it writes."""


@check(
    "metrics",
    tracks=("metrics",),
    hint="Count in the moment a status write succeeded, and nowhere else; the gauge tells what is there.",
)
def check_metrics(bundle: Bundle, facts: Facts) -> None:
    """The metrics page parses, follows the naming rules, and its counters equal what happened."""
    story = track_record(bundle, "metrics")
    space = story.namespace
    readings = [scrape for scrape in bundle.scrapes if scrape.ok]
    with Findings() as found:
        if not found.expect(readings, "a metrics page", "the metrics port never answered"):
            return
        pages = {}
        for scrape in readings:
            page = read_page(scrape.text)
            if isinstance(page, str):
                found.miss(f"it does not parse: {page}", "a page in the Prometheus text format")
                return
            pages[scrape] = page
        for breach in lint(pages[readings[-1]]):
            found.miss(breach, "names by the Prometheus conventions")
        truth = _truth(story)
        for counter in COUNTERS:
            told_sum = sum(page.total(counter, namespace=space) for page in _last_of_each(pages).values())
            facts[counter] = told_sum
            found.expect(
                told_sum == truth[counter],
                f'{counter}{{namespace="{space}"}} adding up to {truth[counter]} over both processes',
                f"{told_sum:g}",
            )
        _expect_types(found, pages[readings[-1]])
        _expect_one_each(found, story, pages)
        _expect_latencies(found, story, pages[readings[-1]])


def _last_of_each(pages: Mapping[Scrape, Page]) -> dict[str, Page]:
    """The last page of every operator process."""
    last: dict[str, Page] = {}
    for scrape, page in pages.items():
        last[scrape.instance] = page
    return last


def _truth(story: JobsRecord) -> dict[str, int]:
    """What happened in the namespace, by the grader's own watches and the audit log."""
    jobs = [life.name for life in story.histories("mltrainingjobs")]
    finals = [story.job(name).last for name in jobs]
    created = sum(any(is_true(job, "Created") for _, job in story.statuses(name)) for name in jobs)
    return {
        "mltrainingjob_jobs_created_total": created,
        "mltrainingjob_jobs_successful_total": sum(is_true(job, "Complete") for job in finals),
        "mltrainingjob_jobs_failed_total": sum(is_true(job, "Failed") for job in finals),
        # But for failures and deletions of its own, no pod is created again in this track.
        "mltrainingjob_jobs_restarted_total": _made_again(story) - len(story.all("delete-pod")),
    }


def _made_again(story: JobsRecord) -> int:
    """Pods created over what was asked for; a job that was never under way may have got fewer."""
    jobs = story.histories("mltrainingjobs")
    return sum(max(0, len(story.pod_creates(life.name)) - _nodes(life.first)) for life in jobs)


def _nodes(job: Object) -> int:
    """What the grader asked for; 1, the contract's default, where a poor CRD dropped the field."""
    value: Any = job.get("spec")
    for step in ("trainer", "numNodes"):
        value = value.get(step) if isinstance(value, Mapping) else None
    return value if isinstance(value, int) else 1


def _expect_types(found: Findings, page: Page) -> None:
    wanted = {"mltrainingjob_jobs_active": "gauge", "mltrainingjob_start_latency_seconds": "histogram"}
    for name, kind in wanted.items():
        family = page.families.get(name)
        found.equal(f"{name}: type", kind, family.type if family else None)
    observed = page.total("mltrainingjob_start_latency_seconds_count")
    found.expect(
        observed >= 1,
        "mltrainingjob_start_latency_seconds with an observation for a job that started in this process",
        f"its count is {observed:g}",
    )


def _expect_one_each(found: Findings, story: JobsRecord, pages: Mapping[Scrape, Page]) -> None:
    """The process before the restart observed no job's start twice: a Running that comes again is no first.

    All jobs of the run share it, for its series need no namespace. One that is resumed may count anew.
    """
    instances = {str(mark.data["instance"]) for mark in story.all("gauge")[:1]}
    readings = [scrape for scrape in pages if scrape.instance in instances]
    if not readings:
        return
    last = max(readings, key=lambda scrape: scrape.t)
    known, ran = set(), set()
    for sighting in story.bundle.watch_events:
        if sighting.resource != PLURAL or sighting.type == "DELETED":
            continue
        # A job made after the reading is none of those; the others may be seen to run a little later.
        if sighting.t <= last.t:
            known.add(sighting.uid)
        if sighting.uid in known and sighting.t <= last.t + _SLACK_S and is_true(sighting.object, "Running"):
            ran.add((sighting.uid, str(status_field(sighting.object, "startTime"))))
    told = pages[last].total("mltrainingjob_start_latency_seconds_count")
    found.expect(
        told <= len(ran),
        f"mltrainingjob_start_latency_seconds_count of at most {len(ran)}, for no more jobs had been Running",
        f"{told:g}",
        "Observe the first Running of a job, and none that comes after a restart.",
    )


def _expect_latencies(found: Findings, story: JobsRecord, page: Page) -> None:
    """What the histogram says of the time from startTime to Running could be so."""
    observed = page.total("mltrainingjob_start_latency_seconds_count")
    total = page.total("mltrainingjob_start_latency_seconds_sum")
    if not observed or not math.isfinite(total):
        return
    longest = max((_start_latency(states) for states in story.all_jobs()), default=0.0)
    mean = total / observed
    found.expect(
        0 <= mean <= longest + _SLACK_S,
        f"mltrainingjob_start_latency_seconds of at most {longest + _SLACK_S:.1f} s, for no job took longer",
        f"{mean:.1f} s in the mean",
        "Observe seconds, from startTime to the moment of the first Running.",
    )


def _start_latency(states: Sequence[Object]) -> float:
    """Seconds from startTime to the first Running of a job, by its own stamps; 0 where it has none."""
    for job in states:
        began = stamp(status_field(job, "startTime"))
        if began is None:
            continue
        running = conditions(job).get("Running", {})
        ran = stamp(running.get("lastTransitionTime"))
        if running.get("status") == "True" and ran is not None:
            return ran - began
    return 0.0
