"""Retries, exit codes, lost pods and deadlines."""

from itertools import pairwise

from graders.evidence.bundle import Bundle
from graders.evidence.records import Object
from graders.evidence.timeline import ObjectHistory
from graders.judging import Facts, Findings, check
from graders.lab1.api import PLURAL, conditions, is_terminating, is_true, phase, status_field
from graders.lab1.leaderelection import replica_of
from graders.lab1.likeness import unlike
from graders.lab1.names import (
    AT_ONCE,
    BEFORE,
    BESIDE,
    CROWD,
    DEADLINE_S,
    IN_TIME,
    SIGNALLED,
    SPENT,
    STUCK,
    TTL_S,
    UNTOUCHED,
    UNTOUCHED_DEADLINE_S,
)
from graders.lab1.trackrecord import JobsRecord, index_name, stamp, track_record

OPERATOR = "operator"
"""The replica that all tracks share."""


@check("retries", tracks=("retries",), hint="Keep the count of failures in the status, not in memory.")
def check_retries(bundle: Bundle, facts: Facts) -> None:
    """Failed pods are re-created backoffLimit times, also across a restart; then the job fails."""
    story = track_record(
        bundle, "retries", hint="The count must survive a restart: derive it from the status and the pods."
    )
    last = story.mark("last-failure").t
    job = story.job("flaky")
    creates = story.pod_creates("flaky")
    facts["pod_creates"] = len(creates)
    facts["restarts"] = status_field(job.last, "restarts")
    with Findings() as found:
        found.equal("pod creates (2 at first, 2 re-creations):", 4, len(creates))
        found.equal("status.restarts", 2, status_field(job.last, "restarts"))
        late = [event.name for event in creates if event.t > last]
        found.expect(not late, "no pod created after the third failure", f"created {', '.join(late)}")
        for t, state in story.statuses("flaky"):
            if t < last:
                found.expect(
                    not is_true(state, "Failed"),
                    "the job to go on after two failures with backoffLimit 2",
                    "Failed was True already",
                )
        _expect_failed(found, story, "flaky")
        _expect_alike(found, story, "flaky")
        for only in story.all("only-failure"):
            name = str(only.data["job"])
            creates = story.pod_creates(name)
            found.equal(f"{name}: pod creates (backoffLimit 0):", 2, len(creates))
            _expect_failed(found, story, name)
        if _created(story, CROWD):
            # Who sees some of the failures before the others re-creates those pods first.
            _expect_failed(found, story, CROWD)


def _expect_alike(found: Findings, story: JobsRecord, job: str) -> None:
    """A pod in place of a failed one is made as that was."""
    by_name: dict[str, list[ObjectHistory]] = {}
    for life in story.pods(job):
        by_name.setdefault(life.name, []).append(life)
    for name, lives in by_name.items():
        for before, after in pairwise(lives):
            differs = unlike(before, after)
            found.expect(
                not differs,
                f"{name}: made again as it was before it failed",
                f"{name}: {'; '.join(differs[:3])}",
                "Make every pod of an index in the same way, the first one and those after it.",
            )


@check(
    "exit-codes",
    tracks=("exit-codes",),
    hint="Read state.terminated of all initContainerStatuses, then containerStatuses: the first code but 0.",
)
def check_exit_codes(bundle: Bundle, facts: Facts) -> None:
    """ExitCode: 1-127 fail the job at once, 128-255 or no known code are retried; Never never retries."""
    story = track_record(bundle, "exit-codes")
    with Findings() as found:
        for name, why in (("permanent", "exit code 1 is permanent"), ("never", "restartPolicy is Never")):
            found.equal(f"{name}: pod creates ({why}):", 1, len(story.pod_creates(name)))
            _expect_failed(found, story, name)
        retried = story.job("retried").last
        end = story.mark("end").data
        times = int(end.get("retried", 2))
        codes = "137, 128 and no code" if "retried" in end else "137 and no code"
        found.equal(
            f"retried: pod creates ({codes} are retried):", times + 1, len(story.pod_creates("retried"))
        )
        found.equal("retried: status.restarts", times, status_field(retried, "restarts"))
        found.expect(not is_true(retried, "Failed"), "the retried job not Failed", "Failed is True")
        if "retried" in end:
            _expect_of_several(found, story)
    facts["retries"] = len(story.pod_creates("retried")) - 1


def _expect_of_several(found: Findings, story: JobsRecord) -> None:
    """The first non-zero code of all containers decides, and backoffLimit bounds signals, too."""
    for name, why in (
        (BESIDE, "of its containers the first ended with 0, the second with 127"),
        (BEFORE, "its init container ended with 127"),
    ):
        found.equal(f"{name}: pod creates ({why}):", 1, len(story.pod_creates(name)))
        _expect_failed(found, story, name)
    creates = len(story.pod_creates(SIGNALLED))
    found.expect(
        creates <= 2, f"{SIGNALLED}: at most one pod more, for backoffLimit is 1", f"{creates} pod creates"
    )
    _expect_failed(found, story, SIGNALLED)


def _expect_failed(found: Findings, story: JobsRecord, name: str) -> None:
    """A failed job says so, once and for all, with its end, and nothing of it runs on."""
    job = story.job(name).last
    found.expect(is_true(job, "Failed"), f"{name}: Failed True", f"{name}: Failed is not True")
    found.expect(not is_true(job, "Complete"), f"{name}: not Complete", f"{name}: Complete is True as well")
    found.expect(not is_true(job, "Running"), f"{name}: Running False at the end", f"{name}: Running is True")
    found.expect(
        status_field(job, "completionTime"),
        f"{name}: completionTime set on Failed",
        f"{name}: completionTime is empty",
    )
    running = [life.name for life in story.pods(name) if life.gone is None and _is_active(life.last)]
    found.expect(
        not running,
        f"{name}: no pod left running after Failed",
        f"{name}: {', '.join(running)} still ran",
        "Delete active pods when a job fails.",
    )


def _is_active(pod: Object) -> bool:
    return phase(pod) in ("Pending", "Running") and not is_terminating(pod)


@check(
    "pod-loss",
    tracks=("pod-loss",),
    hint="A pod that vanished is re-created, and counts for nothing.",
)
def check_pod_loss(bundle: Bundle, facts: Facts) -> None:
    """A deleted or evicted pod comes back once under its index, and is no failure."""
    story = track_record(bundle, "pod-loss")
    lossy = story.job("lossy").name
    losses = [story.mark("before-loss"), *story.all("before-loss")[1:]]
    with Findings() as found:
        for nth, before in enumerate(losses):
            kind = before.data.get("how") or ("deleted", "evicted")[nth]
            after = story.mark("after-loss", nth)
            victim = before.data["victim"]
            index = index_name(victim, before.data["pods"][victim]["index"])
            back = [
                name for name, pod in after.data["pods"].items() if index_name(name, pod["index"]) == index
            ]
            found.equal(f"pods with index {index} after one was {kind}:", 1, len(back))
            others = {n: p["uid"] for n, p in before.data["pods"].items() if n != victim}
            kept = {n: p["uid"] for n, p in after.data["pods"].items() if n in others}
            found.expect(others == kept, "the other pods untouched", "another pod was replaced too")
        for name in dict.fromkeys((lossy, *(str(before.data["job"]) for before in losses))):
            facts[f"pod_creates {name}"] = _expect_made_good(
                found, story, name, sum(before.data["job"] == name for before in losses)
            )


def _expect_made_good(found: Findings, story: JobsRecord, name: str, lost: int) -> int:
    """Each lost pod was re-created once, and none was a failure; gives the creates."""
    job, creates = story.job(name).last, len(story.pod_creates(name))
    found.equal(f"{name}: pod creates (3 at first, {lost} in place of lost ones):", 3 + lost, creates)
    found.expect(
        not status_field(job, "restarts"),
        f"{name}: lost pods not counted as restarts",
        f"{name}: restarts is {status_field(job, 'restarts')}",
    )
    found.expect(
        not any(is_true(state, "Restarting") for _, state in story.statuses(name)),
        f"{name}: Restarting never True, for nothing failed",
        f"{name}: Restarting was True",
        "Restarting is True from a counted failure on; a pod that was deleted or evicted is none.",
    )
    found.expect(
        not is_true(job, "Failed"),
        f"{name}: the job not Failed",
        f"{name}: Failed is True with backoffLimit 0",
        "A pod that was deleted or evicted is no failure under any restart policy, nor under Never.",
    )
    return creates


@check(
    "deadlines",
    tracks=("deadline", "ttl"),
    hint="Compute what is due from startTime and completionTime at every visit, and come back when it is.",
)
def check_deadlines(bundle: Bundle, facts: Facts) -> None:
    """The limits activeDeadlineSeconds and ttlSecondsAfterFinished hold, poked and restarted or not."""
    late = track_record(bundle, "deadline")
    short = track_record(bundle, "ttl")
    limit = bundle.manifest.deadline_s + _stretched(late) + _stretched(short)
    with Findings() as found:
        if _created(late, UNTOUCHED) and late.all("resume"):
            _expect_overdue(found, late, UNTOUCHED, UNTOUCHED_DEADLINE_S, limit)
        if _created(late, STUCK):
            _expect_overdue(found, late, STUCK, DEADLINE_S, limit)
        if _created(late, IN_TIME):
            _expect_in_time(found, late)
        # What other tracks prepare for the restart may keep an operator busy until then.
        limit_poked = max(0, _back_after(late, "overdue") - DEADLINE_S) + limit
        facts["failed_after_s"] = _expect_overdue(found, late, "overdue", DEADLINE_S, limit_poked)
        _expect_ttl(found, short, limit, facts)
        if _created(short, AT_ONCE):
            _expect_at_once(found, short)
        if _created(short, SPENT):
            _expect_spent(found, short)


def _created(story: JobsRecord, name: str) -> bool:
    """Whether the track has this job; older records lack some."""
    return any(mark.data["job"] == name for mark in story.all("create"))


def _back_after(story: JobsRecord, name: str) -> float:
    """Seconds from the creation of a job to the operator's restart; 0 if there was none."""
    created = next((mark.t for mark in story.all("create") if mark.data["job"] == name), None)
    if created is None:
        return 0.0
    back = [
        each.t
        for each in story.bundle.processes
        if each.event == "started" and replica_of(each.instance) == OPERATOR and each.t > created
    ]
    return round(min(back) - created, 1) if back else 0.0


def _expect_overdue(
    found: Findings, story: JobsRecord, name: str, due_s: float, limit: float
) -> float | None:
    """The job failed within `limit` after its deadline, and nothing of it runs on; gives the seconds."""
    job = story.job(name).last
    failed = conditions(job).get("Failed", {})
    found.equal(f"{name}: reason of Failed", "DeadlineExceeded", failed.get("reason"))
    began, ended = stamp(status_field(job, "startTime")), stamp(failed.get("lastTransitionTime"))
    running = [life.name for life in story.pods(name) if life.gone is None and _is_active(life.last)]
    found.expect(not running, f"{name}: no pod left running", f"{name}: {', '.join(running)} still ran")
    if not found.expect(
        began is not None and ended is not None,
        f"{name}: startTime and lastTransitionTime of Failed as RFC 3339 stamps",
        f"{status_field(job, 'startTime')!r} and {failed.get('lastTransitionTime')!r}",
    ):
        return None
    assert began is not None
    assert ended is not None
    took = ended - began
    # Both stamps are whole seconds, so their difference is short by up to one.
    found.expect(
        due_s - 1 < took <= due_s + limit,
        f"{name}: Failed between {due_s} s and {due_s + limit:g} s after startTime",
        f"{name}: Failed after {took:g} s",
    )
    return took


def _expect_at_once(found: Findings, story: JobsRecord) -> None:
    """A job whose time to live is 0 is removed when it is over, and not before."""
    life = story.job(AT_ONCE)
    done = any(is_true(s.object, "Complete") for s in life.seen)
    found.expect(
        done and life.gone is not None,
        f"{AT_ONCE}: Complete, then removed, for its time to live is 0",
        f"{AT_ONCE}: " + ("Complete, and still there" if done else "removed before it was Complete"),
        "A time to live of 0 is one that is set.",
    )


def _expect_in_time(found: Findings, story: JobsRecord) -> None:
    """A deadline means nothing to a job that was Complete before it."""
    states = [job for _, job in story.statuses(IN_TIME)]
    # Whether it is called Complete at all is the business of completion.
    failed = any(is_true(job, "Complete") for job in states) and is_true(states[-1], "Failed")
    found.expect(
        not failed,
        f"{IN_TIME}: Complete for good, for it ended before its deadline",
        f"{IN_TIME}: Failed was True after it",
        "A job that is over has no deadline any more.",
    )


def _expect_spent(found: Findings, story: JobsRecord) -> None:
    """A time to live is one of failed jobs, too."""
    life = story.job(SPENT)
    failed = any(is_true(s.object, "Failed") for s in life.seen)
    found.expect(
        not failed or life.gone is not None,
        f"{SPENT}: removed after it Failed, for its time to live is 1 s",
        f"{SPENT}: Failed, and still there",
        "completionTime is set with either end, and the time to live counts from it.",
    )


def _stretched(story: JobsRecord) -> float:
    """Seconds by which waits of the track were stretched, because the machine kept the operator waiting."""
    return sum((float(mark.data["by_s"]) for mark in story.all("stretched")), 0.0)


def _expect_ttl(found: Findings, story: JobsRecord, limit: float, facts: Facts) -> None:
    life = next(life for life in story.histories(PLURAL) if life.name == "short-lived")
    done = next((s for s in life.seen if s.type != "DELETED" and is_true(s.object, "Complete")), None)
    if not found.expect(done and life.gone, "short-lived: Complete, then removed", "short-lived: it was not"):
        return
    assert done is not None
    assert life.gone is not None
    facts["removed_after_s"] = round(life.gone - done.t, 2)
    ended = max(mark.t for mark in story.all("end-pod") if str(mark.data["pod"]).startswith("short-lived"))
    # A removal is due by the operator's own stamp, which it may write late, but not set before the pod ended.
    stamped = stamp(status_field(life.last, "completionTime"))
    finished = stamped - float(story.mark("clock").data["wall_start"]) if stamped is not None else ended
    # Stamps are whole seconds.
    found.expect(
        max(ended, finished) + TTL_S - 1 <= life.gone <= done.t + TTL_S + limit + 1,
        f"short-lived: removed between {TTL_S} s and {TTL_S + limit:g} s after it finished",
        f"short-lived: removed {life.gone - max(ended, finished):.1f} s after it",
        "The time to live counts from completionTime, not from creation or start.",
    )
