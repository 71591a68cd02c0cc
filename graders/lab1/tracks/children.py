"""What a job consists of, and that it goes with the job."""

from __future__ import annotations

from graders.lab1.api import QUEUE, job_manifest
from graders.lab1.collection import collects
from graders.lab1.names import LEAST
from graders.lab1.stage import Stage
from graders.lab1.template import varied_template
from graders.polling import NotYet


def creates_pods(stage: Stage) -> None:
    """Four nodes, of a template that sets much, and variables the operator must set; and the least job."""
    namespace = stage.namespace()
    job = job_manifest(namespace, "bert", nodes=4)
    job["metadata"]["labels"] = {QUEUE: "research"}
    job["spec"]["trainer"]["template"] = varied_template()
    stage.mark("asked", namespace=namespace, job=job)
    stage.create(job)
    least = job_manifest(namespace, LEAST, nodes=None)
    del least["spec"]["trainer"]["template"]["metadata"]
    stage.create(least)
    stage.wait_pods(namespace, "bert", 4)
    stage.wait_pods(namespace, LEAST, 1)
    _wait_service(stage, namespace, "bert")
    stage.settle(namespace)


def owner_gc(stage: Stage) -> None:
    """Delete a job and see its children go."""
    namespace = stage.namespace()
    stage.create(job_manifest(namespace, "gone", nodes=2))
    stage.wait_pods(namespace, "gone", 2)
    _wait_service(stage, namespace, "gone")
    stage.settle(namespace)
    stage.delete_job(namespace, "gone")

    def nothing_left() -> None:
        left = [
            f"{kind} {name}"
            for kind in ("pods", "services")
            for name in stage.world.watches.objects(kind, namespace)
        ]
        if left:
            raise NotYet("still there: " + ", ".join(sorted(left)))

    stage.wait(
        "pods and Service of the deleted job to go",
        nothing_left,
        control=lambda: collects(stage.kube, namespace, stage.deadline_s),
    )


def _wait_service(stage: Stage, namespace: str, name: str) -> None:
    def probe() -> None:
        found = stage.world.watches.objects("services", namespace)
        if name not in found:
            raise NotYet("Services: " + (", ".join(sorted(found)) or "none"))

    stage.wait(f"a Service named {name}", probe)
