"""Disturbances between the operator and its API server: conflicts, old news, lost news, news told twice."""

import contextlib
from collections.abc import Callable, Iterator

from graders.faultproxy import DelayWatchEvents, HoldWatchEvents, InterleavedWrite, Match, RequestInfo
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
from graders.lab1.jobscontext import JobsContext
from graders.lab1.names import FOREIGN_CONDITION, FOREIGN_FINALIZER, FOREIGN_LABEL
from graders.lab1.tracks.failures import poked
from graders.lab1.tracks.lifecycle import snapshot, wait_replaced
from graders.polling import NotYet
from graders.scenario.deadlines import LearnerClock

LATE_S = 5.0
"""How much later than it happens the operator hears of a pod, in seconds that it has for itself.

On a machine that has no time for it, five others would be over before it has done anything.
"""


def conflicts(context: JobsContext) -> None:
    """Between the operator's read and its write somebody else writes: three times, three things.

    A write that says what it was decided on meets a conflict; any other is carried out as it is.
    """
    namespace, name = context.namespace(), "contested"

    def label(asked: RequestInfo, body: bytes) -> None:
        del asked, body
        context.kube.patch(jobs_path(namespace, name), {"metadata": {"labels": {FOREIGN_LABEL: "yes"}}})

    def finalizer(asked: RequestInfo, body: bytes) -> None:
        del asked, body
        _append(context, namespace, name, "finalizers", FOREIGN_FINALIZER)

    def condition(asked: RequestInfo, body: bytes) -> None:
        del asked, body
        _add_condition(context, namespace, name)

    with _contested(context, "a foreign label", label):
        context.create(job_manifest(namespace, name, nodes=2))
        context.wait_pods(namespace, name, 2)
        _wait_true(context, namespace, name, "Running")
    context.settle(namespace)
    with _contested(context, "a foreign status condition", condition, carrying=b"conditions"):
        victim, uid = context.pod(namespace, name)
        context.end_pod(namespace, victim, "137")
        wait_replaced(context, namespace, name, uid, 2)
        context.wait_job(
            namespace,
            name,
            "Running is True, restarts is 1",
            lambda job: is_true(job, "Running") and status_field(job, "restarts") == 1,
        )
    context.settle(namespace)
    with _contested(context, "a foreign finalizer", finalizer):
        for pod in context.pod_names(namespace, name):
            context.end_pod(namespace, pod, "0")
        _wait_true(context, namespace, name, "Complete")
    context.settle(namespace)
    context.mark("end", namespace=namespace)


def stale_cache(context: JobsContext) -> None:
    """The same losses twice: in one namespace the operator hears of its pods five seconds late."""
    late, calm = context.namespace(), context.namespace("calm")
    name = "behind"
    for namespace in (late, calm):
        context.create(job_manifest(namespace, name, nodes=3))
    for namespace in (late, calm):
        context.wait_running(namespace, name, 3)
    with context.watch_turn():
        context.settle(late, calm)
        context.mark("late", namespace=late)
        clock = LearnerClock(context.env)
        meant = Match(resources=frozenset({"pods"}), namespaces=frozenset({late}))
        rule = DelayWatchEvents("stale-cache", meant, LATE_S, clock.now)
        with poked(context, late, name), poked(context, calm, name), context.env.proxy.disturb(rule):
            for namespace in (late, calm):
                failing, deleted, _ = context.pod_names(namespace, name)
                context.end_pod(namespace, failing, "137")
                context.delete_pod(namespace, deleted)
            for namespace in (calm, late):
                _wait_recovered(context, namespace, name, within_s=context.deadline_s + 2 * LATE_S)
            # What the operator did last it hears of last; only then has it had the occasion to do it again.
            heard = clock.now() + 1.5 * LATE_S

            def had_occasion() -> None:
                if clock.now() < heard:
                    raise NotYet("old news is still on its way")

            context.wait("the operator to hear of its own writes", had_occasion, timeout_s=2 * LATE_S)
    for namespace in (calm, late):
        _wait_recovered(context, namespace, name, within_s=context.deadline_s)
    context.settle(late, calm)
    context.mark("end", late=snapshot(context, late, name), calm=snapshot(context, calm, name))


def new_uid(context: JobsContext) -> None:
    """A job that had a failure is replaced by one of its name, while the operator hears nothing."""
    namespace, name = context.namespace(), "phoenix"
    manifest = job_manifest(namespace, name, nodes=2, run_policy={"backoffLimit": 3})
    context.create(manifest)
    context.wait_running(namespace, name, 2)
    _fail_one(context, namespace, name)
    context.settle(namespace)
    held = {"pods", "services"}
    if not context.standing_job(namespace, name)["metadata"].get("finalizers"):
        # An operator with a finalizer has to hear of the deletion, or the old job would never go.
        held.add(PLURAL)
    with context.watch_turn():
        rule = HoldWatchEvents("new-uid", Match(resources=frozenset(held), namespaces=frozenset({namespace})))
        with context.env.proxy.disturb(rule):
            context.delete_job(namespace, name)

            def gone() -> None:
                # A Service that nobody owns stays: that is no business of this track.
                services = context.env.watches.objects("services", namespace)
                left = [
                    *context.env.watches.objects("pods", namespace),
                    *(each for each, found in services.items() if controller_uid(found)),
                ]
                if left or context.job(namespace, name) is not None:
                    raise NotYet("still there: " + (", ".join(sorted(left)) or f"the job {name}"))

            context.wait("the old job and its children to go", gone)
            context.create(manifest)
            context.wait("the new job to be seen", lambda: context.the_job(namespace, name))
            rule.let_go("none")
            context.env.proxy.expire("new-uid", rule.match)
        context.mark("new", uid=context.standing_job(namespace, name)["metadata"]["uid"])
        context.wait_pods(namespace, name, 2)
    context.settle(namespace)
    _fail_one(context, namespace, name)
    context.settle(namespace)
    context.mark("end", **snapshot(context, namespace, name))


def replay(context: JobsContext) -> None:
    """Everything is told twice, then every watch ends with 410 Gone; nothing of it is news."""
    namespace = context.namespace()
    context.create(job_manifest(namespace, "runs", nodes=2))
    context.create(job_manifest(namespace, "rests", nodes=1, run_policy={"suspend": True}))
    context.create(job_manifest(namespace, "done", nodes=1))
    context.wait_running(namespace, "runs", 2)
    context.wait_pods(namespace, "done", 1)
    context.end_pod(namespace, context.pod(namespace, "done")[0], "0")
    _wait_true(context, namespace, "done", "Complete")
    _wait_true(context, namespace, "runs", "Running")
    # Whether it may have pods is no business of this track.
    context.wait("the job rests to be seen", lambda: context.the_job(namespace, "rests"))
    meant = Match(resources=frozenset({PLURAL, "pods", "services"}), namespaces=frozenset({namespace}))
    with context.watch_turn():
        context.settle(namespace)
        _have_news(context, namespace, meant)
        context.settle(namespace)
        watches = context.env.proxy.open_watches(meant)
        frames = context.env.proxy.replay("replay", meant)
        context.mark("replayed", namespace=namespace, frames=frames, watches=watches)
        context.settle(namespace)
        _expire_and_wait(context, "replay", meant)
        context.mark("expired", namespace=namespace)
        # An operator that is slow to list again gets its time; one that rests is done at once.
        context.settle(namespace)
        context.settle(namespace)
    context.mark("end", namespace=namespace)


def missed_events(context: JobsContext) -> None:
    """A pod fails and vanishes while the pod stream is cut; the next list lacks it."""
    namespace, name = context.namespace(), "unheard"
    context.create(job_manifest(namespace, name, nodes=3))
    context.wait_running(namespace, name, 3)
    context.settle(namespace)
    with context.watch_turn():
        rule = HoldWatchEvents(
            "missed-events", Match(resources=frozenset({"pods"}), namespaces=frozenset({namespace}))
        )
        with context.env.proxy.disturb(rule):
            victim, uid = context.pod(namespace, name, 1)
            context.end_pod(namespace, victim, "137")

            def failed() -> None:
                found = context.env.watches.objects("pods", namespace).get(victim)
                if found is not None and found["metadata"]["uid"] == uid and phase(found) != "Failed":
                    raise NotYet(f"{victim} is {phase(found)}")

            context.wait(f"{victim} to fail", failed)
            with contextlib.suppress(ApiRefused):
                # Precisely this one: an operator that asks the API server may have replaced it already.
                context.kube.delete(
                    pods_path(namespace, victim), body={"preconditions": {"uid": uid}}, gracePeriodSeconds=0
                )

            def vanished() -> None:
                found = context.env.watches.objects("pods", namespace).get(victim)
                if found is not None and found["metadata"]["uid"] == uid:
                    raise NotYet(f"{victim} is still there")

            context.wait(f"{victim} to vanish", vanished)
            context.mark("vanished", namespace=namespace, pod=victim, uid=uid)
            rule.let_go("none")
            _expire_and_wait(context, "missed-events", rule.match)
        wait_replaced(context, namespace, name, uid, 3)
    context.settle(namespace)
    context.mark("end", **snapshot(context, namespace, name))


def _have_news(context: JobsContext, namespace: str, meant: Match) -> None:
    """Touch every object that is meant, and wait until each watch has told of one.

    A watch that is new has told nothing yet that could be told again.
    """
    context.mark("touched", namespace=namespace)
    touch = {"metadata": {"annotations": {"kubeproof.dev/touched": "yes"}}}
    paths = {
        PLURAL: jobs_path(namespace),
        "pods": pods_path(namespace),
        "services": resource_path("v1", "services", namespace=namespace),
    }
    for resource, path in paths.items():
        for name in sorted(context.env.watches.objects(resource, namespace)):
            with contextlib.suppress(ApiRefused):  # one that is gone is no news to repeat
                context.kube.patch(f"{path}/{name}", touch)

    def told() -> None:
        silent = context.env.proxy.silent(meant)
        if silent:
            raise NotYet(f"{silent} watches have told nothing yet")

    # One that selects other objects never tells of these, and has nothing to repeat either.
    context.reached("every watch to tell of a touched object", told)


@contextlib.contextmanager
def _contested(
    context: JobsContext, what: str, act: Callable[[RequestInfo, bytes], None], *, carrying: bytes = b""
) -> Iterator[None]:
    """The operator's first write to a job in the block is held, `act` writes, and then it goes on.

    With `carrying` it is the first one that has this in its body.
    """
    rule = InterleavedWrite(
        f"conflicts: {what}",
        Match(
            verbs=frozenset({"update", "patch"}),
            resources=frozenset({PLURAL}),
            namespaces=frozenset({context.namespace()}),
        ),
        act,
        carrying=carrying,
    )
    with context.env.proxy.disturb(rule):
        yield
    context.mark("contested", what=what, applied=rule.applied)
    if isinstance(rule.error, ApiRefused):
        context.miss(f"the API server to accept {what} on the job", rule.error.answer.message)
    if rule.error is not None:
        raise rule.error


def _append(context: JobsContext, namespace: str, name: str, field: str, value: str) -> None:
    path = jobs_path(namespace, name)
    present = context.kube.get(path)["metadata"].get(field) or []
    context.kube.patch(path, {"metadata": {field: [*present, value]}})


def _add_condition(context: JobsContext, namespace: str, name: str) -> None:
    job = context.kube.get(jobs_path(namespace, name))
    present = status_field(job, "conditions")
    foreign = {
        "type": FOREIGN_CONDITION,
        "status": "True",
        "reason": "Reviewed",
        "message": "an auditor was here",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    kept = present if isinstance(present, list) else []
    context.kube.patch(jobs_path(namespace, name, "status"), {"status": {"conditions": [*kept, foreign]}})


def _fail_one(context: JobsContext, namespace: str, name: str) -> None:
    victim, uid = context.pod(namespace, name)
    context.end_pod(namespace, victim, "137")
    wait_replaced(context, namespace, name, uid, 2)
    context.wait_job(namespace, name, "status.restarts is 1", lambda job: status_field(job, "restarts") == 1)


def _wait_recovered(context: JobsContext, namespace: str, name: str, *, within_s: float) -> None:
    def probe() -> None:
        pods = context.pods(namespace, name)
        states = ", ".join(f"{pod} {phase(found)}" for pod, found in sorted(pods.items())) or "none"
        restarts = status_field(context.the_job(namespace, name), "restarts")
        if len(pods) != 3 or any(phase(pod) != "Running" for pod in pods.values()) or restarts != 1:
            raise NotYet(f"pods: {states}; restarts: {restarts}")

    context.wait(f"3 pods of {name} Running and restarts 1", probe, timeout_s=within_s)


def _wait_true(context: JobsContext, namespace: str, name: str, condition: str) -> None:
    context.wait_job(namespace, name, f"{condition} is True", lambda job: is_true(job, condition))


def _expire_and_wait(context: JobsContext, rule: str, meant: Match) -> None:
    """End the watches, and wait until as many are open again: before that, rest is no answer."""
    ended = context.env.proxy.expire(rule, meant)

    def open_again() -> None:
        now = context.env.proxy.open_watches(meant)
        if now < ended:
            raise NotYet(f"{now} of {ended} watches are open again")

    # One that never watches again has lost nothing yet; what it misses is seen in what follows.
    context.reached("the operator to watch again", open_again)
