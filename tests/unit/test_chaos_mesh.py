"""Custom resources of Chaos Mesh: what they come down to, and what is said of those that come to nothing."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pytest

from graders.chaos.chaosmesh import read_chaos_mesh
from graders.chaos.durations import seconds_of
from graders.chaos.selections import (
    ALL,
    FIXED,
    ONE,
    PERCENT,
    PERCENT_DOWN,
    PodSelection,
    label_query,
)
from graders.chaos.steps import FailPods, InTurn, KillPods, NotRunHere, Pause, SideBySide
from graders.documents import Document, load_document
from graders.faults import BadSubmission

POD_KILL = """\
apiVersion: chaos-mesh.org/v1alpha1
kind: PodChaos
metadata: {name: kill, namespace: chaos}
spec:
  action: pod-kill
  mode: fixed
  value: "2"
  gracePeriod: 3
  selector:
    namespaces: [serving]
    labelSelectors: {app: predictor}
"""
WORKFLOW = """\
apiVersion: chaos-mesh.org/v1alpha1
kind: Workflow
metadata: {name: walk}
spec:
  entry: all
  templates:
    - {name: all, templateType: Serial, deadline: 30s, children: [wait, both]}
    - {name: wait, templateType: Suspend, deadline: 1m30s}
    - {name: both, templateType: Parallel, children: [fail, kill, kill]}
    - name: fail
      templateType: PodChaos
      deadline: 4s
      podChaos: {action: pod-failure, mode: one, selector: {namespaces: [serving]}}
    - name: kill
      templateType: PodChaos
      podChaos: {action: pod-kill, mode: all, selector: {labelSelectors: {app: predictor}}}
"""
SCHEDULE = """\
apiVersion: chaos-mesh.org/v1alpha1
kind: Schedule
metadata: {name: kill}
spec:
  schedule: "*/5 * * * *"
  type: PodChaos
  podChaos: {action: pod-failure, mode: one, duration: 5s, selector: {namespaces: [serving]}}
"""


def read(folder: Path, text: str) -> Document:
    path = folder / "chaos.yaml"
    path.write_text(text, encoding="utf-8")
    return load_document(path, shown_as="chaos.yaml")


def pod(name: str, phase: str = "Running", *, going: bool = False) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "serving", **({"deletionTimestamp": "now"} if going else {})}
    return {"metadata": metadata, "status": {"phase": phase}}


def test_a_pod_kill_says_whom_how_many_and_with_what_grace(tmp_path: Path) -> None:
    step = read_chaos_mesh(read(tmp_path, POD_KILL))
    assert isinstance(step, KillPods)
    assert (step.name, step.grace_s) == ("kill", 3)
    chosen = step.selection
    assert (chosen.namespaces, chosen.query) == (("serving",), "app=predictor")
    assert (chosen.mode, chosen.value) == (FIXED, 2)
    assert chosen.where.startswith("chaos.yaml:")


def test_a_pod_kill_that_lasts_is_followed_by_a_pause(tmp_path: Path) -> None:
    step = read_chaos_mesh(read(tmp_path, POD_KILL.replace("gracePeriod: 3", "duration: 7s")))
    assert isinstance(step, InTurn)
    assert [type(each) for each in step.children] == [KillPods, Pause]


def test_a_workflow_is_walked_in_its_order(tmp_path: Path) -> None:
    step = read_chaos_mesh(read(tmp_path, WORKFLOW))
    assert isinstance(step, InTurn)
    assert step.deadline_s == 30
    wait, both = step.children
    assert wait == Pause(90)
    assert isinstance(both, SideBySide)
    assert [type(each) for each in both.children] == [FailPods, KillPods, KillPods]
    fail, kill, _ = both.children
    assert isinstance(fail, FailPods)
    assert fail.duration_s == 4
    assert isinstance(kill, KillPods)
    # Without namespaces, a selector means its own.
    assert kill.selection.namespaces == ("default",)


def test_a_schedule_is_what_it_does_each_time(tmp_path: Path) -> None:
    step = read_chaos_mesh(read(tmp_path, SCHEDULE))
    assert isinstance(step, FailPods)
    assert step.duration_s == 5
    every = SCHEDULE.replace("*/5 * * * *", "@every 30s")
    assert read_chaos_mesh(read(tmp_path, every)) == step


@pytest.mark.parametrize(
    ("text", "old", "new", "line", "says", "fix"),
    [
        (
            POD_KILL,
            "gracePeriod: 3",
            "gracePeriods: 3",
            8,
            'unknown field "gracePeriods" in spec',
            "gracePeriod",
        ),
        (POD_KILL, "labelSelectors:", "labelSelector:", 11, "unknown field", "labelSelectors"),
        (POD_KILL, "namespace: chaos", "namespce: chaos", 3, "unknown field", "namespace"),
        (POD_KILL, "pod-kill", "pod-kil", 5, "spec.action is", "pod-kill"),
        (POD_KILL, "mode: fixed", "mode: two", 6, "spec.mode is", "fixed-percent"),
        (POD_KILL, 'value: "2"', "value: 2", 7, "where text is expected", "text"),
        (POD_KILL, '"2"', f'"{"9" * 5000}"', 7, "mode fixed has value", "how many pods"),
        (POD_KILL, 'value: "2"', 'value: "0"', 7, "mode fixed has value", "how many pods"),
        (
            POD_KILL,
            'fixed\n  value: "2"',
            'fixed-percent\n  value: "101"',
            7,
            "fixed-percent",
            "from 1 to 100",
        ),
        (POD_KILL, "gracePeriod: 3", "gracePeriod: -3", 8, "does not allow", "minimum"),
        (POD_KILL, "gracePeriod: 3", "duration: soon", 8, "no duration", "5s"),
        (POD_KILL, "mode: fixed", "mode: random-max-percent", 6, "is not drawn here", "fixed-percent"),
        (POD_KILL, "labelSelectors:", "annotationSelectors:", 11, "not evaluated", "labelSelectors"),
        (POD_KILL, "pod-kill", "pod-failure", 5, "pod-failure has no duration", "add duration"),
        (POD_KILL, "kind: PodChaos", "kind: PodChoas", 2, "there is no kind", "PodChaos"),
        (POD_KILL, "mesh.org/v1alpha1", "mesh.org/v1", 1, "apiVersion", "chaos-mesh.org/v1alpha1"),
        (
            POD_KILL,
            "    labelSelectors: {app: predictor}",
            "    expressionSelectors:\n      - {key: app, operator: Is, values: [predictor]}",
            11,
            "there is no operator",
            "correct",
        ),
        (
            POD_KILL,
            "labelSelectors: {app: predictor}",
            "podPhaseSelectors: [Runing]",
            11,
            "no phase",
            "Running",
        ),
        (WORKFLOW, "children: [wait, both]", "children: [wait, bth]", 7, "there is no template", "both"),
        (WORKFLOW, "[fail, kill, kill]", "[fail, all]", 9, "calls itself", "Suspend"),
        (WORKFLOW, "[fail, kill, kill]", f"[{', '.join(['fail'] * 200)}]", 9, "over 200 templates", "fewer"),
        (WORKFLOW, "      deadline: 4s\n", "", 12, "pod-failure has no deadline", "add deadline"),
        (WORKFLOW, ", deadline: 1m30s", "", 8, "without a deadline never ends", "add deadline"),
        (WORKFLOW, "{name: wait,", "{name: all,", 8, "two templates are called", "its own"),
        (WORKFLOW, "templateType: Suspend", "templateType: Task", 8, "not run here", "Serial"),
        (SCHEDULE, "*/5 * * * *", "every five minutes", 5, "is no schedule", "five fields"),
        (SCHEDULE, "type: PodChaos", "type: Workflow", 6, "there is no workflow", "add workflow"),
        (SCHEDULE, ", duration: 5s", "", 7, "has no duration", "add duration"),
    ],
)
def test_what_comes_to_nothing_is_told_with_its_line(  # noqa: PLR0917  (a table)
    tmp_path: Path, text: str, old: str, new: str, line: int, says: str, fix: str
) -> None:
    assert old in text
    with pytest.raises(BadSubmission) as caught:
        read_chaos_mesh(read(tmp_path, text.replace(old, new, 1)))
    told = str(caught.value)
    assert told.startswith(f"chaos.yaml:{line}: "), told
    assert says in told
    assert fix in caught.value.fix


def test_what_needs_a_daemon_is_not_run_here_and_is_still_read_strictly(tmp_path: Path) -> None:
    network = POD_KILL.replace("PodChaos", "NetworkChaos").replace("action: pod-kill", "action: delay")
    network = network.replace("  gracePeriod: 3\n", "  delay: {latency: 10ms}\n")
    with pytest.raises(NotRunHere, match="NetworkChaos needs a daemon"):
        read_chaos_mesh(read(tmp_path, network))
    with pytest.raises(BadSubmission, match="unknown field"):
        read_chaos_mesh(read(tmp_path, network.replace("latency", "latecy")))
    with pytest.raises(NotRunHere, match="container-kill"):
        read_chaos_mesh(read(tmp_path, POD_KILL.replace("pod-kill", "container-kill")))


@pytest.mark.parametrize(
    ("mode", "value", "of", "meant"),
    [
        (ONE, 1, 5, 1),
        (ALL, 1, 5, 5),
        (FIXED, 2, 5, 2),
        (FIXED, 9, 5, 5),
        (PERCENT, 50, 5, 3),
        (PERCENT, 1, 5, 1),
        (PERCENT_DOWN, 50, 5, 2),
        (PERCENT_DOWN, 0, 5, 1),
        (PERCENT, 100, 0, 0),
    ],
)
def test_how_many_are_meant(mode: str, value: int, of: int, meant: int) -> None:
    selection = PodSelection("chaos.yaml:1", ("serving",), mode=mode, value=value)
    chosen = selection.chosen([pod(f"p{at}") for at in range(of)], Random(7))
    assert len(chosen) == meant
    assert len({each["metadata"]["name"] for each in chosen}) == meant


def test_phases_and_what_is_going() -> None:
    pods = [pod("a"), pod("b", "Pending"), pod("c", "Failed"), pod("d", going=True)]

    def names(*phases: str) -> list[str]:
        selection = PodSelection("chaos.yaml:1", ("serving",), phases=phases)
        return [each["metadata"]["name"] for each in selection.matching(pods)]

    assert names() == ["a", "b"]
    assert names("Running") == ["a"]
    assert names("Failed", "Pending") == ["b", "c"]
    assert names("!Running") == ["b"]


def test_labels_and_expressions_are_one_label_selector() -> None:
    expressions = [
        {"key": "tier", "operator": "In", "values": ["a", "b"]},
        {"key": "old", "operator": "DoesNotExist"},
        {"key": "zone", "operator": "Exists"},
        {"key": "env", "operator": "NotIn", "values": ["test"]},
    ]
    assert label_query({"app": "predictor"}, expressions) == (
        "app=predictor,tier in (a,b),!old,zone,env notin (test)"
    )
    with pytest.raises(ValueError, match="takes no values"):
        label_query({}, [{"key": "old", "operator": "Exists", "values": ["x"]}])


@pytest.mark.parametrize(
    ("text", "seconds"), [("5s", 5), ("1m30s", 90), ("500ms", 0.5), ("1.5h", 5400), ("2h45m", 9900)]
)
def test_durations_of_go(text: str, seconds: float) -> None:
    assert seconds_of(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", "5", "s", "25h", "9" * 400 + "s", "-5s", "0s", "5 s", "5sx", "x5s", "1m 30s"]
)
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match=r"^"):
        seconds_of(text)
