"""Waits for the operator to be at work, and restarts it; what it does not do in time is marked."""

from collections.abc import Callable

from graders.faults import BadSubmission, InfraFault
from graders.kube.client import ApiRefused
from graders.kube.paths import resource_path
from graders.lab1.api import PLURAL
from graders.lab1.environment import OperatorEnvironment
from graders.lab1.names import OPERATOR_NOT_READY, RUN
from graders.polling import NotYet, TimedOut, wait_for
from graders.scenario.tampering import tampering


def wait_operator(env: OperatorEnvironment) -> bool:
    """Wait for the operator's first successful request for jobs; False and a mark when none comes.

    Raises:
        BadSubmission: its command cannot be started at all. InfraFault: the harness was not healthy.
    """

    def ready() -> None:
        if isinstance(env.operator.fault, BadSubmission):
            raise env.operator.fault
        if env.operator.fault is not None:
            raise InfraFault(f"the operator could not be started: {env.operator.fault}")
        if not env.audit.accepted(env.user, PLURAL):
            raise NotYet("it has not read or watched jobs yet")

    since = env.recording.clock.now()
    try:
        with env.recording.changes.listener() as bell:
            wait_for(ready, timeout_s=3 * env.deadline_s, interval_s=0.1, wake=bell)
    except TimedOut as error:
        sickness = env.health.sickness(since)
        if sickness and not tampering(env):
            raise InfraFault(
                f"the operator was not ready while the harness was not healthy: {sickness}"
            ) from error
        env.recording.mark(RUN, OPERATOR_NOT_READY, seen=str(error), log=env.operator.log_tail(12))
        return False
    env.recording.mark(RUN, "operator-ready")
    return True


def restart(env: OperatorEnvironment, while_down: Callable[[], None] = lambda: None) -> None:
    """Kill the operator and release the leases it held, as a cluster's owner would after a crash.

    `while_down` is called when nobody runs.

    Raises:
        InfraFault: it could not be started again.
    """
    before = env.audit.accepted(env.user, PLURAL)

    def down() -> None:
        while_down()
        _release_leases(env)

    env.operator.kill(down)
    if env.operator.fault is not None:
        raise InfraFault(f"the operator could not be started again: {env.operator.fault}")

    def back() -> None:
        if env.audit.accepted(env.user, PLURAL) == before:
            raise NotYet("it has not read jobs since its restart")

    try:
        with env.recording.changes.listener() as bell:
            wait_for(back, timeout_s=2 * env.deadline_s, interval_s=0.1, wake=bell)
    except TimedOut as error:
        # What follows will show it; the tracks go on and miss their deadlines.
        env.recording.mark(RUN, "restart-not-ready", seen=str(error))


def _release_leases(env: OperatorEnvironment) -> None:
    namespace = env.user.split(":")[2]
    env.kube.delete(resource_path("coordination.k8s.io/v1", "leases", namespace=namespace))
    for plural, path in (
        ("kopfpeerings", resource_path("kopf.dev/v1", "kopfpeerings", namespace=namespace)),
        ("clusterkopfpeerings", resource_path("kopf.dev/v1", "clusterkopfpeerings")),
    ):
        if env.guest is not None and plural == "clusterkopfpeerings":
            # In a cluster of somebody's they are of other operators.
            continue
        try:
            listing = env.kube.find(path)
        except ApiRefused:
            continue
        for item in (listing or {}).get("items", ()):
            gone = {"status": dict.fromkeys(item.get("status") or {})}
            env.kube.patch(f"{path}/{item['metadata']['name']}", gone)
            env.recording.mark(RUN, "peering-released", plural=plural)
