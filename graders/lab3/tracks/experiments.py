"""The lane of the experiments: each hypothesis in four states, a dry run, a whole run, an aborted one."""

from __future__ import annotations

import threading

from graders.chaos.account import account_of
from graders.chaos.running import ExperimentRunner, Runnable, runnable
from graders.chaos.session import ChaosSession
from graders.chaos.spec import ChaosKit, RunMode
from graders.faults import BadSubmission
from graders.kube.client import ApiRefused
from graders.kube.paths import resource_path
from graders.lab3.handin import Experiment
from graders.lab3.names import CHAOS, OVER, SERVING
from graders.lab3.records import BaselineLook
from graders.lab3.world.baseline import KEPT, baseline
from graders.lab3.world.setting import LaneSetting
from graders.lab3.world.states import PODS, States
from graders.lab3.world.workload import apply_workload
from graders.polling import NotYet, TimedOut, wait_for
from graders.submissions.manifests import load_manifests

_ALONE_S, _WHOLE_S, _READY_S = 60.0, 90.0, 15.0
_DECOYS = resource_path("apps/v1", "deployments", namespace=SERVING)


def experiments(setting: LaneSetting) -> None:
    """All of them, one after the other.

    Raises:
        InfraFault: the cluster does not answer, or does not get into a state.
    """
    kube, live, recording = setting.live.kube, setting.live, setting.recording
    problem = apply_workload(kube, setting.manifests, setting.scale)
    recording.mark(setting.track, "workload", problem=problem, scale=setting.scale, cluster=live.name)
    if problem:
        return
    _stand_decoys(setting)
    if problem := _prepare_chaos(setting):
        recording.mark(setting.track, "chaos", problem=problem)
        return
    try:
        account = account_of(kube, CHAOS, setting.wanted.chaos.service_account)
    except ApiRefused as error:
        recording.mark(setting.track, "chaos", problem=str(error))
        return
    recording.mark(setting.track, "chaos", problem="", user=account.user)
    session = ChaosSession(_kit(setting), recording, account, live.name, setting.dice, setting.scale)
    chaos = ExperimentRunner(session)
    live.watches.follow("pods", PODS)
    live.watches.follow("nodes", resource_path("v1", "nodes"))
    for version, plural in KEPT:
        live.watches.follow(plural, resource_path(version, plural, namespace=SERVING))
    states = States(kube, setting.control, setting.scale)
    for experiment in setting.wanted.chaos.experiments:
        found = runnable(setting.kit.submission.root, experiment, account.name)
        recording.mark(
            setting.track,
            "experiment",
            id=experiment.id,
            problem=found.problem,
            unsupported=found.unsupported,
        )
        if found == Runnable():
            try:
                _try(setting, chaos, states, experiment, account.user)
            except ApiRefused as refused:
                # What was handed in may forbid the states in which a hypothesis is asked for.
                recording.mark(setting.track, OVER, why=str(refused)[:500])
                return


def _kit(setting: LaneSetting) -> ChaosKit:
    kit, chaos = setting.kit, setting.wanted.chaos
    return ChaosKit(
        sandbox=kit.sandbox,
        submission=kit.submission.root,
        runtime=kit.runtime,
        toolkit=kit.chaos,
        programs=kit.programs(),
        limits=kit.tool_limits,
        folder=kit.folder,
        settings=chaos.settings,
        pythonpath=chaos.pythonpath,
    )


def _try(
    setting: LaneSetting, chaos: ExperimentRunner, states: States, experiment: Experiment, user: str
) -> None:
    alone_s, whole_s = _ALONE_S * setting.scale, _WHOLE_S * setting.scale
    for name, state in states.all().items():
        setting.task.update(detail=f"{experiment.id}: hypothesis, {name}")
        with state():
            chaos.run(experiment, RunMode(f"hypothesis-{name}", bare=True), alone_s)
    _look(setting, experiment, "before")
    setting.task.update(detail=f"{experiment.id}: dry")
    chaos.run(experiment, RunMode("dry", dry=True), whole_s)
    setting.task.update(detail=f"{experiment.id}: whole")
    chaos.run(experiment, RunMode("whole", continuous=True), whole_s)
    ready = states.await_ready(_READY_S)
    setting.recording.mark(setting.track, "ready-again", id=experiment.id, ready=ready)
    _look(setting, experiment, "whole")
    _at_rest(setting, states)
    setting.task.update(detail=f"{experiment.id}: aborted")
    since = setting.recording.clock.now()

    mode = RunMode("aborted", first_write=lambda: _written(setting, user, since))
    chaos.run(experiment, mode, whole_s)
    _at_rest(setting, states)
    _look(setting, experiment, "aborted")


def _written(setting: LaneSetting, user: str, since: float) -> float | None:
    """When a user has written, in the namespace or in none, if that was after `since`."""
    last = (setting.live.audit.last_write(user, namespace) for namespace in (SERVING, ""))
    return min((each for each in last if each is not None and each > since), default=None)


def _look(setting: LaneSetting, experiment: Experiment, when: str) -> None:
    setting.recording.writer.add(
        BaselineLook(
            setting.recording.clock.now(), experiment.id, when, baseline(setting.live.kube), setting.live.name
        )
    )


def _at_rest(setting: LaneSetting, states: States) -> None:
    """What one run did to the pods is over before the next begins."""
    states.await_ready()
    threading.Event().wait(0.5 * setting.scale)


def _prepare_chaos(setting: LaneSetting) -> str:
    """Apply chaos/; what is wrong with it in words."""
    try:
        manifests = load_manifests(
            setting.kit.submission.root, setting.wanted.chaos.manifests, kubectl=setting.kit.kubectl
        )
    except BadSubmission as error:
        return str(error)
    for manifest in manifests:

        def accepted(data: dict[str, object] = manifest.data) -> None:
            answer = setting.live.kube.apply(data)
            if not answer.ok:
                raise NotYet(f"{answer.code} {answer.message}")

        try:
            wait_for(accepted, timeout_s=5.0 * setting.scale, interval_s=0.1)
        except TimedOut as mismatch:
            return f"{manifest.file}:{manifest.line}: the API server refuses it: {mismatch}"
    return ""


def _stand_decoys(setting: LaneSetting) -> None:
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
    setting.live.kube.apply(body)
