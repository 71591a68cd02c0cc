"""What happens while nobody is there to see it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from graders.faults import InfraFault
from graders.lab1.api import job_manifest, phase
from graders.lab1.jobscontext import JobsContext, describe
from graders.lab1.outcome import outcome
from graders.polling import NotYet, TimedOut, wait_for

NODES = 2
CASES = ("grow", "shrink", "fail", "lose")
SEEN, MISSED = "seen", "missed"


@dataclass(frozen=True)
class AbsenceCase:
    """One kind of news, and what is right after it."""

    kind: str
    nodes: int

    def job(self, how: str) -> str:
        """The job to which it happens while the operator sees it, or misses it."""
        return f"{self.kind}-{how}"


WANTED = {"grow": 3, "shrink": 1, "fail": NODES, "lose": NODES}


def downtime(context: JobsContext) -> None:
    """Four kinds of news, each to one job while the operator runs and to another while it is down.

    What it makes of the first is what it has to make of the second; news it does not follow even when
    it runs is left out, for that costs other criteria.
    """
    namespace = context.namespace()
    cases = [AbsenceCase(kind, WANTED[kind]) for kind in CASES]
    for how in (SEEN, MISSED):
        for case in cases:
            context.create(job_manifest(namespace, case.job(how), nodes=NODES))
    for how in (SEEN, MISSED):
        for case in cases:
            context.wait_running(namespace, case.job(how), NODES)
    context.settle(namespace)
    followed = _followed(context, namespace, cases)
    context.settle(namespace)
    told = {case.kind: outcome(context.standing_job(namespace, case.job(SEEN))) for case in followed}
    for case in followed:
        names = {"seen": case.job(SEEN), "missed": case.job(MISSED)}
        context.mark("case", kind=case.kind, jobs=names, nodes=case.nodes, outcome=told[case.kind])
    victims: dict[str, str] = {}

    def miss() -> None:
        context.mark("down", namespace=namespace)
        for case in followed:
            victims[case.kind] = _happen(context, namespace, case, MISSED)
        _wait_happened(context, namespace, victims)
        context.mark("up", namespace=namespace)

    def catch_up() -> None:
        for case in followed:
            job = case.job(MISSED)
            context.wait(
                f"{job}, to which something happened while the operator was down, to be as it should",
                lambda c=case: _caught_up(context, namespace, c, victims[c.kind], told[c.kind]),  # type: ignore[misc]
            )

    context.through_restart(during=miss, after=catch_up)
    context.settle(namespace)
    context.mark("end", namespace=namespace)


def _followed(context: JobsContext, namespace: str, cases: list[AbsenceCase]) -> list[AbsenceCase]:
    """Let everything happen once while the operator looks, and say what it followed."""
    victims = {case.kind: _happen(context, namespace, case, SEEN) for case in cases}

    def right(case: AbsenceCase) -> Callable[[], None]:
        return lambda: _right(context, namespace, case, SEEN, victims[case.kind])

    found = [case for case in cases if context.reached(f"{case.job(SEEN)} to be as it should", right(case))]
    if not found:
        # Whoever follows nothing while it runs has nothing to catch up with.
        context.wait(f"{cases[0].job(SEEN)} to be as it should", right(cases[0]))
    return found


def _happen(context: JobsContext, namespace: str, case: AbsenceCase, how: str) -> str:
    """Let it happen; gives the uid of the pod it happens to, if it is a pod."""
    job = case.job(how)
    if case.kind in ("grow", "shrink"):
        patch = {"spec": {"trainer": {"numNodes": case.nodes}}}
        context.change(namespace, job, patch, "scale", nodes=case.nodes)
        return ""
    pods = context.pods(namespace, job)
    for name in context.pod_names(namespace, job)[-1:]:
        if case.kind == "fail":
            context.end_pod(namespace, name, "137")
        else:
            context.delete_pod(namespace, name)
        return str(pods[name]["metadata"]["uid"]) if name in pods else ""
    return ""


def _wait_happened(context: JobsContext, namespace: str, victims: dict[str, str]) -> None:
    """The operator is down: only the harness can keep a pod from failing or going.

    Raises:
        InfraFault: it did.
    """
    uids = {uid for uid in victims.values() if uid}

    def probe() -> None:
        for name, pod in context.env.watches.objects("pods", namespace).items():
            if pod["metadata"]["uid"] in uids and phase(pod) == "Running":
                raise NotYet(f"the pod {name} is still running")

    try:
        wait_for(probe, timeout_s=context.deadline_s, interval_s=0.05)
    except TimedOut as mismatch:
        raise InfraFault(str(mismatch)) from mismatch


def _right(context: JobsContext, namespace: str, case: AbsenceCase, how: str, victim: str) -> None:
    pods = context.pods(namespace, case.job(how))
    states = ", ".join(f"{name} {phase(pod)}" for name, pod in sorted(pods.items())) or "none"
    if any(pod["metadata"]["uid"] == victim for pod in pods.values()):
        raise NotYet(f"the pod that was lost is still there; pods: {states}")
    if len(pods) != case.nodes or any(phase(pod) != "Running" for pod in pods.values()):
        raise NotYet(f"pods: {states}")


def _caught_up(
    context: JobsContext, namespace: str, case: AbsenceCase, victim: str, told: dict[str, Any]
) -> None:
    _right(context, namespace, case, MISSED, victim)
    job = context.the_job(namespace, case.job(MISSED))
    # The twin may have had more to say since it was asked.
    if outcome(job) not in (told, outcome(context.the_job(namespace, case.job(SEEN)))):
        raise NotYet(f"its pods are right, its status is not: {describe(job)}; wanted {told}")
