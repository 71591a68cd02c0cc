"""The report tells, rule by rule, what the operator asked, what it got and what it did next."""

from __future__ import annotations

from pathlib import Path

from graders.evidence.bundle import Bundle, BundleWriter, TrackResult
from graders.evidence.records import Disturbance, Exchange, Mark, ProcessEvent
from graders.reports.disturbances import DISTURBANCES, LINES, explanations
from graders.reports.html import HtmlExporter
from tests.unit.synthetic_bundle import make_manifest
from tests.unit.synthetic_report import graded

HOSTILE = "<script>alert(1)</script>\x1b[2J"


def applied(
    t: float, rule: str = "conflicts: a label", name: str = "contested", space: str = "here"
) -> Disturbance:
    return Disturbance(
        t, rule, "operator-1", "answered 409", "patch", "mltrainingjobs", "status", space, name
    )


def asked(t: float, code: int = 200, space: str = "here", verb: str = "get", name: str = "x") -> Exchange:
    return Exchange(t, t + 0.1, "operator-1", verb, "", "pods", "", space, name, code)


def bundle_of(folder: Path, *records: object) -> Bundle:
    writer = BundleWriter(folder / "bundle")
    for record in (Mark(1.0, "conflicts", "namespace", {"namespace": "here", "part": ""}), *records):
        writer.add(record)
    writer.close(make_manifest(tracks={"conflicts": TrackResult("done", 1.0, 30.0)}))
    return Bundle(folder / "bundle")


def test_applications_of_one_rule_stand_together_under_their_track(tmp_path: Path) -> None:
    told = explanations(
        bundle_of(tmp_path, applied(5.0), applied(5.5), applied(9.0, "conflicts: b"), applied(9.0, "replay"))
    )
    assert [each.rule for each in told["conflicts"]] == ["conflicts: a label", "conflicts: b"]
    assert [line.t for line in told["conflicts"][0].lines] == [5.0, 5.5]
    assert told.keys() == {"conflicts", "replay"}


def test_what_came_before_and_after_is_told_in_order_of_time(tmp_path: Path) -> None:
    (one,) = explanations(
        bundle_of(
            tmp_path, asked(6.0, 409), applied(5.0), asked(4.5), asked(7.0, 0),
            ProcessEvent(5.2, "operator-1", "killed", {}),
        )
    )["conflicts"]  # fmt: skip
    assert [(line.kind, line.got) for line in one.lines] == [
        ("request", "200"), ("rule", "answered 409"), ("process", ""),
        ("refused", "409"), ("request", "no answer"),
    ]  # fmt: skip
    assert one.lines[1].asked == "patch mltrainingjobs/status contested"


def test_what_is_far_away_elsewhere_or_a_watch_is_left_out(tmp_path: Path) -> None:
    far = (asked(1.0), asked(20.0), asked(5.0, space="there"), asked(5.0, verb="watch"))
    (one,) = explanations(bundle_of(tmp_path, applied(5.0), *far))["conflicts"]
    assert [line.kind for line in one.lines] == ["rule"]


def test_a_rule_without_a_namespace_is_told_in_those_of_its_track(tmp_path: Path) -> None:
    (one,) = explanations(bundle_of(tmp_path, applied(5.0, space=""), asked(5.1)))["conflicts"]
    assert [line.kind for line in one.lines] == ["rule", "request"]


def test_a_flood_is_cut_and_said_to_be(tmp_path: Path) -> None:
    bundle = bundle_of(tmp_path, applied(5.0), *(asked(5.1 + n / 1000) for n in range(LINES + 6)))
    (one,) = explanations(bundle)["conflicts"]
    assert (len(one.lines), one.hidden) == (LINES, 7)
    assert "7 more requests are in the evidence bundle." in HtmlExporter().render(graded(), bundle)


def test_a_track_shows_so_many_rules_and_no_more(tmp_path: Path) -> None:
    rules = [applied(5.0, f"conflicts: {n}") for n in range(DISTURBANCES + 3)]
    assert len(explanations(bundle_of(tmp_path, *rules))["conflicts"]) == DISTURBANCES


def test_hostile_names_are_text(tmp_path: Path) -> None:
    bundle = bundle_of(tmp_path, applied(5.0, f"conflicts: {HOSTILE}", HOSTILE), asked(5.1, name=HOSTILE))
    page = HtmlExporter().render(graded(), bundle)
    assert "<script" not in page
    assert "\x1b" not in page
    assert page.count("&lt;script&gt;") >= 3


def test_a_bundle_without_disturbances_has_none(tmp_path: Path) -> None:
    assert explanations(bundle_of(tmp_path)) == {}
