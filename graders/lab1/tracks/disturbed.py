"""Disturbances between the operator and its API server: conflicts, old news, lost news, news told twice."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from graders.faultproxy import Asked, HeldFrames, LateFrames, Match, Meanwhile
from graders.kube.client import ApiRefused
from graders.kube.paths import resource_path
from graders.lab1.api import (
    PLURAL,
    controller_uid,
    is_true,
    job_manifest,
    jobs_path,
    phase,
    pods_path,
    status_field,
)
from graders.lab1.names import FOREIGN_CONDITION, FOREIGN_FINALIZER, FOREIGN_LABEL
from graders.lab1.stage import Stage
from graders.lab1.tracks.failures import poked
from graders.lab1.tracks.lifecycle import snapshot, wait_replaced
from graders.polling import NotYet
from graders.scenario.deadlines import LearnerClock

LATE_S = 5.0
"""How much later than it happens the operator hears of a pod, in seconds that it has for itself.

On a machine that has no time for it, five others would be over before it has done anything.
"""


def conflicts(stage: Stage) -> None:
    """Between the operator's read and its write somebody else writes: three times, three things.

    A write that says what it was decided on meets a conflict; any other is carried out as it is.
    """
    namespace, name = stage.namespace(), "contested"

    def label(asked: Asked, body: bytes) -> None:
        del asked, body
        stage.kube.patch(jobs_path(namespace, name), {"metadata": {"labels": {FOREIGN_LABEL: "yes"}}})

    def finalizer(asked: Asked, body: bytes) -> None:
        del asked, body
        _append(stage, namespace, name, "finalizers", FOREIGN_FINALIZER)

    def condition(asked: Asked, body: bytes) -> None:
        del asked, body
        _add_condition(stage, namespace, name)

    with _contested(stage, "a foreign label", label):
        stage.create(job_manifest(namespace, name, nodes=2))
        stage.wait_pods(namespace, name, 2)
        _wait_true(stage, namespace, name, "Running")
    stage.settle(namespace)
    with _contested(stage, "a foreign status condition", condition, carrying=b"conditions"):
        victim = stage.pod_names(namespace, name)[0]
        uid = stage.pods(namespace, name)[victim]["metadata"]["uid"]
        stage.end_pod(namespace, victim, "137")
        wait_replaced(stage, namespace, name, uid, 2)
        stage.wait_job(
            namespace,
            name,
            "Running is True, restarts is 1",
            lambda job: is_true(job, "Running") and status_field(job, "restarts") == 1,
        )
    stage.settle(namespace)
    with _contested(stage, "a foreign finalizer", finalizer):
        for pod in stage.pod_names(namespace, name):
            stage.end_pod(namespace, pod, "0")
        _wait_true(stage, namespace, name, "Complete")
    stage.settle(namespace)
    stage.mark("end", namespace=namespace)


def stale_cache(stage: Stage) -> None:
    """The same losses twice: in one namespace the operator hears of its pods five seconds late."""
    late, calm = stage.namespace(), stage.namespace("calm")
    name = "behind"
    for namespace in (late, calm):
        stage.create(job_manifest(namespace, name, nodes=3))
    for namespace in (late, calm):
        stage.wait_running(namespace, name, 3)
    with stage.watch_turn():
        stage.settle(late, calm)
        stage.mark("late", namespace=late)
        clock = LearnerClock(stage.world)
        meant = Match(resources=frozenset({"pods"}), namespaces=frozenset({late}))
        rule = LateFrames("stale-cache", meant, LATE_S, clock.now)
        with poked(stage, late, name), poked(stage, calm, name), stage.world.proxy.disturb(rule):
            for namespace in (late, calm):
                failing, deleted, _ = stage.pod_names(namespace, name)
                stage.end_pod(namespace, failing, "137")
                stage.delete_pod(namespace, deleted)
            for namespace in (calm, late):
                _wait_recovered(stage, namespace, name, within_s=stage.deadline_s + 2 * LATE_S)
            # What the operator did last it hears of last; only then has it had the occasion to do it again.
            heard = clock.now() + 1.5 * LATE_S

            def had_occasion() -> None:
                if clock.now() < heard:
                    raise NotYet("old news is still on its way")

            stage.wait("the operator to hear of its own writes", had_occasion, timeout_s=2 * LATE_S)
    for namespace in (calm, late):
        _wait_recovered(stage, namespace, name, within_s=stage.deadline_s)
    stage.settle(late, calm)
    stage.mark("end", late=snapshot(stage, late, name), calm=snapshot(stage, calm, name))


def new_uid(stage: Stage) -> None:
    """A job that had a failure is replaced by one of its name, while the operator hears nothing."""
    namespace, name = stage.namespace(), "phoenix"
    manifest = job_manifest(namespace, name, nodes=2, run_policy={"backoffLimit": 3})
    stage.create(manifest)
    stage.wait_running(namespace, name, 2)
    _fail_one(stage, namespace, name)
    stage.settle(namespace)
    held = {"pods", "services"}
    if not stage.the_job(namespace, name)["metadata"].get("finalizers"):
        # An operator with a finalizer has to hear of the deletion, or the old job would never go.
        held.add(PLURAL)
    with stage.watch_turn():
        rule = HeldFrames("new-uid", Match(resources=frozenset(held), namespaces=frozenset({namespace})))
        with stage.world.proxy.disturb(rule):
            stage.delete_job(namespace, name)

            def gone() -> None:
                # A Service that nobody owns stays: that is no business of this track.
                services = stage.world.watches.objects("services", namespace)
                left = [
                    *stage.world.watches.objects("pods", namespace),
                    *(each for each, found in services.items() if controller_uid(found)),
                ]
                if left or stage.job(namespace, name) is not None:
                    raise NotYet("still there: " + (", ".join(sorted(left)) or f"the job {name}"))

            stage.wait("the old job and its children to go", gone)
            stage.create(manifest)
            stage.wait("the new job to be seen", lambda: stage.the_job(namespace, name))
            rule.let_go("none")
            stage.world.proxy.expire("new-uid", rule.match)
        stage.mark("new", uid=stage.the_job(namespace, name)["metadata"]["uid"])
        stage.wait_pods(namespace, name, 2)
    stage.settle(namespace)
    _fail_one(stage, namespace, name)
    stage.settle(namespace)
    stage.mark("end", **snapshot(stage, namespace, name))


def replay(stage: Stage) -> None:
    """Everything is told twice, then every watch ends with 410 Gone; nothing of it is news."""
    namespace = stage.namespace()
    stage.create(job_manifest(namespace, "runs", nodes=2))
    stage.create(job_manifest(namespace, "rests", nodes=1, run_policy={"suspend": True}))
    stage.create(job_manifest(namespace, "done", nodes=1))
    stage.wait_running(namespace, "runs", 2)
    stage.wait_pods(namespace, "done", 1)
    stage.end_pod(namespace, stage.pod_names(namespace, "done")[0], "0")
    _wait_true(stage, namespace, "done", "Complete")
    _wait_true(stage, namespace, "runs", "Running")
    # Whether it may have pods is no business of this track.
    stage.wait("the job rests to be seen", lambda: stage.the_job(namespace, "rests"))
    meant = Match(resources=frozenset({PLURAL, "pods", "services"}), namespaces=frozenset({namespace}))
    with stage.watch_turn():
        stage.settle(namespace)
        _have_news(stage, namespace, meant)
        stage.settle(namespace)
        watches = stage.world.proxy.open_watches(meant)
        frames = stage.world.proxy.replay("replay", meant)
        stage.mark("replayed", namespace=namespace, frames=frames, watches=watches)
        stage.settle(namespace)
        _expire_and_wait(stage, "replay", meant)
        stage.mark("expired", namespace=namespace)
        # An operator that is slow to list again gets its time; one that rests is done at once.
        stage.settle(namespace)
        stage.settle(namespace)
    stage.mark("end", namespace=namespace)


def missed_events(stage: Stage) -> None:
    """A pod fails and vanishes while the pod stream is cut; the next list lacks it."""
    namespace, name = stage.namespace(), "unheard"
    stage.create(job_manifest(namespace, name, nodes=3))
    stage.wait_running(namespace, name, 3)
    stage.settle(namespace)
    with stage.watch_turn():
        rule = HeldFrames(
            "missed-events", Match(resources=frozenset({"pods"}), namespaces=frozenset({namespace}))
        )
        with stage.world.proxy.disturb(rule):
            victim = stage.pod_names(namespace, name)[1]
            uid = stage.pods(namespace, name)[victim]["metadata"]["uid"]
            stage.end_pod(namespace, victim, "137")

            def failed() -> None:
                found = stage.world.watches.objects("pods", namespace).get(victim)
                if found is not None and found["metadata"]["uid"] == uid and phase(found) != "Failed":
                    raise NotYet(f"{victim} is {phase(found)}")

            stage.wait(f"{victim} to fail", failed)
            with contextlib.suppress(ApiRefused):
                # Precisely this one: an operator that asks the API server may have replaced it already.
                stage.kube.delete(
                    pods_path(namespace, victim), body={"preconditions": {"uid": uid}}, gracePeriodSeconds=0
                )

            def vanished() -> None:
                found = stage.world.watches.objects("pods", namespace).get(victim)
                if found is not None and found["metadata"]["uid"] == uid:
                    raise NotYet(f"{victim} is still there")

            stage.wait(f"{victim} to vanish", vanished)
            stage.mark("vanished", namespace=namespace, pod=victim, uid=uid)
            rule.let_go("none")
            _expire_and_wait(stage, "missed-events", rule.match)
        wait_replaced(stage, namespace, name, uid, 3)
    stage.settle(namespace)
    stage.mark("end", **snapshot(stage, namespace, name))


def _have_news(stage: Stage, namespace: str, meant: Match) -> None:
    """Touch every object that is meant, and wait until each watch has told of one.

    A watch that is new has told nothing yet that could be told again.
    """
    stage.mark("touched", namespace=namespace)
    touch = {"metadata": {"annotations": {"kubeproof.dev/touched": "yes"}}}
    paths = {
        PLURAL: jobs_path(namespace),
        "pods": pods_path(namespace),
        "services": resource_path("v1", "services", namespace=namespace),
    }
    for resource, path in paths.items():
        for name in sorted(stage.world.watches.objects(resource, namespace)):
            with contextlib.suppress(ApiRefused):  # one that is gone is no news to repeat
                stage.kube.patch(f"{path}/{name}", touch)

    def told() -> None:
        silent = stage.world.proxy.silent(meant)
        if silent:
            raise NotYet(f"{silent} watches have told nothing yet")

    # One that selects other objects never tells of these, and has nothing to repeat either.
    stage.reached("every watch to tell of a touched object", told)


@contextlib.contextmanager
def _contested(
    stage: Stage, what: str, act: Callable[[Asked, bytes], None], *, carrying: bytes = b""
) -> Iterator[None]:
    """The operator's first write to a job in the block is held, `act` writes, and then it goes on.

    With `carrying` it is the first one that has this in its body.
    """
    rule = Meanwhile(
        f"conflicts: {what}",
        Match(
            verbs=frozenset({"update", "patch"}),
            resources=frozenset({PLURAL}),
            namespaces=frozenset({stage.namespace()}),
        ),
        act,
        carrying=carrying,
    )
    with stage.world.proxy.disturb(rule):
        yield
    stage.mark("contested", what=what, applied=rule.applied)
    if isinstance(rule.error, ApiRefused):
        stage.miss(f"the API server to accept {what} on the job", rule.error.answer.message)
    if rule.error is not None:
        raise rule.error


def _append(stage: Stage, namespace: str, name: str, field: str, value: str) -> None:
    path = jobs_path(namespace, name)
    present = stage.kube.get(path)["metadata"].get(field) or []
    stage.kube.patch(path, {"metadata": {field: [*present, value]}})


def _add_condition(stage: Stage, namespace: str, name: str) -> None:
    job = stage.kube.get(jobs_path(namespace, name))
    present = status_field(job, "conditions")
    foreign = {
        "type": FOREIGN_CONDITION,
        "status": "True",
        "reason": "Reviewed",
        "message": "an auditor was here",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    kept = present if isinstance(present, list) else []
    stage.kube.patch(jobs_path(namespace, name, "status"), {"status": {"conditions": [*kept, foreign]}})


def _fail_one(stage: Stage, namespace: str, name: str) -> None:
    victim = stage.pod_names(namespace, name)[0]
    uid = stage.pods(namespace, name)[victim]["metadata"]["uid"]
    stage.end_pod(namespace, victim, "137")
    wait_replaced(stage, namespace, name, uid, 2)
    stage.wait_job(namespace, name, "status.restarts is 1", lambda job: status_field(job, "restarts") == 1)


def _wait_recovered(stage: Stage, namespace: str, name: str, *, within_s: float) -> None:
    def probe() -> None:
        pods = stage.pods(namespace, name)
        states = ", ".join(f"{pod} {phase(found)}" for pod, found in sorted(pods.items())) or "none"
        restarts = status_field(stage.the_job(namespace, name), "restarts")
        if len(pods) != 3 or any(phase(pod) != "Running" for pod in pods.values()) or restarts != 1:
            raise NotYet(f"pods: {states}; restarts: {restarts}")

    stage.wait(f"3 pods of {name} Running and restarts 1", probe, timeout_s=within_s)


def _wait_true(stage: Stage, namespace: str, name: str, condition: str) -> None:
    stage.wait_job(namespace, name, f"{condition} is True", lambda job: is_true(job, condition))


def _expire_and_wait(stage: Stage, rule: str, meant: Match) -> None:
    """End the watches, and wait until as many are open again: before that, rest is no answer."""
    ended = stage.world.proxy.expire(rule, meant)

    def open_again() -> None:
        now = stage.world.proxy.open_watches(meant)
        if now < ended:
            raise NotYet(f"{now} of {ended} watches are open again")

    # One that never watches again has lost nothing yet; what it misses is seen in what follows.
    stage.reached("the operator to watch again", open_again)
