"""What the operator tells people and machines: Events and metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from graders.lab1.api import PLURAL, is_finished, is_true, job_manifest
from graders.lab1.metrics import Page, read_page
from graders.lab1.stage import Stage
from graders.lab1.tracks.lifecycle import wait_finished, wait_replaced
from graders.polling import NotYet


def events(stage: Stage) -> None:
    """One job through every transition but Failed; after each, its Events are awaited."""
    namespace, name = stage.namespace(), "talks"

    def start() -> bool:
        stage.create(job_manifest(namespace, name, nodes=2))
        stage.wait_pods(namespace, name, 2)
        return True

    def fail() -> bool:
        pods = stage.pods(namespace, name)
        victim = sorted(pods)[0]
        stage.end_pod(namespace, victim, "137")
        wait_replaced(stage, namespace, name, pods[victim]["metadata"]["uid"], 2)
        return True

    def no_pods() -> None:
        if pods := stage.pod_names(namespace, name):
            raise NotYet(f"pods: {', '.join(pods)}")

    def suspend() -> bool:
        stage.change(namespace, name, {"spec": {"runPolicy": {"suspend": True}}}, "suspend")
        # An operator that does not suspend has nothing to tell here, and loses by the suspend track.
        return stage.reached("no pods while suspended", no_pods)

    def resume() -> bool:
        suspended = not stage.pod_names(namespace, name)
        stage.change(namespace, name, {"spec": {"runPolicy": {"suspend": False}}}, "resume")
        stage.wait_pods(namespace, name, 2)
        return suspended

    def complete() -> bool:
        for pod in stage.pod_names(namespace, name):
            stage.end_pod(namespace, pod, "0")
        wait_finished(stage, namespace, name)
        return True

    _tell(
        stage,
        name,
        [
            ("created and running", 2, start),
            ("restarted", 1, fail),
            ("suspended", 1, suspend),
            ("resumed", 1, resume),
            ("complete", 1, complete),
        ],
    )


def events_of_failure(stage: Stage) -> None:
    """One job into Failed, its Events awaited."""
    namespace, name = stage.namespace(), "doomed"

    def start() -> bool:
        stage.create(job_manifest(namespace, name, nodes=1, run_policy={"backoffLimit": 0}))
        stage.wait_pods(namespace, name, 1)
        return True

    def fail() -> bool:
        stage.end_pod(namespace, stage.pod_names(namespace, name)[0], "1")
        wait_finished(stage, namespace, name)
        return True

    _tell(stage, name, [("created and running", 2, start), ("failed", 1, fail)])


def _tell(stage: Stage, job: str, steps: list[tuple[str, int, Callable[[], bool]]]) -> None:
    """Take each step and, if the job made that transition, wait for the Events it should bring."""
    namespace = stage.namespace()
    for transition, wanted, act in steps:
        before = count_events(stage, namespace, job)
        if not act():
            continue
        stage.mark("transition", namespace=namespace, job=job, transition=transition, wanted=wanted)
        stage.wait(
            f"{wanted} Event(s) about {job} being {transition}",
            lambda job=job, need=before + wanted: _at_least(stage, namespace, job, need),  # type: ignore[misc]
        )
        stage.settle(namespace)
    stage.mark("end", namespace=namespace)


def count_events(stage: Stage, namespace: str, job: str) -> int:
    """How many Events stand for the job now; an Event's `count` stands for as many."""
    found = stage.world.watches.objects("events", namespace).values()
    return sum(occurrences(event) for event in found if about(event, job))


def about(event: Mapping[str, Any], job: str) -> bool:
    """Whether an Event is about the job of this name."""
    target = event.get("involvedObject") or {}
    return target.get("kind") == "MLTrainingJob" and target.get("name") == job


def occurrences(event: Mapping[str, Any]) -> int:
    """How often an Event happened, by either API's field."""
    series = event.get("series") or {}
    return int(series.get("count") or event.get("count") or 1)


def metrics(stage: Stage) -> None:
    """Two jobs before the restart of the operator, one after it, and the metrics page beside them."""
    namespace = stage.namespace()
    stage.create(job_manifest(namespace, "counted", nodes=2))
    stage.create(job_manifest(namespace, "doomed", nodes=1, run_policy={"backoffLimit": 0}))
    stage.wait_pods(namespace, "counted", 2)
    stage.wait_pods(namespace, "doomed", 1)
    stage.settle(namespace)
    pods = stage.pods(namespace, "counted")
    victim = sorted(pods)[0]
    stage.end_pod(namespace, victim, "1")
    wait_replaced(stage, namespace, "counted", pods[victim]["metadata"]["uid"], 2)
    stage.settle(namespace)
    for pod in stage.pod_names(namespace, "counted"):
        stage.end_pod(namespace, pod, "0")
    stage.end_pod(namespace, stage.pod_names(namespace, "doomed")[0], "1")
    for job in ("counted", "doomed"):
        wait_finished(stage, namespace, job)
    stage.create(job_manifest(namespace, "outlives", nodes=1))
    stage.wait_pods(namespace, "outlives", 1)
    stage.settle(namespace)
    _wait_gauge(stage)
    stage.mark("read", namespace=namespace, active=_active(stage))
    stage.through_restart(
        before=lambda: _last_reading(stage, namespace),
        after=lambda: _wait_gauge(stage),
    )
    stage.create(job_manifest(namespace, "late", nodes=1))
    stage.wait_pods(namespace, "late", 1)
    stage.wait_job(namespace, "late", "Running is True", lambda job: is_true(job, "Running"))
    for job in ("late", "outlives"):
        stage.end_pod(namespace, stage.pod_names(namespace, job)[0], "0")
    for job in ("late", "outlives"):
        wait_finished(stage, namespace, job)
    stage.settle(namespace)
    stage.world.operator.scrape()
    stage.mark("end", namespace=namespace)


def _last_reading(stage: Stage, namespace: str) -> None:
    """What the dying process counted; nothing in this namespace moves any more."""
    stage.world.operator.scrape()
    stage.mark("last-reading", namespace=namespace)


def _active(stage: Stage) -> int:
    return sum(not is_finished(job) for job in stage.world.watches.everything(PLURAL))


def _wait_gauge(stage: Stage) -> None:
    """Wait until the gauge tells the number of unfinished jobs, on one page; other tracks may go on."""

    def probe() -> None:
        scrape = stage.world.operator.scrape()
        if not scrape.ok:
            raise NotYet(f"the metrics page cannot be read: {scrape.error}")
        page = read_page(scrape.text)
        if isinstance(page, str):
            raise NotYet(f"the metrics page cannot be parsed: {page}")
        told, true = gauge(page), _active(stage)
        if told != true:
            raise NotYet(f"mltrainingjob_jobs_active is {told:g}, and {true} jobs are unfinished")
        stage.mark("gauge", told=told, true=true, instance=scrape.instance)

    stage.wait("mltrainingjob_jobs_active to tell the number of unfinished jobs", probe)


def gauge(page: Page) -> float:
    """The gauge of active jobs over all its series."""
    return page.total("mltrainingjob_jobs_active")


def _at_least(stage: Stage, namespace: str, job: str, need: int) -> None:
    have = count_events(stage, namespace, job)
    if have < need:
        raise NotYet(f"{have} Events about {job} so far, {need} wanted")
