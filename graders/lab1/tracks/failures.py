"""What goes wrong in training: pods fail, vanish, run too long."""

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping

from graders.faults import InfraFault
from graders.kube.client import ApiRefused
from graders.lab1.api import (
    DIES,
    container,
    is_finished,
    is_true,
    job_manifest,
    jobs_path,
    phase,
    status_field,
)
from graders.lab1.jobscontext import JobsContext, describe
from graders.lab1.names import (
    AT_ONCE,
    BEFORE,
    BESIDE,
    CROWD,
    CROWD_NODES,
    DEADLINE_S,
    IN_TIME,
    IN_TIME_DEADLINE_S,
    SIGNALLED,
    SPENT,
    STRICT,
    STUCK,
    TTL_S,
    UNTOUCHED,
    UNTOUCHED_DEADLINE_S,
)
from graders.lab1.tracks.lifecycle import snapshot, wait_died, wait_replaced
from graders.polling import NotYet

CONTAINERS = ("first", "second", "third")
PERMANENT = (BESIDE, BEFORE)

Code = tuple[str, Mapping[str, str]]
"""How a pod ends: a code, and those of containers that end with another."""

FAILURES: tuple[Mapping[str, Code], ...] = (
    {"retried": ("137", {}), SIGNALLED: ("255", {})},
    {"retried": ("1", {"first": "128"}), SIGNALLED: ("255", {})},
    {"retried": ("none", {})},
)
"""One after the other, how the pods of jobs end that are tried again."""

TRIED_AGAIN = 3
"""How often the pod of the job `retried` is."""


def retries(context: JobsContext) -> None:
    """BackoffLimit 2, three failures, and a restart of the operator after the first is settled.

    Before, a job that may not fail at all fails, and one whose pods do it all at once.
    """
    namespace, name = context.namespace(), "flaky"
    crowd = {"backoffLimit": CROWD_NODES - 1}
    context.create(job_manifest(namespace, CROWD, nodes=CROWD_NODES, run_policy=crowd))
    context.create(job_manifest(namespace, STRICT, nodes=2, run_policy={"backoffLimit": 0}))
    context.create(job_manifest(namespace, name, nodes=2, run_policy={"backoffLimit": 7}))
    for each, nodes in ((CROWD, CROWD_NODES), (STRICT, 2), (name, 2)):
        context.wait_running(namespace, each, nodes)
    context.change(namespace, name, {"spec": {"runPolicy": {"backoffLimit": 2}}}, "limit")
    context.settle(namespace)
    context.mark("only-failure", namespace=namespace, job=STRICT)
    for pod in (*context.pod_names(namespace, CROWD), context.pod(namespace, STRICT)[0]):
        context.end_pod(namespace, pod, "1")
    _fail_and_wait(context, namespace, name, which=0)
    for each in (CROWD, STRICT):
        context.wait_job(namespace, each, "Failed is True", lambda job: is_true(job, "Failed"))
        _wait_none_active(context, namespace, each)
    context.through_restart()
    _fail_and_wait(context, namespace, name, which=1)
    victim, _ = context.pod(namespace, name)
    context.mark("last-failure", namespace=namespace, job=name)
    context.end_pod(namespace, victim, "1")
    context.wait_job(namespace, name, "Failed is True", lambda job: is_true(job, "Failed"))
    _wait_none_active(context, namespace, name)
    context.settle(namespace)
    context.mark("end", namespace=namespace)


def exit_codes(context: JobsContext) -> None:
    """RestartPolicy ExitCode with codes of both kinds, with none, and of several containers; and Never."""
    namespace = context.namespace()
    names = ("permanent", "retried", "never", *PERMANENT, SIGNALLED)
    for name in names:
        _create(context, name)
    for name in names:
        context.wait_running(namespace, name, 1)
    context.settle(namespace)
    only = {name: context.pod(namespace, name)[0] for name in names}
    context.end_pod(namespace, only["permanent"], "1")
    context.end_pod(namespace, only["never"], "137")
    context.end_pod(namespace, only[BESIDE], "137", first="0", second="127")
    context.fail_init(namespace, only[BEFORE], "127")
    for codes in FAILURES:
        _fail_again(context, codes)
    for name in ("permanent", "never", *PERMANENT, SIGNALLED):
        context.wait_job(namespace, name, "Failed is True", lambda job: is_true(job, "Failed"))
    times = TRIED_AGAIN
    context.wait_job(
        namespace,
        "retried",
        f"status.restarts is {times}",
        lambda job: status_field(job, "restarts") == times,
    )
    context.settle(namespace)
    context.mark("end", namespace=namespace, retried=times)


def _create(context: JobsContext, name: str) -> None:
    job = job_manifest(
        context.namespace(),
        name,
        nodes=1,
        run_policy={"backoffLimit": 1 if name == SIGNALLED else 5},
        restart_policy="Never" if name == "never" else "ExitCode",
        containers=[container(each) for each in CONTAINERS],
    )
    if name == BEFORE:
        job["spec"]["trainer"]["template"]["spec"]["initContainers"] = [container("fetch")]
    context.create(job)


def _fail_again(context: JobsContext, codes: Mapping[str, Code]) -> None:
    """The one pod of each of these jobs fails, and another takes its place, or the job is over.

    Who ended one at its limit already has lost retries by that.
    """
    namespace = context.namespace()
    failing: dict[str, str] = {}
    for name, (code, own) in codes.items():
        pods = context.pods(namespace, name)
        if pods and not is_finished(context.standing_job(namespace, name)):
            victim, before = next(iter(pods.items()))
            failing[name] = before["metadata"]["uid"]
            context.end_pod(namespace, victim, code, **own)

    def replaced() -> None:
        for name, uid in failing.items():
            job, pods = context.the_job(namespace, name), context.pods(namespace, name).values()
            new = [pod for pod in pods if pod["metadata"]["uid"] != uid and phase(pod) == "Running"]
            if not new and not is_finished(job):
                raise NotYet(f"{name}: {describe(job)}")

    context.wait(f"other pods in place of the failed ones of {', '.join(codes)}", replaced)
    context.settle(namespace)


def pod_loss(context: JobsContext) -> None:
    """Running pods are deleted, evicted by a drain and by their kubelet, with no failure allowed.

    One that is deleted fails before it goes. Pods of the job that they do it to are never tried again.
    """
    namespace = context.namespace()
    for name, policy in LOSING.items():
        once = {"backoffLimit": 0}
        context.create(job_manifest(namespace, name, nodes=3, run_policy=once, restart_policy=policy))
    for name in LOSING:
        context.wait_pods(namespace, name, 3)
    for losses in LOSSES:
        _settle_running(context)
        lost = {}
        for name, (how, index, lose) in losses.items():
            lost[name] = context.pod(namespace, name, index)
            victim, _ = lost[name]
            context.mark("before-loss", victim=victim, how=how, **snapshot(context, namespace, name))
            lose(context, namespace, victim)
        for name, (_, uid) in lost.items():
            wait_replaced(context, namespace, name, uid, 3)
        _settle_running(context)
        for name, (victim, _) in lost.items():
            context.mark("after-loss", victim=victim, **snapshot(context, namespace, name))


def _settle_running(context: JobsContext) -> None:
    for name in LOSING:
        context.noticed(context.namespace(), name, "that it runs", lambda job: is_true(job, "Running"))
    context.settle(context.namespace())


def _starve(context: JobsContext, namespace: str, victim: str) -> None:
    """The pod is evicted by a kubelet that is short of memory: it fails, and stays."""
    context.end_pod(namespace, victim, "evicted")


def _starve_and_say(context: JobsContext, namespace: str, victim: str) -> None:
    """So it is, and what ran in it ended with a code that is final by itself."""
    context.end_pod(namespace, victim, "evicted", trainer="1")


def _kill(context: JobsContext, namespace: str, victim: str) -> None:
    """The pod is deleted, fails as SIGTERM has it, and is there for a while yet."""
    context.annotate_pod(namespace, victim, {DIES: "143"})
    try:
        context.delete_pod(namespace, victim)
        wait_died(context, namespace, "starved", victim)
    finally:
        context.annotate_pod(namespace, victim, {DIES: None})


LOSING: Mapping[str, str] = {"lossy": "OnFailure", "starved": "Never", "judged": "ExitCode"}
"""The jobs that lose pods, by restart policy: the pods that are there and Failed are of the last."""

Loss = tuple[str, int, Callable[[JobsContext, str, str], None]]
"""How a pod is lost: in words, which of the job's pods, and the deed."""

LOSSES: tuple[Mapping[str, Loss], ...] = (
    {
        "lossy": ("deleted", 1, JobsContext.delete_pod),
        "starved": ("evicted by its kubelet", 1, _starve),
        "judged": ("evicted by its kubelet, and ended with 1", 1, _starve_and_say),
    },
    {
        "lossy": ("evicted", 0, JobsContext.evict_pod),
        "starved": ("deleted, and Failed before it went", 0, _kill),
    },
)


def deadline(context: JobsContext) -> None:
    """A job that may run for five seconds, poked every second as it runs, with a restart of the operator.

    Before, one whose pod finds no place, and one that is Complete in time. One that was suspended until then
    is left alone after the restart, when no other track has the operator look at every job again.
    """
    namespace, name = context.namespace(), "overdue"
    policy = {"activeDeadlineSeconds": DEADLINE_S}
    paused = _run_and_pause(context, namespace, UNTOUCHED)
    stuck = job_manifest(namespace, STUCK, nodes=1, run_policy=policy)
    stuck["spec"]["trainer"]["template"]["spec"]["nodeSelector"] = {"kubeproof.dev/nowhere": "true"}
    context.create(stuck)
    in_time = {"activeDeadlineSeconds": IN_TIME_DEADLINE_S}
    context.create(job_manifest(namespace, IN_TIME, nodes=1, run_policy=in_time))
    created = context.now()
    context.wait_running(namespace, IN_TIME, 1)
    context.end_pod(namespace, context.pod(namespace, IN_TIME)[0], "0")
    _wait_failed(context, namespace, STUCK, DEADLINE_S)

    def start() -> None:
        context.create(job_manifest(namespace, name, nodes=2, run_policy=policy))
        context.wait_pods(namespace, name, 2)
        pokes.enter_context(poked(context, namespace, name))

    with contextlib.ExitStack() as pokes:
        context.through_restart(before=start)
        if paused:
            alone = {"activeDeadlineSeconds": UNTOUCHED_DEADLINE_S, "suspend": False}
            context.change(namespace, UNTOUCHED, {"spec": {"runPolicy": alone}}, "resume")
        _wait_failed(context, namespace, name, DEADLINE_S)
    if paused:
        _wait_failed(context, namespace, UNTOUCHED, UNTOUCHED_DEADLINE_S)
    _touch_when_due(context, namespace, created)
    _wait_none_active(context, namespace, name)
    context.settle(namespace)
    context.mark("end", namespace=namespace)


def _run_and_pause(context: JobsContext, namespace: str, name: str) -> bool:
    """Have a job run for a while and suspend it; whether it followed, which another track demands."""
    context.create(job_manifest(namespace, name, nodes=1))
    context.wait_running(namespace, name, 1)
    context.change(namespace, name, {"spec": {"runPolicy": {"suspend": True}}}, "pause")
    return context.noticed(
        namespace,
        name,
        "that it is suspended, with no startTime",
        lambda job: is_true(job, "Suspended") and not status_field(job, "startTime"),
    )


def _touch_when_due(context: JobsContext, namespace: str, created: float) -> None:
    """Have the operator look at the job that was over in time, once its deadline would be up."""

    def due() -> None:
        if context.now() < created + IN_TIME_DEADLINE_S + 2:
            raise NotYet(f"the deadline of {IN_TIME} is not up yet")

    context.wait(f"the deadline of {IN_TIME}", due, timeout_s=IN_TIME_DEADLINE_S + 5)
    poke = {"metadata": {"annotations": {"kubeproof.dev/poke": "deadline-up"}}}
    context.change(namespace, IN_TIME, poke, "poke")


def _wait_failed(context: JobsContext, namespace: str, name: str, due_s: float) -> None:
    context.wait(
        f"the job {name}: Failed is True",
        lambda: _failed(context, namespace, name),
        timeout_s=due_s + context.deadline_s + 2,
    )


def ttl(context: JobsContext) -> None:
    """A job that runs longer than its own time to live, ends, and is due to be removed five seconds on.

    Before, one that is due as soon as it ends, and one that fails.
    """
    namespace, name = context.namespace(), "short-lived"
    _remove_at_once(context)
    context.create(job_manifest(namespace, name, nodes=1, run_policy={"ttlSecondsAfterFinished": TTL_S}))
    context.wait_pods(namespace, name, 1)
    created = context.now()
    context.through_restart()

    def long_enough() -> None:
        if context.now() < created + TTL_S + 1:
            raise NotYet("it has not run for longer than its time to live")

    context.wait("the job to run longer than its time to live", long_enough, timeout_s=TTL_S + 5)
    # The operator's own stamps are read against the wall.
    context.mark("clock", wall_start=context.env.recording.clock.wall_start)
    context.end_pod(namespace, context.pod(namespace, name)[0], "0")
    context.wait_job(namespace, name, "Complete is True", lambda job: is_true(job, "Complete"))

    def removed() -> None:
        if context.job(namespace, name) is not None:
            raise NotYet("the job is still there")

    context.wait(
        f"the finished job to be removed after {TTL_S} s", removed, timeout_s=TTL_S + context.deadline_s + 2
    )
    context.mark("end", namespace=namespace)


def _remove_at_once(context: JobsContext) -> None:
    namespace = context.namespace()
    context.create(job_manifest(namespace, AT_ONCE, nodes=1, run_policy={"ttlSecondsAfterFinished": 0}))
    policy = {"backoffLimit": 0, "ttlSecondsAfterFinished": 1}
    context.create(job_manifest(namespace, SPENT, nodes=1, run_policy=policy))
    context.wait_running(namespace, AT_ONCE, 1)
    context.wait_running(namespace, SPENT, 1)
    context.settle(namespace)
    context.end_pod(namespace, context.pod(namespace, AT_ONCE)[0], "0")
    context.end_pod(namespace, context.pod(namespace, SPENT)[0], "1")

    def removed(name: str) -> None:
        if (job := context.job(namespace, name)) is not None:
            raise NotYet(describe(job))

    def over() -> None:
        if (job := context.job(namespace, SPENT)) is not None and not is_true(job, "Failed"):
            raise NotYet(describe(job))

    context.wait("the finished job whose time to live is 0 to be removed", lambda: removed(AT_ONCE))
    # Whether a failure ends a job is the business of other tracks.
    if context.reached(f"the job {SPENT} to fail", over):
        context.wait(
            "the failed job to be removed after 1 s", lambda: removed(SPENT), timeout_s=context.deadline_s + 3
        )


def _fail_and_wait(context: JobsContext, namespace: str, name: str, which: int) -> None:
    victim, uid = context.pod(namespace, name, which)
    context.mark("failure", namespace=namespace, job=name)
    context.end_pod(namespace, victim, "1")
    wait_replaced(context, namespace, name, uid, 2)
    context.settle(namespace)


def _wait_none_active(context: JobsContext, namespace: str, name: str) -> None:
    def probe() -> None:
        active = [
            n for n, p in context.pods(namespace, name).items() if p["status"].get("phase") == "Running"
        ]
        if active:
            raise NotYet("still running: " + ", ".join(sorted(active)))

    context.wait(f"active pods of {name} to be deleted", probe)


def _failed(context: JobsContext, namespace: str, name: str) -> None:
    job = context.the_job(namespace, name)
    if not is_true(job, "Failed"):
        raise NotYet(describe(job))


@contextlib.contextmanager
def poked(context: JobsContext, namespace: str, name: str) -> Iterator[None]:
    """Change an annotation of the job every second: news that must not reset a timer."""
    over = threading.Event()

    def poke() -> None:
        count = 0
        while not over.wait(1.0):
            if context.job(namespace, name) is None:
                continue
            count += 1
            patch = {"metadata": {"annotations": {"kubeproof.dev/poke": str(count)}}}
            with contextlib.suppress(ApiRefused, InfraFault):
                context.kube.patch(jobs_path(namespace, name), patch)

    thread = threading.Thread(target=poke, name="poke", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(5.0)
