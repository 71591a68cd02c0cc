"""The chain of waits that decided when a run ended, told from what the tracks waited for."""

from __future__ import annotations

import dataclasses
import io
import json
from itertools import pairwise
from pathlib import Path

import pytest
from rich.console import Console

from graders.evidence.bundle import Bundle, BundleWriter
from graders.evidence.manifest import TrackResult
from graders.evidence.records import Mark, ProcessEvent, Request, ToolRun, Wait
from graders.reports.critical import Step, critical_path, longest
from graders.reports.html import HtmlExporter
from graders.reports.overview import draw_overview
from graders.reports.report_json import JsonExporter, load_report
from graders.reports.terminal import print_report
from tests.unit.synthetic_bundle import make_bundle, make_manifest
from tests.unit.synthetic_report import graded


def wait(
    track: str, t: float, t_end: float, what: str = "pods", kind: str = "condition", by: str = ""
) -> Wait:
    return Wait(t, t_end, track, kind, what, by)


def bundle_of(
    folder: Path, tracks: dict[str, tuple[float, float]], *records: object, **timing: float
) -> Bundle:
    """Tracks from 10 s on; the cluster is up at 4 s, the run over at 60 s."""
    writer = BundleWriter(folder / "bundle")
    for record in records:
        writer.add(record)
    for track in tracks:
        writer.add(Mark(7.0, track, "namespace", {"namespace": f"team-{track}", "part": ""}))
    writer.add(Request(5.0, "install", "apply", "PATCH", "Namespace/x", 200))
    writer.close(
        make_manifest(
            tracks={name: TrackResult("done", *times) for name, times in tracks.items()},
            timing={**timing, "cluster_start": 4.0, "scenario": 56.0},
        )
    )
    return Bundle(folder / "bundle")


def path_of(bundle: Bundle, **timing: float) -> tuple[Step, ...]:
    return critical_path(dataclasses.replace(graded(), timing=timing), bundle)


def told(steps: tuple[Step, ...], since: float = 10.0) -> list[tuple[str, str, float, float]]:
    return [(step.track, step.kind, step.start, step.end) for step in steps if step.start >= since]


def test_it_leads_from_the_start_of_the_cluster_to_the_judging_without_a_gap(tmp_path: Path) -> None:
    path = path_of(bundle_of(tmp_path, {"a": (10.0, 58.0)}, wait("a", 10.0, 58.0)), judge=2.0, total=70.0)
    assert [(step.what, step.start, step.end) for step in path] == [
        ("starting the cluster", 0.0, 4.0),
        ("building the submission and measuring the machine", 4.0, 5.0),
        ("installing the manifests", 5.0, 7.0),
        ("starting the submission, up to its first successful request", 7.0, 10.0),
        ("pods", 10.0, 58.0),
        ("stopping what runs", 58.0, 60.0),
        ("judging", 60.0, 62.0),
        (
            "outside the recording: reading the submission, removing clusters, an earlier try if any",
            62.0,
            70.0,
        ),
    ]


def test_what_was_made_ready_beforehand_is_no_part_of_it(tmp_path: Path) -> None:
    bundle = bundle_of(tmp_path, {"a": (10.0, 58.0)}, wait("a", 10.0, 58.0), prepare=99.0)
    told_first = [(step.what, step.start) for step in path_of(bundle, prepare=99.0, judge=2.0, total=70.0)][
        :2
    ]
    assert told_first == [("starting the cluster", 0.0), ("measuring the machine", 4.0)]


def test_the_track_that_ended_last_decides_and_the_others_waits_count_for_nothing(tmp_path: Path) -> None:
    waits = (wait("short", 10.0, 40.0), wait("long", 10.0, 20.0), wait("long", 20.0, 50.0, "more"))
    bundle = bundle_of(tmp_path, {"short": (10.0, 40.0), "long": (10.0, 50.0)}, *waits)
    assert told(path_of(bundle))[:2] == [("long", "condition", 10.0, 20.0), ("long", "condition", 20.0, 50.0)]


def test_between_waits_a_track_acts_up_to_a_mark(tmp_path: Path) -> None:
    bundle = bundle_of(
        tmp_path, {"a": (10.0, 50.0)}, wait("a", 10.0, 20.0), Mark(29.0, "a", "scaled"), wait("a", 30.0, 50.0)
    )
    (step,) = [step for step in path_of(bundle) if step.kind == "acting"]
    assert (step.start, step.end, step.what) == (20.0, 30.0, "acting, up to its mark 'scaled'")


def test_a_wait_for_the_other_tracks_goes_on_in_the_last_of_them(tmp_path: Path) -> None:
    bundle = bundle_of(
        tmp_path,
        {"member": (10.0, 50.0), "slow": (10.0, 35.0), "other": (10.0, 34.0)},
        wait("member", 10.0, 12.0),
        wait("member", 12.0, 35.0, "the others", "others", by="slow"),
        wait("member", 35.0, 40.0, "restart", "restart"),
        wait("member", 40.0, 50.0),
        wait("other", 10.0, 34.0),
        wait("slow", 10.0, 35.0),
        ProcessEvent(36.0, "operator-1", "killed"),
    )
    assert told(path_of(bundle))[:3] == [
        ("slow", "condition", 10.0, 35.0), ("", "restart", 35.0, 40.0), ("member", "condition", 40.0, 50.0),
    ]  # fmt: skip


def test_a_restart_is_as_long_as_what_its_slowest_member_does_before_and_after(tmp_path: Path) -> None:
    bundle = bundle_of(
        tmp_path,
        {"fast": (10.0, 50.0), "slow": (10.0, 45.0)},
        wait("fast", 10.0, 20.0),
        wait("slow", 10.0, 20.0, "others", "others", by="fast"),
        wait("fast", 20.0, 40.0, "restart", "restart"),
        wait("slow", 20.0, 40.0, "restart", "restart"),
        wait("slow", 20.0, 26.0, "to be prepared"),
        ProcessEvent(27.0, "operator-1", "killed"),
        wait("slow", 30.0, 40.0, "to have caught up"),
        wait("fast", 40.0, 50.0),
    )
    assert told(path_of(bundle), since=20.0)[:4] == [
        ("slow", "condition", 20.0, 26.0), ("", "restart", 26.0, 30.0),
        ("slow", "condition", 30.0, 40.0), ("fast", "condition", 40.0, 50.0),
    ]  # fmt: skip


def test_a_wait_for_a_turn_goes_on_in_the_track_that_had_it_before(tmp_path: Path) -> None:
    bundle = bundle_of(
        tmp_path,
        {"first": (10.0, 31.0), "second": (10.0, 50.0)},
        wait("first", 10.0, 10.01, "a turn", "turn"),
        wait("first", 10.01, 30.0),
        wait("second", 15.0, 30.0, "a turn", "turn"),
        wait("second", 30.0, 50.0),
    )
    assert told(path_of(bundle))[-3:-1] == [
        ("first", "condition", 10.0, 30.0), ("second", "condition", 30.0, 50.0),
    ]  # fmt: skip


def test_of_waits_side_by_side_the_one_that_ended_last_counts(tmp_path: Path) -> None:
    bundle = bundle_of(
        tmp_path, {"a": (10.0, 40.0)}, wait("a", 10.0, 25.0, "one"), wait("a", 10.0, 40.0, "the other")
    )
    assert [step.what for step in path_of(bundle) if step.track == "a"] == ["the other"]


def test_a_track_without_marks_ran_tools(tmp_path: Path) -> None:
    writer = BundleWriter(tmp_path / "b")
    writer.add(wait("a", 5.0, 6.0))
    for t, tool, took in ((20.0, "mypy", 8.0), (50.0, "pytest", 30.0)):
        writer.add(ToolRun(t, tool, (tool,), 0, took))
    writer.close(make_manifest(tracks={"quality": TrackResult("done", 12.0, 50.0)}, timing={}))
    steps = path_of(Bundle(tmp_path / "b"))
    assert [step.what for step in steps if step.track] == ["running mypy", "running pytest"]


def test_a_track_with_a_cluster_of_its_own_says_so(tmp_path: Path) -> None:
    started = ProcessEvent(8.0, "leader-operator-1", "started")
    bundle = bundle_of(tmp_path, {"leader": (10.0, 50.0)}, wait("leader", 10.0, 50.0), started)
    whats = [step.what for step in path_of(bundle) if step.kind == "setup"]
    assert "starting another cluster, and installing there" in whats
    assert whats[-1].endswith("in the cluster that leader has to itself")


def test_a_second_replica_is_no_cluster_of_its_own(tmp_path: Path) -> None:
    started = ProcessEvent(8.0, "leader-standby-1", "started")
    bundle = bundle_of(tmp_path, {"leader": (10.0, 50.0)}, wait("leader", 10.0, 50.0), started)
    assert not [step for step in path_of(bundle) if "has to itself" in step.what]


def test_a_bundle_without_waits_still_tells_its_stages(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "old")
    (bundle.folder / "waits.jsonl").unlink(missing_ok=True)
    path = path_of(Bundle(bundle.folder))
    assert path[-1].track == "retries"
    assert path[-1].what == "acting; no wait is on record"


def test_no_bundle_or_no_track_has_no_chain(tmp_path: Path) -> None:
    assert critical_path(graded(), None) == ()
    assert path_of(bundle_of(tmp_path, {})) == ()


@pytest.mark.parametrize("waits", [
    (wait("a", 20.0, 20.0), wait("a", 20.0, 40.0, kind="others", by="a")),
    (wait("a", 12.0, 40.0, kind="others", by="never-heard-of"),),
    (
        wait("a", 12.0, 40.0, kind="turn"), wait("b", 12.0, 39.0, kind="turn"),
        wait("a", 11.0, 38.0, kind="turn"),
    ),
    (wait("a", 12.0, 40.0, kind="others", by="b"), wait("b", 12.0, 40.0, kind="others", by="a")),
    (wait("a", 30.0, 400.0), wait("a", -5.0, 12.0)),
])  # fmt: skip
def test_odd_records_still_lead_back_to_the_start(waits: tuple[Wait, ...], tmp_path: Path) -> None:
    path = path_of(bundle_of(tmp_path, {"a": (10.0, 50.0), "b": (10.0, 45.0)}, *waits))
    assert path[0].start == 0.0
    assert all(one.end == following.start for one, following in pairwise(path))
    assert path[-1].end == 60.0


def test_the_terminal_shows_the_longest_steps_and_counts_the_rest(tmp_path: Path) -> None:
    waits = [wait("a", 10.0 + i, 11.0 + i, f"step {i}") for i in range(20)]
    bundle = bundle_of(tmp_path, {"a": (10.0, 50.0)}, *waits, wait("a", 30.0, 50.0, "the long one"))
    report = graded()
    stream = io.StringIO()
    path = critical_path(report, bundle)
    print_report(report, Console(file=stream, width=100), {}, path)
    text = " ".join(stream.getvalue().split())
    assert "20.0 s a: waiting for the long one" in text
    shown, others = longest(path, 8)
    assert (len(shown), len(others)) == (8, len(path) - 8)
    assert f"{len(others)} shorter steps" in text


def test_page_and_json_tell_it_too(tmp_path: Path) -> None:
    bundle = bundle_of(tmp_path, {"a": (10.0, 50.0), "b": (10.0, 20.0)}, wait("a", 10.0, 50.0, "the end"))
    page = HtmlExporter().render(graded(), bundle)
    assert "waiting for the end" in page
    assert page.count('class="step condition"') == 2  # in the picture, and in its legend
    assert page.count('<rect class="decisive" x=') == 1
    file = tmp_path / "report.json"
    file.write_text(JsonExporter().render(graded(), bundle))
    steps = load_report(file)["critical_path"]
    assert {"start_s": 10.0, "end_s": 50.0, "track": "a", "kind": "condition", "what": "the end"} in steps
    assert json.loads(JsonExporter().render(graded(), None))["critical_path"] == []


def test_the_picture_has_a_row_for_every_track_and_a_line_at_each_change(tmp_path: Path) -> None:
    bundle = bundle_of(tmp_path, {"a": (10.0, 50.0), "b": (10.0, 20.0)}, wait("a", 10.0, 50.0))
    picture = str(draw_overview(bundle, path_of(bundle)))
    assert picture.count('class="span"') == 2
    assert picture.count('class="hand-over"') == 2  # into the track, and out of it
    assert draw_overview(bundle, ()) == ""
