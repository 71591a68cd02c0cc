"""The lane of the experiments: each hypothesis in four states, a dry run, a whole run, an aborted one."""

import threading

from graders.chaos.account import account_of
from graders.chaos.baseline import KEPT, baseline
from graders.chaos.records import BaselineLook
from graders.chaos.running import ExperimentRunner, Runnable, runnable
from graders.chaos.session import ChaosSession
from graders.chaos.spec import ChaosEnvironment, RunMode
from graders.faults import BadSubmission
from graders.kube.client import ApiRefused
from graders.kube.paths import resource_path
from graders.lab3.environment.context import LaneContext
from graders.lab3.environment.states import PODS, States
from graders.lab3.environment.workload import apply_all, apply_workload
from graders.lab3.handin import Experiment
from graders.lab3.names import CHAOS, MODELS_GROUP, MODELS_VERSION, NEIGHBOUR, OVER, SERVING
from graders.submissions.manifests import load_manifests

KINDS = (*KEPT, (f"{MODELS_GROUP}/{MODELS_VERSION}", "models"))
"""What an experiment may change of a namespace, pods aside: it is watched, and has to be as before."""
_ALONE_S, _WHOLE_S, _READY_S = 60.0, 90.0, 15.0


def experiments(context: LaneContext) -> None:
    """All of them, one after the other.

    Raises:
        InfraFault: the cluster does not answer, or does not get into a state.
    """
    kube, live, recording = context.live.kube, context.live, context.recording
    problem = apply_workload(kube, context.manifests, context.scale)
    recording.mark(context.track, "workload", problem=problem, scale=context.scale, cluster=live.name)
    if problem:
        return
    _stand_decoys(context)
    if problem := _prepare_chaos(context):
        recording.mark(context.track, "chaos", problem=problem)
        return
    try:
        account = account_of(kube, CHAOS, context.wanted.chaos.service_account)
    except ApiRefused as error:
        recording.mark(context.track, "chaos", problem=str(error))
        return
    recording.mark(context.track, "chaos", problem="", user=account.user)
    session = ChaosSession(_environment(context), recording, account, live.name, context.dice, context.scale)
    chaos = ExperimentRunner(session)
    live.watches.follow("pods", PODS)
    live.watches.follow("nodes", resource_path("v1", "nodes"))
    for version, plural in KINDS:
        live.watches.follow(plural, resource_path(version, plural, namespace=SERVING))
    states = States(kube, context.control, context.scale)
    for experiment in context.wanted.chaos.experiments:
        found = runnable(context.environment.submission, experiment, account.name)
        recording.mark(
            context.track,
            "experiment",
            id=experiment.id,
            problem=found.problem,
            unsupported=found.unsupported,
        )
        if found == Runnable():
            try:
                _try(context, chaos, states, experiment, account.user)
            except ApiRefused as refused:
                # What was handed in may forbid the states in which a hypothesis is asked for.
                recording.mark(context.track, OVER, why=str(refused)[:500])
                return


def _environment(context: LaneContext) -> ChaosEnvironment:
    environment, chaos = context.environment, context.wanted.chaos
    return ChaosEnvironment(
        sandbox=environment.sandbox,
        submission=environment.submission,
        runtime=environment.runtime,
        toolkit=environment.chaos,
        programs=environment.programs(),
        limits=environment.tool_limits,
        folder=environment.folder,
        settings=chaos.settings,
        pythonpath=chaos.pythonpath,
    )


def _try(
    context: LaneContext, chaos: ExperimentRunner, states: States, experiment: Experiment, user: str
) -> None:
    alone_s, whole_s = _ALONE_S * context.scale, _WHOLE_S * context.scale
    for name, state in states.all().items():
        context.task.update(detail=f"{experiment.id}: hypothesis, {name}")
        with state():
            chaos.run(experiment, RunMode(f"hypothesis-{name}", bare=True), alone_s)
    _look(context, experiment, "before")
    context.task.update(detail=f"{experiment.id}: dry")
    chaos.run(experiment, RunMode("dry", dry=True), whole_s)
    context.task.update(detail=f"{experiment.id}: whole")
    chaos.run(experiment, RunMode("whole", continuous=True), whole_s)
    ready = states.await_ready(_READY_S)
    context.recording.mark(context.track, "ready-again", id=experiment.id, ready=ready)
    _look(context, experiment, "whole")
    _at_rest(context, states)
    context.task.update(detail=f"{experiment.id}: aborted")
    since = context.recording.clock.now()

    mode = RunMode("aborted", first_write=lambda: _written(context, user, since))
    chaos.run(experiment, mode, whole_s)
    _at_rest(context, states)
    _look(context, experiment, "aborted")


def _written(context: LaneContext, user: str, since: float) -> float | None:
    """When a user has written, in the namespace or in none, if that was after `since`."""
    last = (context.live.audit.last_write(user, namespace) for namespace in (SERVING, ""))
    return min((each for each in last if each is not None and each > since), default=None)


def _look(context: LaneContext, experiment: Experiment, when: str) -> None:
    there = baseline(context.live.kube, (SERVING, NEIGHBOUR), KINDS)
    t = context.recording.clock.now()
    context.recording.writer.add(BaselineLook(t, experiment.id, when, there, context.live.name))


def _at_rest(context: LaneContext, states: States) -> None:
    """What one run did to the pods is over before the next begins."""
    states.await_ready()
    threading.Event().wait(0.5 * context.scale)


def _prepare_chaos(context: LaneContext) -> str:
    """Apply chaos/; what is wrong with it in words."""
    try:
        manifests = load_manifests(
            context.environment.submission,
            context.wanted.chaos.manifests,
            kubectl=context.environment.kubectl,
        )
    except BadSubmission as error:
        return str(error)
    return apply_all(context.live.kube, manifests, context.scale)


def _stand_decoys(context: LaneContext) -> None:
    """Pods with a name that begins like the predictor's, and other labels."""
    labels = {"app": "cache"}
    volume = {"name": "cache", "emptyDir": {}}
    container = {
        "name": "cache",
        "image": "cache",
        "volumeMounts": [{"name": "cache", "mountPath": "/cache"}],
    }
    body = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "predictor-cache", "namespace": SERVING},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [container], "volumes": [volume]},
            },
        },
    }
    context.live.kube.apply(body)
