"""The world that lab 3 promises: its nodes, its user, its programs, and when what is started by whom."""

from __future__ import annotations

import threading
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import yaml

from graders.audits.hunting import COMMAND
from graders.chaos.resources import WATCHED_S
from graders.clusters.provider import NodeSpec
from graders.course import load_course
from graders.definition import lab_package
from graders.evidence.bundle import BundleWriter
from graders.evidence.recording import Recording
from graders.lab3.environment.cluster import cluster_spec
from graders.lab3.environment.context import LaneContext
from graders.lab3.environment.lane import Lane
from graders.lab3.handin import Recovery
from graders.lab3.names import CEILINGS, CONTROL_PLANE_LOSS, NAMESPACE_DELETED, UNKNOWN, WITHOUT_RESTORE
from graders.lab3.runtimes import CHAOS
from graders.notebooks.records import WITHIN_S
from graders.runbooks.schedule import BackupSchedule
from graders.runbooks.scripts import Ended
from graders.runbooks.sealed import SealedBackups
from tests.unit.lab3_recording import reference

LAB = load_course().find_lab("lab3")
NODES = tuple(NodeSpec(each.name, zone=each.zone) for each in LAB.nodes)


def test_two_nodes_are_in_each_of_two_zones() -> None:
    assert {node.name: node.zone for node in NODES} == {
        "node-a1": "zone-a",
        "node-a2": "zone-a",
        "node-b1": "zone-b",
        "node-b2": "zone-b",
    }


def test_a_node_is_lost_after_8_s_and_etcd_has_one_member() -> None:
    spec = cluster_spec("one", NODES, LAB.needs)
    assert (spec.node_grace_s, spec.etcd_members) == (8.0, 1)
    assert spec.nodes == NODES


def test_the_user_of_disaster_recovery_is_in_system_masters() -> None:
    assert cluster_spec("one", NODES).identities == {"kubeproof:dr": ("system:masters",)}


def test_a_learners_cluster_up_is_the_lanes_cluster() -> None:
    made = lab_package("lab3").load("cluster")("one", NODES)
    assert made == cluster_spec("one", NODES)


def test_chaos_toolkit_is_of_the_versions_that_are_told() -> None:
    pinned = dict(
        line.split()[0].split("==")
        for line in CHAOS.read_text().splitlines()
        if line.startswith("chaostoolkit")
    )
    assert pinned["chaostoolkit"].startswith("1.19.")
    assert pinned["chaostoolkit-kubernetes"].startswith("0.39.")


def test_the_ceilings_are_those_of_the_example() -> None:
    text = (LAB.folder / "README.md").read_text(encoding="utf-8")
    block = text.partition("```yaml\nschema: kubeproof/submission/v1\n")[2].partition("```")[0]
    told = yaml.safe_load(block.partition("targets:")[2].partition("\n")[2])
    assert {each["scenario"]: (each["rto_s"], each["rpo_s"]) for each in told} == {
        name: (ceiling.rto_s, ceiling.rpo_s) for name, ceiling in CEILINGS.items()
    }


class Slow:
    """Makes backups that take a while, and says when each was made."""

    def __init__(self, takes_s: float) -> None:
        self.takes_s = takes_s
        self.made: list[tuple[float, float, float, str]] = []
        self.enough = threading.Event()

    def make_backup(self, command: tuple[str, ...], timeout_s: float, *, id: str, **_: Any) -> Ended:
        assert command == ("dr/backup",)
        recording = self.recording
        began = recording.clock.now()
        threading.Event().wait(self.takes_s)
        self.made.append((began, recording.clock.now(), timeout_s, id))
        if len(self.made) == 4:
            self.enough.set()
        return Ended(0, "exited with code 0")

    recording: Recording


def made(folder: Path, every_s: float, takes_s: float) -> list[tuple[float, float, float, str]]:
    """What a schedule made: begin, end, the time that it had, and its id."""
    with BundleWriter(folder / "bundle") as writer:
        scripts = Slow(takes_s)
        scripts.recording = Recording(writer)
        backups, command = SealedBackups(folder), ("dr/backup",)
        with BackupSchedule(
            cast(Any, scripts), scripts.recording, command, every_s, backups, 1.0
        ) as schedule:
            schedule.go()
            assert scripts.enough.wait(10.0)
        assert [each.id for each in backups.sealed][:4] == [id for *_, id in scripts.made][:4]
    return scripts.made[:4]


def test_a_backup_is_started_every_so_often_and_may_take_15_s(tmp_path: Path) -> None:
    found = made(tmp_path, every_s=0.3, takes_s=0.05)
    assert [later[0] - each[0] for each, later in pairwise(found)] == pytest.approx([0.3] * 3, abs=0.15)
    assert {timeout_s for _, _, timeout_s, _ in found} == {15.0}


def test_there_are_never_two_backups_at_a_time(tmp_path: Path) -> None:
    found = made(tmp_path, every_s=0.05, takes_s=0.2)
    assert all(later[0] >= each[1] for each, later in pairwise(found))


def test_a_backup_has_a_random_name(tmp_path: Path) -> None:
    names = [id for *_, id in (*made(tmp_path / "a", 0.01, 0.0), *made(tmp_path / "b", 0.01, 0.0))]
    assert len(set(names)) == len(names)
    assert {len(name) for name in names} == {16}
    assert all(int(name, 16) for name in names)


@pytest.mark.parametrize("scenario", [*CEILINGS, UNKNOWN])
def test_restore_is_told_which_scenario_it_is(scenario: str) -> None:
    asked: list[tuple[str, ...]] = []

    def run(script: str, command: tuple[str, ...], timeout_s: float, **_: object) -> Ended:
        del timeout_s
        asked.append((script, *command))
        return Ended(0, "exited with code 0")

    wanted = SimpleNamespace(dr=Recovery((), ("dr/restore", "-v"), (), 5))
    unused: Any = None
    lane = Lane(
        context=cast(LaneContext, SimpleNamespace(wanted=wanted)),
        prober=unused,
        scripts=cast(Any, SimpleNamespace(run=run)),
        schedule=cast(Any, SimpleNamespace(backups=SimpleNamespace(folder=Path("sealed")))),
        ledger=unused,
        ledgers=unused,
        key_of=lambda _: b"",
    )
    lane.restore(scenario, "told", 1.0)
    assert asked == [("restore", "dr/restore", "-v", "--scenario", scenario)]


def test_on_record_restore_is_started_one_second_after_the_fault() -> None:
    recorded = reference().parts
    seen = 0
    for drill in recorded["drills"]:
        key = drill["phase"] if drill["attempt"] == 1 else f"{drill['phase']}-{drill['attempt']}"
        runs = [
            each
            for each in recorded["scriptruns"]
            if (each["cluster"], each["script"], each["purpose"]) == (drill["cluster"], "restore", key)
        ]
        assert bool(runs) == (drill["scenario"] not in WITHOUT_RESTORE)
        for run in runs:
            assert run["t"] - drill["t_end"] == pytest.approx(1.0, abs=0.2)
            seen += 1
    assert seen >= 7


def test_what_an_executor_has_done_is_left_for_3_s() -> None:
    assert WATCHED_S == 3.0


def test_a_notebook_has_120_s() -> None:
    assert WITHIN_S == 120.0


def test_kube_hunter_is_passive() -> None:
    assert "--active" not in COMMAND
    assert COMMAND[:3] == ("kube-hunter", "--remote", "127.0.0.1")


def test_on_record_an_experiment_is_aborted_half_a_second_into_the_pause_after_its_first_change() -> None:
    recorded = reference().parts
    aborted = [each for each in recorded["experimentruns"] if each["purpose"] == "aborted"]
    assert [each["experiment"] for each in aborted] == ["pod-kill", "cordon"]
    for run in aborted:
        first = min(
            each["t_end"]
            for each in recorded["audit"]
            if ":chaos:" in each["user"]
            and run["t"] <= each["t"] <= run["t_end"]
            and each["verb"] in ("delete", "patch", "update")
        )
        # The pause begins once the action has ended, and its log line is looked for every 50 ms.
        assert 0.5 <= run["aborted"] - first <= 1.5


def test_on_record_each_experiment_is_asked_in_four_states_and_run_three_times() -> None:
    runs = [(each["experiment"], each["purpose"]) for each in reference().parts["experimentruns"]]
    purposes = ("healthy", "at-zero", "no-match", "unready")
    wanted = [*(f"hypothesis-{name}" for name in purposes), "dry", "whole", "aborted"]
    assert runs == [(id, purpose) for id in ("pod-kill", "cordon") for purpose in wanted]


def test_on_record_each_is_lost_twice_and_once_more_with_one_backup_alone() -> None:
    recorded = reference().parts
    for track, scenario in (("control-plane", CONTROL_PLANE_LOSS), ("namespace", NAMESPACE_DELETED)):
        phases = {each["phase"] for each in recorded["drills"] if each["scenario"] == scenario}
        assert phases == {"random-phase", "late"}
        names = [mark["name"] for mark in recorded["marks"] if mark["track"] == track]
        assert names.count("supplied") == names.count("given") == 1


def test_on_record_the_whole_of_it_takes_about_five_minutes() -> None:
    ended = [track["ended"] for track in reference().manifest["tracks"].values()]
    assert 240.0 <= max(ended) <= 360.0


def test_on_record_each_lane_has_a_cluster_of_its_own() -> None:
    recorded = reference()
    lanes = {mark["track"] for mark in recorded.parts["marks"]} | {"audits"}
    assert lanes == set(recorded.manifest["clusters"])
    assert len(lanes) == 5


def test_on_record_experiments_are_run_by_the_account_in_namespace_chaos() -> None:
    recorded = reference().parts
    (user,) = {each["user"] for each in recorded["audit"] if each["cluster"] == "experiments"}
    assert user == "system:serviceaccount:chaos:chaos-runner"
