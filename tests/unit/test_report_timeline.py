"""The picture of a track shows its marks, jobs, pods and the operator's writes where they happened."""

import itertools
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from graders.evidence.bundle import Bundle, BundleWriter
from graders.evidence.manifest import TrackResult
from graders.evidence.records import Mark, WatchEvent
from graders.reports.panels import Panel, Row, Span
from graders.reports.timeline import draw, legend
from graders.reports.trackpanels import ELEMENTS, ROWS, panels
from tests.unit.synthetic_bundle import Story, make_bundle, make_manifest


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Panel]:
    return {panel.track: panel for panel in panels(make_bundle(tmp_path_factory.mktemp("bundle")))}


def told(folder: Path, tell: object) -> Panel:
    """The panel of one track, `t`, from 0 to 10 s."""
    writer = BundleWriter(folder)
    tell(Story(writer, "t", "kp-t", itertools.count(1)))  # type: ignore[operator]
    writer.close(make_manifest(tracks={"t": TrackResult("done", 0.0, 10.0)}))
    (panel,) = panels(Bundle(folder))
    return panel


def test_each_track_is_a_panel_in_the_order_of_their_starts(shown: dict[str, Panel]) -> None:
    assert list(shown) == ["lifecycle", "retries", "suspend"]
    assert shown["suspend"].problem == "the API server stopped answering for 12 s"


def test_a_panel_holds_only_what_happened_in_its_namespaces(shown: dict[str, Panel]) -> None:
    assert [row.label for row in shown["lifecycle"].rows] == [
        "train",
        "train-0",
        "train-1",
        "train-2",
        "train-3",
    ]
    assert [row.label for row in shown["retries"].rows] == ["flaky", "flaky-0", "flaky-1", "flaky-2"]


def test_marks_name_what_they_are_about(shown: dict[str, Panel]) -> None:
    labels = [mark.label for mark in shown["retries"].marks]

    assert labels == [
        "created flaky",
        "pod-failed flaky-0",
        "operator-killed",
        "pod-failed flaky-1",
        "pod-failed flaky-2",
    ]
    assert "exitCode=1" in shown["retries"].marks[1].title


def test_a_job_goes_through_its_conditions(shown: dict[str, Panel]) -> None:
    job = shown["lifecycle"].rows[0]

    assert [span.states for span in job.spans] == [
        ("no condition",),
        ("Created",),
        ("Running",),
        ("Complete",),
    ]
    assert (job.spans[2].start, job.spans[2].end) == pytest.approx((3.57, 9.42))
    assert job.gone == (11.05,)


def test_conditions_that_overlap_share_the_bar(shown: dict[str, Panel]) -> None:
    assert ("Running", "Restarting") in [span.states for span in shown["retries"].rows[0].spans]


def test_a_pod_made_anew_continues_the_row_of_its_name(shown: dict[str, Panel]) -> None:
    pod = shown["retries"].rows[1]

    assert [(span.states[0], span.terminating) for span in pod.spans] == [
        ("Pending", False),
        ("Running", False),
        ("Failed", False),
        ("Failed", True),
        ("Pending", False),
        ("Running", False),
        ("Running", True),
    ]
    assert pod.gone == (5.5, 15.4)
    assert pod.spans[3].end == 5.5
    assert pod.spans[4].start == pytest.approx(5.57)


def test_writes_are_told_by_verb_and_by_success(shown: dict[str, Panel]) -> None:
    writes = shown["retries"].writes

    assert {write.lane for write in writes} == {"create", "delete", "status", "event"}
    assert [write.title for write in writes if write.failed] == [
        "patch mltrainingjobs/status flaky: 409 at 3.90 s",
        "create pods flaky-3: 403 at 15.00 s",
    ]


def test_writes_of_others_are_not_the_operators(tmp_path: Path) -> None:
    def tell(story: Story) -> None:
        story.mark(0.0, "namespace", namespace=story.namespace)
        story.write(1.0, "create", "pods", "mine")
        story.write(2.0, "create", "pods", "theirs", user="system:admin")
        story.write(3.0, "patch", "pods", "rehearsed", dry_run=True)

    assert [write.title for write in told(tmp_path, tell).writes] == ["create pods mine: 200 at 1.00 s"]


def test_restarts_of_the_operator_cross_the_panels_they_fall_in(shown: dict[str, Panel]) -> None:
    assert [tick.label for tick in shown["lifecycle"].processes] == ["killed", "exited", "started"]
    assert [tick.label for tick in shown["suspend"].processes] == ["killed", "exited"]


def test_pods_are_ordered_by_index_and_strangers_come_last(tmp_path: Path) -> None:
    def tell(story: Story) -> None:
        story.mark(0.0, "namespace", namespace=story.namespace)
        story.job(0.1, "big", "Created")
        for index in (10, 2, 1):
            story.pod(0.2, "big", index, "Running", "ADDED")
        stranger = {"metadata": {"name": "stranger"}, "status": {"phase": "Running"}}
        story.writer.add(WatchEvent(0.3, "ADDED", "pods", story.namespace, "stranger", stranger))

    assert [row.label for row in told(tmp_path, tell).rows] == ["big", "big-1", "big-2", "big-10", "stranger"]


def test_two_namespaces_of_a_track_are_told_apart(tmp_path: Path) -> None:
    def tell(story: Story) -> None:
        story.mark(0.0, "namespace", namespace="kp-t")
        story.mark(0.0, "namespace", namespace="kp-u")
        story.job(1.0, "same", "Created")
        other = Story(story.writer, "t", "kp-u", itertools.count(100))
        other.job(1.0, "same", "Created")

    assert [row.label for row in told(tmp_path, tell).rows] == ["kp-t/same", "kp-u/same"]


def test_a_flood_is_capped_and_said_to_be(tmp_path: Path) -> None:
    def tell(story: Story) -> None:
        story.mark(0.0, "namespace", namespace=story.namespace)
        for i in range(ELEMENTS + 500):
            story.write(i / 1000, "patch", "pods", "flood")
        for i in range(ROWS + 30):
            story.pod(1.0, "crowd", i, "Running", "ADDED")

    panel = told(tmp_path, tell)

    assert len(panel.rows) == ROWS
    assert len(panel.writes) + ROWS == ELEMENTS
    assert panel.hidden == 500 + ROWS + 30
    assert str(draw(panel, "k")).count('class="write') == len(panel.writes)


@pytest.mark.parametrize("track", ["lifecycle", "retries", "suspend"])
def test_the_picture_is_well_formed_and_says_what_it_shows(shown: dict[str, Panel], track: str) -> None:
    svg = ET.fromstring(str(draw(shown[track], "key")))

    assert svg.attrib["role"] == "img"
    assert svg.findtext("title") == f"Timeline of {track}"
    assert shown[track].summary in (svg.findtext("desc") or "")
    width, height = (float(n) for n in svg.attrib["viewBox"].split()[2:])
    for bar in svg.iter("rect"):
        x, y, w, h = (float(bar.attrib[name]) for name in ("x", "y", "width", "height"))
        assert 0 <= x <= x + w <= width
        assert 0 <= y <= y + h <= height


def test_a_later_state_is_drawn_further_right(shown: dict[str, Panel]) -> None:
    svg = ET.fromstring(str(draw(shown["lifecycle"], "key")))

    places = {
        bar.attrib["class"]: float(bar.attrib["x"])
        for bar in svg.iter("rect")
        if bar.attrib["height"] == "18.0"
    }
    assert places["bar created"] < places["bar running"] < places["bar complete"]


def test_a_track_that_did_nothing_is_an_empty_panel(tmp_path: Path) -> None:
    panel = told(tmp_path, lambda story: None)

    assert panel.summary == "0 objects, 0 writes"
    ET.fromstring(str(draw(panel, "k")))


def test_marks_alone_make_a_panel_and_ones_without_room_keep_their_tick(tmp_path: Path) -> None:
    def tell(story: Story) -> None:
        for i in range(40):
            story.writer.add(Mark(5 + i / 100, "t", f"a-rather-long-mark-{i}", {}))

    svg = str(draw(told(tmp_path, tell), "k"))

    assert svg.count('class="mark-line"') == 40
    assert 0 < svg.count('class="mark"') < 40


def test_the_legend_explains_what_is_drawn_and_nothing_else() -> None:
    spans = (
        Span(0.0, 1.0, ("Running", "Failed"), ""),
        Span(1.0, 2.0, ("probe answers",), "", colour="complete"),
        Span(2.0, 3.0, ("Invented",), ""),
    )
    panel = Panel("one", "done", "", 0.0, 3.0, (), (Row("web", "jobs", spans),), (), ())
    made = legend([panel])
    assert made.colours == (
        ("running", "Running"),
        ("complete", "probe answers"),
        ("failed", "Failed"),
        ("other", "Invented"),
    )
    assert not (made.terminating)
    assert not (made.writes)
    assert not (made.refusals)
    assert not (made.processes)
