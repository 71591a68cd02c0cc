"""Which mitigation is tried, and how: the fault comes with what was before, and again with what is after."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from graders.kube.client import Answer
from graders.lab3.environment.lane import Lane
from graders.lab3.names import NODE_LOSS, POD_KILL
from graders.lab3.tracks import mitigation as mitigations
from graders.lab3.tracks.drilling import DrillPlan
from graders.lab3.tracks.mitigation import mitigation

ITEM = """\
  - id: {id}
    finding: F1
    type: mitigate
    action: Do something.
    owner: somebody
    priority: P1
    due: 2030-01-01
    verify_by: {{scenario: {scenario}}}
    expected: {{metric: rto_s, from: 60, to: 7}}
    status: {status}
    links: [PROJ-304]
"""
MANIFEST = "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: serving}}\n"


def item(id: str, scenario: str, status: str) -> str:
    held = f"    mitigation: mitigations/{id}\n" if status == "done" else ""
    return ITEM.format(id=id, scenario=scenario, status=status) + held


class Tried:
    """A lane on no cluster, which notes down what is done in it."""

    def __init__(self, root: Path, workload: tuple[Any, ...] = ()) -> None:
        self.told: list[str] = []
        self.marks: dict[str, Any] = {}
        environment = SimpleNamespace(submission=root, kubectl=None)
        self.context = SimpleNamespace(environment=environment, manifests=workload, scale=1.0)
        self.kube = self

    def apply(self, data: Any) -> Answer:
        self.told.append(f"apply {data['metadata']['name']}")
        return Answer(200, data)

    def get(self, path: str) -> dict[str, Any]:
        assert path.endswith("/deployments/predictor")
        status = {"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}
        return {"metadata": {"generation": 1}, "spec": {"replicas": 2}, "status": status}

    def tell(self, detail: str) -> None:
        del detail

    def mark(self, name: str, **data: Any) -> None:
        assert name == "mitigation"
        self.marks = data


def tried(root: Path, monkeypatch: pytest.MonkeyPatch, *items: str) -> Tried:
    (root / "backlog.yaml").write_text("schema: kubeproof/lab3-backlog/v1\nitems:\n" + "".join(items))
    lane = Tried(root)

    def drill(there: Lane, plan: DrillPlan) -> bool:
        assert there is cast(Any, lane)
        lane.told.append(plan.phase)
        plan.fault()
        return True

    monkeypatch.setattr(mitigations, "drill", drill)
    faults = {
        name: (
            lambda name=name: lane.told.append(name),
            lambda name=name: lane.told.append(f"{name} is over"),
        )
        for name in (POD_KILL, NODE_LOSS)
    }
    mitigation(cast(Any, lane), cast(Any, faults))
    return lane


def manifests_of(root: Path, id: str) -> None:
    for part in ("before", "after"):
        folder = root / "mitigations" / id / part
        folder.mkdir(parents=True)
        (folder / "objects.yaml").write_text(MANIFEST.format(name=f"{id}-{part}"))


def test_the_first_that_is_done_and_verified_by_such_a_fault_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for id in ("b2", "b3", "b4"):
        manifests_of(tmp_path, id)
    lane = tried(
        tmp_path,
        monkeypatch,
        item("b1", NODE_LOSS, "open"),
        item("b2", "controller-loss", "done"),
        item("b3", NODE_LOSS, "done"),
        item("b4", POD_KILL, "done"),
    )
    assert lane.told == [
        "apply b3-before", "mitigation-before", NODE_LOSS, f"{NODE_LOSS} is over",
        "apply b3-after", "mitigation-after", NODE_LOSS, f"{NODE_LOSS} is over",
    ]  # fmt: skip
    assert (lane.marks["item"], lane.marks["scenario"], lane.marks["to"]) == ("b3", NODE_LOSS, "7")
    # workload/ has nothing of what was after.
    assert lane.marks["others"] == ["mitigations/b3/after/objects.yaml:1"]


def test_where_none_is_done_nothing_is_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lane = tried(tmp_path, monkeypatch, item("b1", POD_KILL, "open"), item("b2", "controller-loss", "done"))
    assert lane.told == []
    assert "no item of backlog.yaml is done and verified by pod-kill or node-loss" in lane.marks["problem"]
