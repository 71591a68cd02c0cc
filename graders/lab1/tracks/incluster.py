"""The operator's own image as its own Deployment on real nodes, and jobs whose containers really end."""

from collections.abc import Callable

from graders.faults import InfraFault
from graders.lab1.api import is_finished, is_true
from graders.lab1.incluster.context import RealPodsContext
from graders.lab1.incluster.deployment import deployments, image_of, operators, with_image
from graders.lab1.incluster.diagnosis import pod_state
from graders.lab1.incluster.nodeloss import lose_a_node
from graders.lab1.incluster.training import told_job, training_job
from graders.lab1.incluster.waits import wait_available, wait_running
from graders.polling import NotYet
from graders.scenario.tampering import NO_TAMPERING, tampering
from graders.scenario.tracks import Missed

RANKS = 2


def in_cluster(context: RealPodsContext) -> None:
    """Deploy the operator; have jobs train, fail, run out of memory, be evicted and lose their node."""
    try:
        _deploy(context)
        _jobs(context)
        context.mark("end", namespace=context.namespace)
    finally:
        _keep_logs(context)
    if harm := tampering(context.env):
        context.miss(NO_TAMPERING, harm)


def _deploy(context: RealPodsContext) -> None:
    env = context.env
    mine = operators(env.manifests, env.wanted)
    operator = env.wanted.operator
    if not mine:
        account = f"ServiceAccount {operator.service_account}"
        wanted = f"a Deployment in {operator.namespace} whose pods run as {account}"
        context.miss(wanted, "there is none among the manifests")
    named = image_of(mine[0])
    for given in deployments(env.manifests):
        name = given["metadata"]["name"]
        answer = context.kube.apply(with_image(given, named, env.image.reference))
        context.mark("deployed", deployment=name, named=named, image=env.image.reference, code=answer.code)
        if not answer.ok:
            context.miss(f"the cluster to take the Deployment {name}", answer.message)
    for each in mine:
        wait_available(context, each["metadata"]["name"])
    pods = {name: pod["spec"].get("nodeName") for name, pod in context.operator_pods().items()}
    context.mark("ready", pods=pods, starts_s=env.starts_s)


def _jobs(context: RealPodsContext) -> None:
    namespace, image = context.namespace, context.env.image.training
    context.create(training_job(namespace, "train", image, RANKS))
    context.create(told_job(namespace, "told", image, RANKS))
    context.create(told_job(namespace, "broken", image, 1))
    wait_running(context, "broken", 1, set())
    context.end_pod(_pick(context, "broken", 0)[0], "3")
    wait_running(context, "told", RANKS, set())
    _disturb(context, "exit-137", lambda pod: context.end_pod(pod, "137"), which=1)
    context.wait_job("broken", "Failed is True, after exit code 3", lambda job: is_true(job, "Failed"))
    _disturb(context, "oom", lambda pod: context.end_pod(pod, "oom"), which=0)
    _disturb(context, "evicted", context.evict_pod, which=1)
    _wait_trained(context)
    if len(context.env.nodes.names()) > RANKS:
        lose_a_node(context, "told", RANKS)
    else:
        context.mark("node-loss-left-out", nodes=len(context.env.nodes.names()))
    for name in sorted(context.pods("told")):
        context.end_pod(name, "0")
    context.wait_job("told", "Complete is True, after all its pods ended with 0", is_finished)


def _wait_trained(context: RealPodsContext) -> None:
    """Wait for the training to end by itself: its pods have to find each other first."""

    def trained() -> None:
        job = context.the_job("train")
        if not is_finished(job):
            states = (f"{name}: {pod_state(pod)}" for name, pod in sorted(context.pods("train").items()))
            raise NotYet(f"pods of train: {'; '.join(states) or 'none'}")

    context.wait(
        "the job train: Complete is True, after its pods met and trained",
        trained,
        timeout_s=2 * context.env.deadline_s,
        said_by=lambda: context.keep_logs(context.namespace, context.pods("train")),
    )


def _disturb(context: RealPodsContext, how: str, act: Callable[[str], None], which: int) -> None:
    """Do something to one pod of `told`, and wait for another in its place."""
    name, uid = _pick(context, "told", which)
    context.mark("disturbed", how=how, pod=name, uid=uid)
    act(name)
    wait_running(context, "told", RANKS, {uid})
    context.mark("recovered", how=how, pod=name)


def _pick(context: RealPodsContext, job: str, which: int) -> tuple[str, str]:
    """Name and uid of one of a job's pods, by its place among their names."""
    pods = sorted((name, str(pod["metadata"]["uid"])) for name, pod in context.pods(job).items())
    if len(pods) <= which:
        context.miss(f"the pods of {job} to stay", f"pods: {', '.join(name for name, _ in pods) or 'none'}")
    return pods[which]


def _keep_logs(context: RealPodsContext) -> None:
    """What the operator and the trainers printed, whatever became of them."""
    try:
        context.keep_logs(context.env.wanted.operator.namespace, context.operator_pods())
        context.keep_logs(context.namespace, context.pods("train"))
    except (InfraFault, NotYet, Missed):
        context.mark("logs-left-out")
