"""For how long a drill is watched: its record has to show what a recovery is, whatever came last."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any, cast

import pytest

from graders.evidence.bundle import BundleWriter
from graders.evidence.recording import Recording
from graders.lab3 import lanes as lanes_of_the_lab
from graders.lab3.environment import lane as lanes
from graders.lab3.environment.context import LaneContext
from graders.lab3.environment.lane import Lane
from graders.lab3.names import AUDITS, CONTROLLER_LOSS, POD_KILL
from graders.lab3.tracks import drilling
from graders.lab3.tracks.drilling import DrillPlan, drill
from graders.recovery.probes import ProbeSpec
from graders.runbooks.scripts import Ended
from graders.scenario import steadystate as probers
from graders.scenario.lanes import LaneCluster, NothingToShow
from graders.scenario.starvation import StarvationControl
from graders.scenario.steadystate import ProbedWorkload, SteadyStateProber
from graders.scenario.turns import Turn

Record = dict[str, Any]

STABLE_S, RESTORE_S, LIMIT_S = 0.4, 0.6, 0.1


@dataclass
class Unprobed(Lane):
    """A lane whose probes never fail, on no cluster; its restore takes a while, and ends with 0."""

    restored: float = 0.0
    killed: float = 0.0

    def restore(self, scenario: str, purpose: str, timeout_s: float) -> Ended:
        self.killed = self.now() + timeout_s
        threading.Event().wait(RESTORE_S)
        self.restored = self.now()
        return Ended(0, "exited with code 0")

    def verify(self, purpose: str) -> Ended:
        return Ended(0, "exited with code 0")

    def ledger_look(self, when: str) -> None:
        self.mark("look", when=when)

    def look_at_objects(self, when: str) -> None:
        self.mark("look", when=when)


@contextmanager
def at_rest() -> Iterator[None]:
    yield


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "STABLE_S", STABLE_S)
    monkeypatch.setattr(drilling, "STABLE_S", STABLE_S)
    monkeypatch.setattr(drilling, "ALERT_AFTER_S", 0.05)
    monkeypatch.setattr(probers, "CANARY", ProbeSpec("canary", 0.1, LIMIT_S))


def drilled(scenario: str, folder: Path) -> tuple[Unprobed, Record]:
    """The lane in which a drill was done, and what is on record of that."""
    with BundleWriter(folder / "bundle") as writer:
        lane = unprobed(Recording(writer), folder)
        assert drill(lane, DrillPlan(scenario, scenario, lambda: None))
    (written,) = map(json.loads, (folder / "bundle" / "drills.jsonl").read_text().splitlines())
    return lane, written


def unprobed(recording: Recording, folder: Path) -> Unprobed:
    unused: Any = SimpleNamespace(name="none", get=None)
    wanted = SimpleNamespace(target=lambda _: SimpleNamespace(rto_s=30.0))
    context = LaneContext(
        track="workload",
        live=unused,
        control=unused,
        recording=recording,
        environment=unused,
        wanted=cast(Any, wanted),
        manifests=(),
        scale=1.0,
        dice=Random(0),
        folder=folder,
        task=cast(Any, SimpleNamespace(update=lambda detail: None)),
        turn=Turn(),
        starvation=StarvationControl(recording),
    )
    probed = ProbedWorkload("serving", "predictor", 2, "canaries", "probe")
    schedule = SimpleNamespace(halted=at_rest, backups=SimpleNamespace(sealed=[]))
    ledger = SimpleNamespace(held=at_rest, name="serving")
    return Unprobed(
        context=context,
        prober=SteadyStateProber(recording, unused, "none", probed, 1.0),
        scripts=unused,
        schedule=cast(Any, schedule),
        ledger=cast(Any, ledger),
        ledgers=cast(Any, None),
        key_of=lambda _: b"",
    )


def test_w_is_watched_from_the_end_of_the_restore(tmp_path: Path) -> None:
    # What a runbook did last may be what its recovery comes after: that has to be seen for W, too.
    lane, drill = drilled(CONTROLLER_LOSS, tmp_path)
    restored = lane.restored
    assert restored - drill["t_end"] > STABLE_S + LIMIT_S
    assert drill["watched"] - restored >= STABLE_S + LIMIT_S


def test_what_needs_no_restore_is_watched_from_the_fault_on(tmp_path: Path) -> None:
    lane, drill = drilled(POD_KILL, tmp_path)
    assert lane.restored == 0.0
    assert drill["watched"] - drill["t_end"] >= STABLE_S + LIMIT_S


def test_from_a_fault_until_recovery_backups_and_records_rest(tmp_path: Path) -> None:
    resting: set[str] = set()
    during: list[set[str]] = []

    @contextmanager
    def rests(what: str) -> Iterator[None]:
        resting.add(what)
        yield
        resting.discard(what)

    with BundleWriter(tmp_path / "bundle") as writer:
        lane = unprobed(Recording(writer), tmp_path)
        cast(Any, lane.schedule).halted = lambda: rests("backups")
        cast(Any, lane.ledger).held = lambda: rests("records")
        plan = DrillPlan(
            CONTROLLER_LOSS,
            "once",
            lambda: during.append(set(resting)),
            recovered=lambda: during.append(set(resting)),
        )
        assert drill(lane, plan)
    assert during == [{"backups", "records"}] * 2
    assert resting == set()


def test_a_restore_is_killed_30_s_after_its_target(tmp_path: Path) -> None:
    lane, drill = drilled(CONTROLLER_LOSS, tmp_path)
    assert lane.killed - drill["t_end"] == pytest.approx(lane.rto_s(CONTROLLER_LOSS) + 30.0, abs=0.1)


def test_a_lane_acts_with_its_cluster_and_what_was_handed_in(tmp_path: Path) -> None:
    unused: Any = SimpleNamespace(kubectl=Path("kubectl"), submission=tmp_path)
    with BundleWriter(tmp_path / "bundle") as writer:
        lane = unprobed(Recording(writer), tmp_path).context
        there = LaneCluster(**{each.name: getattr(lane, each.name) for each in fields(LaneCluster)})
        manifest = SimpleNamespace(workload=("missing",))
        submission = SimpleNamespace(manifest=manifest, root=tmp_path)
        settings = SimpleNamespace(nodes=("node",))
        run: Any = SimpleNamespace(recording=lane.recording, submission=submission, settings=settings)
        audited = lanes_of_the_lab._context(run, unused, replace(there, track=AUDITS))
        assert (audited.live, audited.manifests, audited.nodes) == (lane.live, (), ("node",))
        with pytest.raises(NothingToShow):
            lanes_of_the_lab._context(run, unused, there)
    (mark,) = map(json.loads, (tmp_path / "bundle" / "marks.jsonl").read_text().splitlines())
    assert (mark["track"], mark["name"]) == ("workload", "workload")
    assert "missing" in mark["data"]["problem"]
