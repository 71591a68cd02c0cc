"""What the operator tells people and machines: Events and metrics."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from graders.evidence.records import Object
from graders.lab1.api import PLURAL, is_finished, is_true, job_manifest, status_field
from graders.lab1.jobscontext import JobsContext
from graders.lab1.metrics import Page, read_page
from graders.lab1.tracks.lifecycle import wait_finished, wait_replaced
from graders.polling import NotYet

_TALKING = 4
"""Pods of the job with Events; when as many fail one after the other, a visit finds more than one."""


def events(context: JobsContext) -> None:
    """One job through every transition but Failed; after each, its Events are awaited."""
    namespace, name = context.namespace(), "talks"

    def start() -> int:
        policy = {"backoffLimit": 2 * _TALKING}
        context.create(job_manifest(namespace, name, nodes=_TALKING, run_policy=policy))
        context.wait_pods(namespace, name, _TALKING)
        return 2

    def fail() -> int:
        """All pods, for one Event does not tell of several restarts that are found together."""
        failing = context.pods(namespace, name)
        for victim in failing:
            context.end_pod(namespace, victim, "137")
        for pod in failing.values():
            wait_replaced(context, namespace, name, pod["metadata"]["uid"], _TALKING)
        # Whether they are counted one by one is the business of retries.
        counted = status_field(context.standing_job(namespace, name), "restarts")
        return min(max(counted, 1), _TALKING) if isinstance(counted, int) else 1

    def no_pods() -> None:
        if pods := context.pod_names(namespace, name):
            raise NotYet(f"pods: {', '.join(pods)}")

    def suspend() -> int:
        context.change(namespace, name, {"spec": {"runPolicy": {"suspend": True}}}, "suspend")
        # An operator that does not suspend has nothing to tell here, and loses by the suspend track.
        return int(context.reached("no pods while suspended", no_pods))

    def resume() -> int:
        suspended = not context.pod_names(namespace, name)
        context.change(namespace, name, {"spec": {"runPolicy": {"suspend": False}}}, "resume")
        context.wait_pods(namespace, name, _TALKING)
        return int(suspended)

    def complete() -> int:
        for pod in context.pod_names(namespace, name):
            context.end_pod(namespace, pod, "0")
        wait_finished(context, namespace, name)
        return 1

    _tell(
        context,
        name,
        [
            ("created and running", start),
            ("restarted, all pods at once", fail),
            ("suspended", suspend),
            ("resumed", resume),
            ("complete", complete),
        ],
    )


def events_of_failure(context: JobsContext) -> None:
    """One job into Failed, its Events awaited."""
    namespace, name = context.namespace(), "doomed"

    def start() -> int:
        context.create(job_manifest(namespace, name, nodes=1, run_policy={"backoffLimit": 0}))
        context.wait_pods(namespace, name, 1)
        return 2

    def fail() -> int:
        context.end_pod(namespace, context.pod(namespace, name)[0], "1")
        wait_finished(context, namespace, name)
        return 1

    _tell(context, name, [("created and running", start), ("failed", fail)])


def _tell(context: JobsContext, job: str, steps: list[tuple[str, Callable[[], int]]]) -> None:
    """Take each step, which gives how many transitions the job made, and wait for as many more Events."""
    namespace = context.namespace()
    for transition, act in steps:
        before = count_events(context, namespace, job)
        wanted = act()
        if not wanted:
            continue
        context.mark("transition", namespace=namespace, job=job, transition=transition, wanted=wanted)
        context.wait(
            f"{wanted} Event(s) about {job} being {transition}",
            lambda job=job, need=before + wanted: _at_least(context, namespace, job, need),  # type: ignore[misc]
        )
        context.settle(namespace)
    context.mark("end", namespace=namespace)


def count_events(context: JobsContext, namespace: str, job: str) -> int:
    """How many Events stand for the job now; an Event's `count` stands for as many."""
    found = context.env.watches.objects("events", namespace).values()
    return sum(occurrences(event) for event in found if about(event, job))


def about(event: Mapping[str, Any], job: str) -> bool:
    """Whether an Event is about the job of this name."""
    target = event.get("involvedObject") or {}
    return target.get("kind") == "MLTrainingJob" and target.get("name") == job


def occurrences(event: Mapping[str, Any]) -> int:
    """How often an Event happened, by either API's field."""
    series = event.get("series") or {}
    return int(series.get("count") or event.get("count") or 1)


def metrics(context: JobsContext) -> None:
    """Five jobs before the restart of the operator, one after it, and the metrics page beside them."""
    namespace = context.namespace()
    context.create(job_manifest(namespace, "counted", nodes=2))
    context.create(job_manifest(namespace, "doomed", nodes=1, run_policy={"backoffLimit": 0}))
    context.create(job_manifest(namespace, "paused", run_policy={"suspend": True}))
    context.create(job_manifest(namespace, "overdue", nodes=1, run_policy={"activeDeadlineSeconds": 1}))
    context.wait_pods(namespace, "counted", 2)
    context.wait_pods(namespace, "doomed", 1)
    context.settle(namespace)
    victim, uid = context.pod(namespace, "counted")
    context.end_pod(namespace, victim, "1")
    wait_replaced(context, namespace, "counted", uid, 2)
    context.settle(namespace)
    for pod in context.pod_names(namespace, "counted"):
        context.end_pod(namespace, pod, "0")
    context.end_pod(namespace, context.pod(namespace, "doomed")[0], "1")
    for job in ("counted", "doomed"):
        wait_finished(context, namespace, job)
    context.create(job_manifest(namespace, "outlives", nodes=1))
    context.wait_running(namespace, "outlives", 1)
    victim, uid = context.pod(namespace, "outlives")
    context.delete_pod(namespace, victim)
    wait_replaced(context, namespace, "outlives", uid, 1)
    # Whether a deadline ends a job is the business of another track.
    context.noticed(namespace, "overdue", "Failed", is_finished)
    context.settle(namespace)
    _wait_gauge(context)
    context.mark("read", namespace=namespace, active=active_jobs(context.env.watches.everything(PLURAL))[1])
    context.through_restart(
        before=lambda: _last_reading(context, namespace),
        after=lambda: _wait_gauge(context),
    )
    context.create(job_manifest(namespace, "late", nodes=1))
    context.wait_pods(namespace, "late", 1)
    context.wait_job(namespace, "late", "Running is True", lambda job: is_true(job, "Running"))
    for job in ("late", "outlives"):
        context.end_pod(namespace, context.pod(namespace, job)[0], "0")
    for job in ("late", "outlives"):
        wait_finished(context, namespace, job)
    context.settle(namespace)
    context.env.operator.scrape()
    context.mark("end", namespace=namespace)


def _last_reading(context: JobsContext, namespace: str) -> None:
    """What the dying process counted; nothing in this namespace moves any more."""
    context.env.operator.scrape()
    context.mark("last-reading", namespace=namespace)


def active_jobs(jobs: Iterable[Object]) -> tuple[int, int]:
    """How many are neither Complete nor Failed, at least and at most: one being deleted may count or not."""
    unfinished = [job for job in jobs if not is_finished(job)]
    return sum(not job["metadata"].get("deletionTimestamp") for job in unfinished), len(unfinished)


def _wait_gauge(context: JobsContext) -> None:
    """Wait until the gauge tells the number of unfinished jobs, on one page; other tracks may go on."""

    def probe() -> None:
        scrape = context.env.operator.scrape()
        if not scrape.ok:
            raise NotYet(f"the metrics page cannot be read: {scrape.error}")
        page = read_page(scrape.text)
        if isinstance(page, str):
            raise NotYet(f"the metrics page cannot be parsed: {page}")
        told, (least, true) = gauge(page), active_jobs(context.env.watches.everything(PLURAL))
        if not least <= told <= true:
            raise NotYet(
                f"mltrainingjob_jobs_active is {told:g}, and {true} jobs are neither Complete nor Failed"
                + (f", {true - least} of which are being deleted" if true > least else "")
            )
        context.mark("gauge", told=told, true=true, instance=scrape.instance)

    context.wait("mltrainingjob_jobs_active to tell the number of unfinished jobs", probe)


def gauge(page: Page) -> float:
    """The gauge of active jobs over all its series."""
    return page.total("mltrainingjob_jobs_active")


def _at_least(context: JobsContext, namespace: str, job: str, need: int) -> None:
    have = count_events(context, namespace, job)
    if have < need:
        raise NotYet(f"{have} Events about {job} so far, {need} wanted")
