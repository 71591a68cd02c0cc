"""ChaosEngines of Litmus: what they come down to, their probes, and what is said of mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from graders.chaos.litmus import read_litmus
from graders.chaos.probes import CommandProbe, Comparator, ObjectProbe
from graders.chaos.selections import ALL, PERCENT_DOWN
from graders.chaos.steps import DrainNode, InTurn, KillPods, NotRunHere, Pause, Taint, TaintNode
from graders.documents import Document, load_document
from graders.faults import BadSubmission

ENGINE = """\
apiVersion: litmuschaos.io/v1alpha1
kind: ChaosEngine
metadata: {name: chaos, namespace: chaos}
spec:
  engineState: active
  chaosServiceAccount: chaos-runner
  appinfo: {appns: serving, applabel: app=predictor, appkind: deployment}
  experiments:
    - name: pod-delete
      spec:
        components:
          env:
            - {name: TOTAL_CHAOS_DURATION, value: "10"}
            - {name: CHAOS_INTERVAL, value: "4"}
            - {name: PODS_AFFECTED_PERC, value: "50"}
        probe:
          - name: counts
            type: cmdProbe
            mode: Edge
            cmdProbe/inputs:
              command: experiments/count.sh
              comparator: {type: int, criteria: ">=", value: "2"}
            runProperties: {probeTimeout: 5s, interval: 1s, attempt: 3}
          - name: exists
            type: k8sProbe
            mode: Continuous
            k8sProbe/inputs:
              {group: apps, version: v1, resource: deployments, namespace: serving,
               resourceNames: "a, b", operation: absent}
            runProperties: {probeTimeout: 5s, interval: 1s, probePollingInterval: 2s, stopOnFailure: true}
"""
NODE = ENGINE.replace("name: pod-delete", "name: node-taint").replace(
    """            - {name: CHAOS_INTERVAL, value: "4"}
            - {name: PODS_AFFECTED_PERC, value: "50"}
""",
    """            - {name: TARGET_NODE, value: node-a1}
            - {name: TAINTS, value: "a=b:NoExecute,c:NoSchedule"}
""",
)


def read(folder: Path, text: str) -> Document:
    path = folder / "engine.yaml"
    path.write_text(text, encoding="utf-8")
    return load_document(path, shown_as="engine.yaml")


def test_pods_are_deleted_once_an_interval(tmp_path: Path) -> None:
    step = read_litmus(read(tmp_path, ENGINE), "chaos-runner").step
    assert isinstance(step, InTurn)
    assert [type(each) for each in step.children] == [KillPods, Pause] * 3
    kill = step.children[0]
    assert isinstance(kill, KillPods)
    assert kill.grace_s == 0
    chosen = kill.selection
    assert (chosen.namespaces, chosen.query) == (("serving",), "app=predictor")
    assert (chosen.mode, chosen.value) == (PERCENT_DOWN, 50)
    assert step.children[1] == Pause(4)


@pytest.mark.parametrize(("force", "grace_s"), [("true", 0), ("false", 30)])
def test_pods_are_deleted_without_grace_where_that_is_forced(
    tmp_path: Path, force: str, grace_s: int
) -> None:
    forced = ENGINE.replace('PODS_AFFECTED_PERC, value: "50"', f'FORCE, value: "{force}"')
    step = read_litmus(read(tmp_path, forced), "chaos-runner").step
    assert isinstance(step, InTurn)
    kill = step.children[0]
    assert isinstance(kill, KillPods)
    assert kill.grace_s == grace_s


def test_named_pods_are_all_meant(tmp_path: Path) -> None:
    named = ENGINE.replace('PODS_AFFECTED_PERC, value: "50"', 'TARGET_PODS, value: "one, two"')
    step = read_litmus(read(tmp_path, named), "chaos-runner").step
    assert isinstance(step, InTurn)
    kill = step.children[0]
    assert isinstance(kill, KillPods)
    assert (kill.selection.names, kill.selection.mode) == (("one", "two"), ALL)


def test_a_node_is_tainted_or_drained(tmp_path: Path) -> None:
    step = read_litmus(read(tmp_path, NODE), "chaos-runner").step
    assert isinstance(step, TaintNode)
    assert (step.node, step.duration_s) == ("node-a1", 10)
    assert step.taints == (Taint("a", "b", "NoExecute"), Taint("c", "", "NoSchedule"))
    assert list(map(str, step.taints)) == ["a=b:NoExecute", "c:NoSchedule"]
    drain = NODE.replace("node-taint", "node-drain").replace("TAINTS", "TOTAL_CHAOS_DURATION")
    drain = drain.replace('"a=b:NoExecute,c:NoSchedule"', '"7"')
    step = read_litmus(read(tmp_path, drain), "chaos-runner").step
    assert isinstance(step, DrainNode)
    assert step.duration_s == 7


def test_experiments_come_by_their_rank(tmp_path: Path) -> None:
    second = """\
    - name: node-drain
      spec:
        rank: -1
        components: {env: [{name: TARGET_NODE, value: node-a1}]}
"""
    step = read_litmus(read(tmp_path, ENGINE + second), "chaos-runner").step
    assert isinstance(step, InTurn)
    assert [type(each) for each in step.children] == [DrainNode, InTurn]


def test_probes_say_what_they_ask_and_when(tmp_path: Path) -> None:
    counts, exists = read_litmus(read(tmp_path, ENGINE), "chaos-runner").probes
    assert (counts.name, counts.mode, counts.timeout_s, counts.attempts) == ("counts", "Edge", 5, 3)
    assert counts.ask == CommandProbe("experiments/count.sh", Comparator("int", ">=", "2"))
    assert (exists.mode, exists.every_s, exists.stops) == ("Continuous", 2, True)
    path = "/apis/apps/v1/namespaces/serving/deployments"
    assert exists.ask == ObjectProbe(path, {}, ("a", "b"), present=False)


@pytest.mark.parametrize(
    ("type", "criteria", "value", "answer", "met"),
    [
        ("int", ">=", "2", "2\n", True),
        ("int", ">=", "2", "1", False),
        ("int", "<", "2", "1", True),
        ("int", "!=", "2", "2", False),
        ("int", "==", "2", "two", False),
        ("int", "==", "2", "", False),
        ("float", "<=", "0.5", "0.25", True),
        ("float", ">", "0.5", "nan", False),
        ("string", "equal", "ok", " ok \n", True),
        ("string", "notEqual", "ok", "ok", False),
        ("string", "contains", "eq", "request", True),
    ],
)
def test_answers_are_compared(type: str, criteria: str, value: str, answer: str, met: bool) -> None:
    comparator = Comparator(type, criteria, value)
    assert not comparator.problem()
    assert comparator.met(answer) is met


@pytest.mark.parametrize(
    ("text", "old", "new", "says", "fix"),
    [
        (ENGINE, "engineState: active", "engineState: stop", "nothing would be done", "active"),
        (ENGINE, "engineState: active", "engineStat: active", "unknown key", "engineState"),
        (ENGINE, "  engineState", "  annotationCheck: 'true'\n  engineState", "of older Litmus", "appinfo"),
        (ENGINE, "appkind: deployment", "appkind: pod", "appinfo.appkind", "deployment"),
        (ENGINE, "applabel: app=predictor", "applabels: app=predictor", "unknown key", "applabel"),
        (ENGINE, ", applabel: app=predictor", "", "does not say which pods", "applabel"),
        (ENGINE, "Account: chaos-runner", "Account: admin", "submission.yaml", "chaos-runner"),
        (ENGINE, "CHAOS_INTERVAL", "CHAOS_INTERVALL", "unknown setting", "CHAOS_INTERVAL"),
        (ENGINE, 'value: "4"', "value: 4", "where text is expected", "quotes"),
        (ENGINE, 'value: "4"', 'value: "0"', "CHAOS_INTERVAL is", "from 1"),
        (ENGINE, "PODS_AFFECTED_PERC", "FORCE", "FORCE is", '"true" or "false"'),
        (ENGINE, 'value: "50"', 'value: "101"', "PODS_AFFECTED_PERC is", "to 100"),
        (ENGINE, "name: pod-delete", "name: pod-deletion", "there is no experiment", "pod-delete"),
        (ENGINE, 'criteria: ">="', 'criteria: "=>"', "is none for int", "correct"),
        (ENGINE, 'value: "2"}', 'value: "two"}', "is no int", "correct"),
        (ENGINE, "mode: Edge", "mode: Edges", "mode", "SOT"),
        (ENGINE, "mode: Edge", "mode: OnChaos", "not asked here", "Continuous"),
        (ENGINE, "probeTimeout: 5s, interval: 1s, attempt: 3", "interval: 1s", "probeTimeout", "add"),
        (ENGINE, "probeTimeout: 5s", "probeTimeout: 5", "probeTimeout", "text"),
        (ENGINE, "type: cmdProbe", "type: httpProbe", "not asked here", "cmdProbe"),
        (ENGINE, "type: cmdProbe", "type: k8sProbe", "has no inputs", "k8sProbe/inputs"),
        (ENGINE, "resource: deployments", 'resource: "pods?watch=1"', "resource", "correct"),
        (ENGINE, "operation: absent", "operation: delete", "is not done here", "changes nothing"),
        (NODE, "value: node-a1", 'value: ""', "names no node", "TARGET_NODE"),
        (NODE, "a=b:NoExecute", "a=b:NoExecution", "TAINTS has", "NoSchedule"),
    ],
)  # fmt: skip
def test_what_comes_to_nothing_is_told_with_its_line(
    tmp_path: Path, text: str, old: str, new: str, says: str, fix: str
) -> None:
    assert old in text
    with pytest.raises(BadSubmission) as caught:
        read_litmus(read(tmp_path, text.replace(old, new, 1)), "chaos-runner")
    assert caught.value.file == "engine.yaml"
    assert caught.value.line is not None
    assert says in caught.value.problem
    assert fix in caught.value.fix


def test_a_hypothesis_is_asked_before_and_after(tmp_path: Path) -> None:
    only_after = ENGINE.replace("mode: Edge", "mode: EOT").replace("mode: Continuous", "mode: EOT")
    with pytest.raises(BadSubmission, match="no probe is asked before the fault"):
        read_litmus(read(tmp_path, only_after), "chaos-runner")
    only_before = ENGINE.replace("mode: Edge", "mode: SOT").replace("mode: Continuous", "mode: SOT")
    with pytest.raises(BadSubmission, match="no probe is asked after the fault"):
        read_litmus(read(tmp_path, only_before), "chaos-runner")


@pytest.mark.parametrize("name", ["pod-network-latency", "pod-io-stress", "container-kill", "node-cpu-hog"])
def test_what_needs_a_daemon_is_not_run_here(tmp_path: Path, name: str) -> None:
    with pytest.raises(NotRunHere, match=f"{name} needs a daemon"):
        read_litmus(read(tmp_path, ENGINE.replace("name: pod-delete", f"name: {name}")), "chaos-runner")
