"""The API server is away for half a minute: connections are refused, then everything is answered 503."""

from __future__ import annotations

from graders.faultproxy import Answer, Match, Respond
from graders.lab1.api import is_true, job_manifest, phase
from graders.lab1.stage import Stage
from graders.polling import NotYet

REFUSED_S = 10.0
UNAVAILABLE_S = 20.0
BACK_WITHIN_S = 30.0
"""An operator may have backed off for so long; T comes on top."""

NODES = 2


def api_outage(stage: Stage) -> None:
    """Cut the operator off for thirty seconds; meanwhile a pod fails, a job grows, and one is deleted."""
    namespace = stage.namespace()
    names = ("fails", "grows", "stays", "goes")
    for name in names:
        stage.create(job_manifest(namespace, name, nodes=NODES))
    for name in names:
        stage.wait_running(namespace, name, NODES)
    stage.settle(namespace)
    proxy = stage.world.proxy
    away = Respond(
        "api-outage",
        Match(),
        Answer(503, "ServiceUnavailable", "the server is currently unable to handle the request"),
    )
    stage.mark("outage", namespace=namespace, replica=stage.world.operator.name)
    proxy.refuse_connections()
    try:
        victim = stage.pod_names(namespace, "fails")[0]
        uid = stage.pods(namespace, "fails")[victim]["metadata"]["uid"]
        stage.end_pod(namespace, victim, "137")
        stage.change(
            namespace, "grows", {"spec": {"trainer": {"numNodes": NODES + 1}}}, "scale", nodes=NODES + 1
        )
        stage.delete_job(namespace, "goes")
        _sit_out(stage, "connections are refused", REFUSED_S)
        with proxy.disturb(away):
            proxy.accept_connections()
            stage.mark("unavailable", namespace=namespace)
            _sit_out(stage, "every request is answered 503", UNAVAILABLE_S)
    finally:
        proxy.accept_connections()
    stage.mark("back", namespace=namespace)

    def recovered() -> None:
        for name, wanted in (("fails", NODES), ("grows", NODES + 1), ("stays", NODES)):
            pods = stage.pods(namespace, name)
            states = ", ".join(f"{pod} {phase(found)}" for pod, found in sorted(pods.items())) or "none"
            if (
                len(pods) != wanted
                or any(phase(pod) != "Running" or pod["metadata"]["uid"] == uid for pod in pods.values())
                or not is_true(stage.the_job(namespace, name), "Running")
            ):
                raise NotYet(f"pods of {name}: {states}; {wanted} should be Running, and the job too")

    stage.wait(
        "what happened meanwhile to be caught up with", recovered, timeout_s=stage.deadline_s + BACK_WITHIN_S
    )
    stage.mark("recovered", namespace=namespace)
    stage.settle(namespace)
    stage.mark("end", namespace=namespace)


def _sit_out(stage: Stage, what: str, seconds: float) -> None:
    until = stage.now() + seconds

    def over() -> None:
        if stage.now() < until:
            raise NotYet(f"{until - stage.now():.0f} s to go")

    stage.wait(f"the outage to be over: {what}", over, timeout_s=2 * seconds)
