"""Lab 2 where no API server can be stopped, as on kind: what is not shown costs nothing."""

import socket
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from graders.admission.engines import Placing
from graders.clusters.kind.nodeloopback import process_of
from graders.course import load_course
from graders.lab2.names import OUTAGE
from graders.lab2.tracks import outage
from graders.model import Capability, Status
from graders.scoring import score
from tests.unit.flaws import checks_of, judged_alone
from tests.unit.lab2_recording import reference


def test_what_stops_an_api_server_is_unsupported_and_its_points_stay_in_its_group(tmp_path: Path) -> None:
    recording = reference()
    shown = [each for each in recording.manifest["capabilities"] if each != Capability.ETCD_ACCESS]
    recording.manifest["capabilities"] = shown
    del recording.manifest["tracks"][OUTAGE]
    outcomes = judged_alone(recording.held(tmp_path / "bundle"), checks_of("lab2"))
    assert {name for name, each in outcomes.items() if each.status is not Status.PASSED} == {"engine-loss"}
    assert outcomes["engine-loss"].status is Status.UNSUPPORTED

    result = score(load_course().find_lab("lab2").rubric, tuple(outcomes.values()), capabilities=shown)
    assert result.total == result.possible == Decimal(100)
    moved = [each for each in result.criteria if each.points != each.criterion.points]
    assert {each.criterion.group for each in moved} == {"drift"}


def test_the_track_is_left_out_where_no_control_plane_is_ours() -> None:
    def fleet(control: object) -> Any:
        return SimpleNamespace(
            spokes={outage.AWAY: SimpleNamespace(cluster=SimpleNamespace(control=control))}
        )

    assert outage.possible(fleet(object()))
    assert not outage.possible(fleet(None))


def test_a_webhook_is_reached_by_the_port_of_a_loopback_that_is_another_one() -> None:
    def elsewhere(port: int) -> socket.socket:
        return socket.create_server(("127.0.0.2", port))

    cluster: Any = SimpleNamespace(loopback_listener=elsewhere)
    nothing: Any = None
    place = Placing(nothing, Path(), Path(), nothing, Path(), cluster)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with place.leading(port), socket.create_connection(("127.0.0.2", port), timeout=5) as asking:
            answering, _ = server.accept()
            with answering:
                answering.sendall(b"judged")
            assert asking.recv(16) == b"judged"


def test_a_container_is_found_by_its_groups_and_the_number_that_the_engine_gives(tmp_path: Path) -> None:
    def process(pid: int, numbers: str, group: str) -> None:
        folder = tmp_path / str(pid)
        folder.mkdir()
        (folder / "status").write_text(f"Name:\tsystemd\nNSpid:\t{numbers}\n")
        (folder / "cgroup").write_text(f"0::/{group}/init.scope\n")

    process(41, "41\t7\t1", "kubeproof/abc")
    process(42, "42\t8\t1", "kubeproof/abc")
    process(43, "43\t7\t1", "kubeproof/other")
    process(44, "44\t1", "docker/whole")
    (tmp_path / "45").mkdir()
    assert process_of("abc", 7, tmp_path) == "41"
    assert process_of("whole", 44, tmp_path) == "44"
    with pytest.raises(ProcessLookupError):
        process_of("abc", 9, tmp_path)
