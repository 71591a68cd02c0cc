"""What a job consists of, and that it goes with the job."""

from graders.lab1.api import QUEUE, job_manifest
from graders.lab1.collection import collects
from graders.lab1.jobscontext import JobsContext
from graders.lab1.names import LEAST
from graders.lab1.template import varied_template
from graders.polling import NotYet


def creates_pods(context: JobsContext) -> None:
    """Four nodes, of a template that sets much, and variables the operator must set; and the least job."""
    namespace = context.namespace()
    job = job_manifest(namespace, "bert", nodes=4)
    job["metadata"]["labels"] = {QUEUE: "research"}
    job["spec"]["trainer"]["template"] = varied_template()
    context.mark("asked", namespace=namespace, job=job)
    context.create(job)
    least = job_manifest(namespace, LEAST, nodes=None)
    del least["spec"]["trainer"]["template"]["metadata"]
    context.create(least)
    context.wait_pods(namespace, "bert", 4)
    context.wait_pods(namespace, LEAST, 1)
    _wait_service(context, namespace, "bert")
    context.settle(namespace)


def owner_gc(context: JobsContext) -> None:
    """Delete a job and see its children go."""
    namespace = context.namespace()
    context.create(job_manifest(namespace, "gone", nodes=2))
    context.wait_pods(namespace, "gone", 2)
    _wait_service(context, namespace, "gone")
    context.settle(namespace)
    context.delete_job(namespace, "gone")

    def nothing_left() -> None:
        left = [
            f"{kind} {name}"
            for kind in ("pods", "services")
            for name in context.env.watches.objects(kind, namespace)
        ]
        if left:
            raise NotYet("still there: " + ", ".join(sorted(left)))

    context.wait(
        "pods and Service of the deleted job to go",
        nothing_left,
        control=lambda: collects(context.kube, namespace, context.deadline_s),
    )


def _wait_service(context: JobsContext, namespace: str, name: str) -> None:
    def probe() -> None:
        found = context.env.watches.objects("services", namespace)
        if name not in found:
            raise NotYet("Services: " + (", ".join(sorted(found)) or "none"))

    context.wait(f"a Service named {name}", probe)
