"""The API server is away for half a minute: connections are refused, then everything is answered 503."""

from graders.faultproxy import Match, Respond, RuleAnswer
from graders.lab1.api import is_true, job_manifest, phase
from graders.lab1.jobscontext import JobsContext
from graders.polling import NotYet

REFUSED_S = 10.0
UNAVAILABLE_S = 20.0
BACK_WITHIN_S = 30.0
"""An operator may have backed off for so long; T comes on top."""

NODES = 2


def api_outage(context: JobsContext) -> None:
    """Cut the operator off for thirty seconds; meanwhile a pod fails, a job grows, and one is deleted."""
    namespace = context.namespace()
    names = ("fails", "grows", "stays", "goes")
    for name in names:
        context.create(job_manifest(namespace, name, nodes=NODES))
    for name in names:
        context.wait_running(namespace, name, NODES)
    context.settle(namespace)
    proxy = context.env.proxy
    away = Respond(
        "api-outage",
        Match(),
        RuleAnswer(503, "ServiceUnavailable", "the server is currently unable to handle the request"),
    )
    context.mark("outage", namespace=namespace, replica=context.env.operator.name)
    proxy.refuse_connections()
    try:
        victim, uid = context.pod(namespace, "fails")
        context.end_pod(namespace, victim, "137")
        context.change(
            namespace, "grows", {"spec": {"trainer": {"numNodes": NODES + 1}}}, "scale", nodes=NODES + 1
        )
        context.delete_job(namespace, "goes")
        _sit_out(context, "connections are refused", REFUSED_S)
        with proxy.disturb(away):
            proxy.accept_connections()
            context.mark("unavailable", namespace=namespace)
            _sit_out(context, "every request is answered 503", UNAVAILABLE_S)
    finally:
        proxy.accept_connections()
    context.mark("back", namespace=namespace)

    def recovered() -> None:
        for name, wanted in (("fails", NODES), ("grows", NODES + 1), ("stays", NODES)):
            pods = context.pods(namespace, name)
            states = ", ".join(f"{pod} {phase(found)}" for pod, found in sorted(pods.items())) or "none"
            if (
                len(pods) != wanted
                or any(phase(pod) != "Running" or pod["metadata"]["uid"] == uid for pod in pods.values())
                or not is_true(context.the_job(namespace, name), "Running")
            ):
                raise NotYet(f"pods of {name}: {states}; {wanted} should be Running, and the job too")

    context.wait(
        "what happened meanwhile to be caught up with",
        recovered,
        timeout_s=context.deadline_s + BACK_WITHIN_S,
    )
    context.mark("recovered", namespace=namespace)
    context.settle(namespace)
    context.mark("end", namespace=namespace)


def _sit_out(context: JobsContext, what: str, seconds: float) -> None:
    until = context.now() + seconds

    def over() -> None:
        if context.now() < until:
            raise NotYet(f"{until - context.now():.0f} s to go")

    context.wait(f"the outage to be over: {what}", over, timeout_s=2 * seconds)
