"""The operator's own image as its own Deployment on real nodes, and jobs whose containers really end."""

from __future__ import annotations

from collections.abc import Callable

from graders.faults import InfraFault
from graders.lab1.api import is_finished, is_true
from graders.lab1.incluster.deployment import deployments, image_of, operators, with_image
from graders.lab1.incluster.diagnosis import pod_state
from graders.lab1.incluster.nodeloss import lose_a_node
from graders.lab1.incluster.stage import RealStage
from graders.lab1.incluster.training import told_job, training_job
from graders.lab1.incluster.waits import wait_available, wait_running
from graders.polling import NotYet
from graders.scenario.tampering import NO_TAMPERING, tampering
from graders.scenario.tracks import Missed

RANKS = 2


def in_cluster(stage: RealStage) -> None:
    """Deploy the operator; have jobs train, fail, run out of memory, be evicted and lose their node."""
    try:
        _deploy(stage)
        _jobs(stage)
        stage.mark("end", namespace=stage.namespace)
    finally:
        _keep_logs(stage)
    if harm := tampering(stage.world):
        stage.miss(NO_TAMPERING, harm)


def _deploy(stage: RealStage) -> None:
    world = stage.world
    mine = operators(world.manifests, world.wanted)
    operator = world.wanted.operator
    if not mine:
        account = f"ServiceAccount {operator.service_account}"
        wanted = f"a Deployment in {operator.namespace} whose pods run as {account}"
        stage.miss(wanted, "there is none among the manifests")
    named = image_of(mine[0])
    for given in deployments(world.manifests):
        name = given["metadata"]["name"]
        answer = stage.kube.apply(with_image(given, named, world.image.reference))
        stage.mark("deployed", deployment=name, named=named, image=world.image.reference, code=answer.code)
        if not answer.ok:
            stage.miss(f"the cluster to take the Deployment {name}", answer.message)
    for each in mine:
        wait_available(stage, each["metadata"]["name"])
    pods = {name: pod["spec"].get("nodeName") for name, pod in stage.operator_pods().items()}
    stage.mark("ready", pods=pods, starts_s=world.starts_s)


def _jobs(stage: RealStage) -> None:
    namespace, image = stage.namespace, stage.world.image.training
    stage.create(training_job(namespace, "train", image, RANKS))
    stage.create(told_job(namespace, "told", image, RANKS))
    stage.create(told_job(namespace, "broken", image, 1))
    wait_running(stage, "broken", 1, set())
    stage.end_pod(_pick(stage, "broken", 0)[0], "3")
    wait_running(stage, "told", RANKS, set())
    _disturb(stage, "exit-137", lambda pod: stage.end_pod(pod, "137"), which=1)
    stage.wait_job("broken", "Failed is True, after exit code 3", lambda job: is_true(job, "Failed"))
    _disturb(stage, "oom", lambda pod: stage.end_pod(pod, "oom"), which=0)
    _disturb(stage, "evicted", stage.evict_pod, which=1)
    _wait_trained(stage)
    if len(stage.world.nodes.names()) > RANKS:
        lose_a_node(stage, "told", RANKS)
    else:
        stage.mark("node-loss-left-out", nodes=len(stage.world.nodes.names()))
    for name in sorted(stage.pods("told")):
        stage.end_pod(name, "0")
    stage.wait_job("told", "Complete is True, after all its pods ended with 0", is_finished)


def _wait_trained(stage: RealStage) -> None:
    """Wait for the training to end by itself: its pods have to find each other first."""

    def trained() -> None:
        job = stage.the_job("train")
        if not is_finished(job):
            states = (f"{name}: {pod_state(pod)}" for name, pod in sorted(stage.pods("train").items()))
            raise NotYet(f"pods of train: {'; '.join(states) or 'none'}")

    stage.wait(
        "the job train: Complete is True, after its pods met and trained",
        trained,
        timeout_s=2 * stage.world.deadline_s,
        said_by=lambda: stage.keep_logs(stage.namespace, stage.pods("train")),
    )


def _disturb(stage: RealStage, how: str, act: Callable[[str], None], which: int) -> None:
    """Do something to one pod of `told`, and wait for another in its place."""
    name, uid = _pick(stage, "told", which)
    stage.mark("disturbed", how=how, pod=name, uid=uid)
    act(name)
    wait_running(stage, "told", RANKS, {uid})
    stage.mark("recovered", how=how, pod=name)


def _pick(stage: RealStage, job: str, which: int) -> tuple[str, str]:
    """Name and uid of one of a job's pods, by its place among their names."""
    pods = sorted((name, str(pod["metadata"]["uid"])) for name, pod in stage.pods(job).items())
    if len(pods) <= which:
        stage.miss(f"the pods of {job} to stay", f"pods: {', '.join(name for name, _ in pods) or 'none'}")
    return pods[which]


def _keep_logs(stage: RealStage) -> None:
    """What the operator and the trainers printed, whatever became of them."""
    try:
        stage.keep_logs(stage.world.wanted.operator.namespace, stage.operator_pods())
        stage.keep_logs(stage.namespace, stage.pods("train"))
    except (InfraFault, NotYet, Missed):
        stage.mark("logs-left-out")
