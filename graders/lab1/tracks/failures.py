"""What goes wrong in training: pods fail, vanish, run too long."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from graders.faults import InfraFault
from graders.kube.client import ApiRefused
from graders.lab1.api import is_true, job_manifest, jobs_path, status_field
from graders.lab1.stage import Stage, describe
from graders.lab1.tracks.lifecycle import snapshot, wait_replaced
from graders.polling import NotYet

DEADLINE_S = 5
TTL_S = 5


def retries(stage: Stage) -> None:
    """BackoffLimit 2, three failures, and a restart of the operator after the first is settled."""
    namespace, name = stage.namespace(), "flaky"
    stage.create(job_manifest(namespace, name, nodes=2, run_policy={"backoffLimit": 2}))
    stage.wait_running(namespace, name, 2)
    stage.settle(namespace)
    _fail_and_wait(stage, namespace, name, which=0)
    stage.through_restart()
    _fail_and_wait(stage, namespace, name, which=1)
    victim = stage.pod_names(namespace, name)[0]
    stage.mark("last-failure", namespace=namespace, job=name)
    stage.end_pod(namespace, victim, "1")
    stage.wait_job(namespace, name, "Failed is True", lambda job: is_true(job, "Failed"))
    _wait_none_active(stage, namespace, name)
    stage.settle(namespace)
    stage.mark("end", namespace=namespace)


def exit_codes(stage: Stage) -> None:
    """RestartPolicy ExitCode with 1, with 137, with no code known; and restartPolicy Never."""
    namespace = stage.namespace()
    for name, policy in (("permanent", "ExitCode"), ("retried", "ExitCode"), ("never", "Never")):
        policy_fields = {"backoffLimit": 5}
        stage.create(job_manifest(namespace, name, nodes=1, run_policy=policy_fields, restart_policy=policy))
    for name in ("permanent", "retried", "never"):
        stage.wait_running(namespace, name, 1)
    stage.settle(namespace)
    stage.end_pod(namespace, stage.pod_names(namespace, "permanent")[0], "1")
    stage.end_pod(namespace, stage.pod_names(namespace, "never")[0], "137")
    for code in ("137", "none"):
        before = stage.pods(namespace, "retried")
        stage.end_pod(namespace, next(iter(before)), code)
        uid = next(iter(before.values()))["metadata"]["uid"]
        wait_replaced(stage, namespace, "retried", uid, 1)
        stage.settle(namespace)
    for name in ("permanent", "never"):
        stage.wait_job(namespace, name, "Failed is True", lambda job: is_true(job, "Failed"))
    stage.wait_job(
        namespace, "retried", "status.restarts is 2", lambda job: status_field(job, "restarts") == 2
    )
    stage.settle(namespace)
    stage.mark("end", namespace=namespace)


def pod_loss(stage: Stage) -> None:
    """Delete one running pod and evict another, with no failure allowed."""
    namespace, name = stage.namespace(), "lossy"
    stage.create(job_manifest(namespace, name, nodes=3, run_policy={"backoffLimit": 0}))
    stage.wait_pods(namespace, name, 3)
    for lose in (stage.delete_pod, stage.evict_pod):
        stage.noticed(namespace, name, "that it runs", lambda job: is_true(job, "Running"))
        stage.settle(namespace)
        pods = stage.pod_names(namespace, name)
        victim = pods[1] if lose == stage.delete_pod else pods[0]
        uid = stage.pods(namespace, name)[victim]["metadata"]["uid"]
        stage.mark("before-loss", victim=victim, **snapshot(stage, namespace, name))
        lose(namespace, victim)
        wait_replaced(stage, namespace, name, uid, 3)
        stage.noticed(namespace, name, "that it runs", lambda job: is_true(job, "Running"))
        stage.settle(namespace)
        stage.mark("after-loss", victim=victim, **snapshot(stage, namespace, name))


def deadline(stage: Stage) -> None:
    """A job that may run for five seconds, poked every second as it runs, with a restart of the operator."""
    namespace, name = stage.namespace(), "overdue"

    def start() -> None:
        stage.create(job_manifest(namespace, name, nodes=2, run_policy={"activeDeadlineSeconds": DEADLINE_S}))
        stage.wait_pods(namespace, name, 2)
        pokes.enter_context(poked(stage, namespace, name))

    with contextlib.ExitStack() as pokes:
        stage.through_restart(before=start)
        stage.wait(
            f"the job {name}: Failed is True",
            lambda: _failed(stage, namespace, name),
            timeout_s=DEADLINE_S + stage.deadline_s + 2,
        )
    _wait_none_active(stage, namespace, name)
    stage.settle(namespace)
    stage.mark("end", namespace=namespace)


def ttl(stage: Stage) -> None:
    """A job that runs longer than its own time to live, ends, and is due to be removed five seconds on."""
    namespace, name = stage.namespace(), "short-lived"
    stage.create(job_manifest(namespace, name, nodes=1, run_policy={"ttlSecondsAfterFinished": TTL_S}))
    stage.wait_pods(namespace, name, 1)
    created = stage.now()
    stage.through_restart()

    def long_enough() -> None:
        if stage.now() < created + TTL_S + 1:
            raise NotYet("it has not run for longer than its time to live")

    stage.wait("the job to run longer than its time to live", long_enough, timeout_s=TTL_S + 5)
    # The operator's own stamps are read against the wall.
    stage.mark("clock", wall_start=stage.world.recording.clock.wall_start)
    stage.end_pod(namespace, stage.pod_names(namespace, name)[0], "0")
    stage.wait_job(namespace, name, "Complete is True", lambda job: is_true(job, "Complete"))

    def removed() -> None:
        if stage.job(namespace, name) is not None:
            raise NotYet("the job is still there")

    stage.wait(
        f"the finished job to be removed after {TTL_S} s", removed, timeout_s=TTL_S + stage.deadline_s + 2
    )
    stage.mark("end", namespace=namespace)


def _fail_and_wait(stage: Stage, namespace: str, name: str, which: int) -> None:
    victim = stage.pod_names(namespace, name)[which]
    uid = stage.pods(namespace, name)[victim]["metadata"]["uid"]
    stage.mark("failure", namespace=namespace, job=name)
    stage.end_pod(namespace, victim, "1")
    wait_replaced(stage, namespace, name, uid, 2)
    stage.settle(namespace)


def _wait_none_active(stage: Stage, namespace: str, name: str) -> None:
    def probe() -> None:
        active = [n for n, p in stage.pods(namespace, name).items() if p["status"].get("phase") == "Running"]
        if active:
            raise NotYet("still running: " + ", ".join(sorted(active)))

    stage.wait(f"active pods of {name} to be deleted", probe)


def _failed(stage: Stage, namespace: str, name: str) -> None:
    job = stage.the_job(namespace, name)
    if not is_true(job, "Failed"):
        raise NotYet(describe(job))


@contextlib.contextmanager
def poked(stage: Stage, namespace: str, name: str) -> Iterator[None]:
    """Change an annotation of the job every second: news that must not reset a timer."""
    over = threading.Event()

    def poke() -> None:
        count = 0
        while not over.wait(1.0):
            if stage.job(namespace, name) is None:
                continue
            count += 1
            patch = {"metadata": {"annotations": {"kubeproof.dev/poke": str(count)}}}
            with contextlib.suppress(ApiRefused, InfraFault):
                stage.kube.patch(jobs_path(namespace, name), patch)

    thread = threading.Thread(target=poke, name="poke", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(5.0)
