"""What the run on real nodes waits for: Deployments that are available, jobs whose pods run."""

from graders.evidence.records import Object
from graders.lab1.api import phase
from graders.lab1.incluster.context import RealPodsContext
from graders.lab1.incluster.diagnosis import deployment_state, pod_state
from graders.polling import NotYet


def wait_available(context: RealPodsContext, name: str) -> None:
    """Wait for all replicas of a Deployment of the operator's to be available; raises as `wait`."""
    namespace = context.env.wanted.operator.namespace

    def available() -> None:
        found = context.env.watches.objects("deployments", namespace).get(name)
        if found is None:
            raise NotYet("it is not there")
        status, wanted = found.get("status") or {}, found["spec"].get("replicas", 1)
        settled = status.get("observedGeneration", 0) >= found["metadata"]["generation"]
        counts = (status.get(field) or 0 for field in ("availableReplicas", "updatedReplicas", "replicas"))
        if not settled or any(count != wanted for count in counts):
            raise NotYet(deployment_state(found, context.operator_pods()))

    context.wait(
        f"the Deployment {name} to have all its pods available",
        available,
        timeout_s=2 * context.env.deadline_s,
        said_by=lambda: context.keep_logs(namespace, context.operator_pods()),
    )


def wait_running(context: RealPodsContext, job: str, count: int, gone: set[str]) -> None:
    """Wait until a job has `count` pods running, none of them with a uid in `gone`; raises as the other."""

    def missing(pods: dict[str, Object]) -> str:
        old = [name for name, pod in pods.items() if pod["metadata"]["uid"] in gone]
        states = "; ".join(f"{name}: {pod_state(pod)}" for name, pod in sorted(pods.items())) or "no pods"
        running = [name for name, pod in pods.items() if phase(pod) == "Running"]
        return states if old or len(running) != count or len(pods) != count else ""

    what = "a new pod in place of the one that went" if gone else f"{count} running pods"
    context.wait_pods(job, what, missing)
