"""The report tells, rule by rule, what the operator asked, what it got and what it did next."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from graders.evidence.bundle import Bundle, BundleWriter
from graders.evidence.manifest import TrackResult
from graders.evidence.records import AuditEvent, Disturbance, Exchange, Mark, ProcessEvent
from graders.model import Outcome, Status
from graders.reports.disturbances import (
    DISTURBANCES,
    FOLLOWING,
    LATEST_S,
    LINES,
    Explained,
    explanations,
)
from graders.reports.html import HtmlExporter
from tests.unit.synthetic_bundle import OPERATOR, make_manifest
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


def bundle_of(folder: Path, *records: object, tracks: tuple[str, ...] = ("conflicts",)) -> Bundle:
    writer = BundleWriter(folder / "bundle")
    for record in (Mark(1.0, "conflicts", "namespace", {"namespace": "here", "part": ""}), *records):
        writer.add(record)
    writer.close(make_manifest(tracks={track: TrackResult("done", 1.0, 30.0) for track in tracks}))
    return Bundle(folder / "bundle")


def told(bundle: Bundle, track: str = "conflicts") -> tuple[Explained, ...]:
    return explanations(bundle)[track].disturbances


def test_applications_of_one_rule_stand_together_under_their_track(tmp_path: Path) -> None:
    bundle = bundle_of(
        tmp_path, applied(5.0), applied(5.5), applied(9.0, "conflicts: b"), applied(9.0, "replay"),
        tracks=("conflicts", "replay"),
    )  # fmt: skip
    assert [each.rule for each in told(bundle)] == ["conflicts: a label", "conflicts: b"]
    assert [line.t for line in told(bundle)[0].lines] == [5.0, 5.5]
    assert explanations(bundle).keys() == {"conflicts", "replay"}


def test_a_rule_named_after_no_track_belongs_to_the_track_of_its_namespace(tmp_path: Path) -> None:
    assert [each.rule for each in told(bundle_of(tmp_path, applied(5.0, "slow-writer")))] == ["slow-writer"]


def test_what_came_before_and_after_is_told_in_order_of_time(tmp_path: Path) -> None:
    (one,) = told(
        bundle_of(
            tmp_path, asked(6.0, 409), applied(5.0), asked(4.5), asked(7.0, 0),
            ProcessEvent(5.2, "operator-1", "killed", {}),
        )
    )  # fmt: skip
    assert [(line.kind, line.got) for line in one.lines] == [
        ("request", "200"), ("rule", "answered 409"), ("process", ""),
        ("refused", "409"), ("request", "no answer"),
    ]  # fmt: skip
    assert one.lines[1].asked == "patch mltrainingjobs/status contested"


def disturbed(t: float, code: int, effect: str, verb: str = "patch") -> tuple[Exchange, Disturbance]:
    """A request and what a rule did to it."""
    fields = ("operator-1", verb, "", "mltrainingjobs", "", "here", "x", code, ("conflicts: a",))
    return Exchange(t, t + 1, *fields), Disturbance(
        t + 0.5, "conflicts: a", "operator-1", effect, verb, "mltrainingjobs", "", "here", "x"
    )


def test_a_request_and_what_was_done_to_it_are_one_line(tmp_path: Path) -> None:
    records = (*disturbed(5.0, 409, "answered 409"), *disturbed(8.0, 0, "answer lost"))
    (one,) = told(bundle_of(tmp_path, *records))
    assert [(line.t, line.got, line.kind) for line in one.lines] == [
        (5.0, "answered 409", "rule"), (8.0, "no answer: answer lost", "rule"),
    ]  # fmt: skip


def test_of_a_watch_each_frame_is_a_line_of_its_own(tmp_path: Path) -> None:
    watch, first = disturbed(5.0, 200, "held back: ADDED a", "watch")
    _, second = disturbed(5.1, 200, "held back: ADDED b", "watch")
    (one,) = told(bundle_of(tmp_path, watch, first, second))
    assert [line.got for line in one.lines] == ["200, for 1.0 s", "held back: ADDED a", "held back: ADDED b"]


def test_what_a_request_creates_has_its_name_from_the_audit_log(tmp_path: Path) -> None:
    create = Exchange(5.0, 5.2, "operator-1", "create", "", "pods", "", "here", "", 201)
    audit = AuditEvent(5.1, 5.15, "i", OPERATOR, "create", "", "pods", "", "here", "x-0", 201)
    (one,) = told(bundle_of(tmp_path, applied(5.3), create, audit))
    assert one.lines[0].asked == "create pods x-0"


def test_of_creates_at_once_each_has_the_name_that_was_answered_with_it(tmp_path: Path) -> None:
    creates = [
        Exchange(5.0, end, "operator-1", "create", "", "pods", "", "here", "", 201) for end in (5.3, 5.4)
    ]
    audits = [
        AuditEvent(5.1, end, name, OPERATOR, "create", "", "pods", "", "here", name, 201)
        for end, name in ((5.29, "x-0"), (5.39, "y-0"))
    ]
    (one,) = told(bundle_of(tmp_path, applied(5.5), *creates, *audits))
    assert [line.asked for line in one.lines[:2]] == ["create pods x-0", "create pods y-0"]


def test_what_is_far_away_elsewhere_or_a_watch_is_left_out(tmp_path: Path) -> None:
    far = (asked(1.0), asked(6.0 + LATEST_S), asked(5.0, space="there"), asked(5.0, verb="watch"))
    (one,) = told(bundle_of(tmp_path, applied(5.0), *far))
    assert [line.kind for line in one.lines] == ["rule"]


def test_what_it_did_next_is_told_even_if_it_took_its_time(tmp_path: Path) -> None:
    late = [asked(25.0 + n) for n in range(FOLLOWING + 2)]
    (one,) = told(bundle_of(tmp_path, applied(5.0), *late))
    assert len(one.lines) == 1 + FOLLOWING


def test_the_death_that_a_disturbance_led_to_and_the_life_after_it_are_in_the_story(tmp_path: Path) -> None:
    events = (ProcessEvent(14.0, "operator-1", "killed"), ProcessEvent(14.5, "operator-2", "started"))
    elsewhere = ProcessEvent(14.2, "leader-operator-1", "started")
    (one,) = told(bundle_of(tmp_path, applied(5.0), *events, elsewhere, asked(16.0)))
    assert [line.kind for line in one.lines] == ["rule", "process", "process", "request"]


def test_a_rule_without_a_namespace_is_told_in_those_of_its_track(tmp_path: Path) -> None:
    (one,) = told(bundle_of(tmp_path, applied(5.0, space=""), asked(5.1)))
    assert [line.kind for line in one.lines] == ["rule", "request"]


def test_what_comes_again_and_again_is_one_line_that_says_how_often(tmp_path: Path) -> None:
    flood = [asked(5.1 + n / 10, name=f"x-{n % 3}") for n in range(90)]
    (one,) = told(bundle_of(tmp_path, applied(5.0), applied(13.0), *flood))
    assert [(line.asked, line.times) for line in one.lines if line.kind == "request"] == [
        ("get pods x-0", 30), ("get pods x-1", 30), ("get pods x-2", 30),
    ]  # fmt: skip
    assert one.hidden == 0


def test_a_flood_of_different_requests_keeps_its_beginning_and_its_end(tmp_path: Path) -> None:
    flood = [asked(5.1 + n / 1000, name=f"x-{n}") for n in range(LINES + 6)]
    bundle = bundle_of(tmp_path, applied(5.0), *flood)
    (one,) = told(bundle)
    assert one.hidden == 7
    assert len([line for line in one.lines if line.kind != "gap"]) == LINES
    assert (one.lines[0].kind, one.lines[-1].asked) == ("rule", f"get pods x-{LINES + 5}")
    page = HtmlExporter().render(graded(), bundle)
    assert "… 7 lines left out; they are in bundle/exchanges.jsonl and bundle/disturbances.jsonl" in page


def test_a_track_shows_so_many_rules_and_says_where_the_others_are(tmp_path: Path) -> None:
    rules = [applied(5.0, f"conflicts: {n}") for n in range(DISTURBANCES + 3)]
    bundle = bundle_of(tmp_path, *rules)
    assert len(told(bundle)) == DISTURBANCES
    assert explanations(bundle)["conflicts"].left_out == 3
    page = " ".join(HtmlExporter().render(graded(), bundle).split())
    assert "3 more disturbances of this track are in bundle/disturbances.jsonl" in page


def test_a_series_is_in_the_order_of_its_numbers(tmp_path: Path) -> None:
    rules = ("conflicts: b-10", "conflicts: a-2", "conflicts: b-2", "conflicts: a-1")
    series = told(bundle_of(tmp_path, *(applied(5.0 + n, rule) for n, rule in enumerate(rules))))
    assert [(each.rule, each.at) for each in series] == [
        ("conflicts: a-1", 1), ("conflicts: a-2", 2), ("conflicts: b-2", 2), ("conflicts: b-10", 10),
    ]  # fmt: skip


def test_each_says_how_to_see_it_again_alone(tmp_path: Path) -> None:
    bundle = bundle_of(tmp_path, applied(5.0, "conflicts: answered-7"), applied(5.0))
    outcome = Outcome("contest", Status.PASSED, tracks=("conflicts",))
    page = HtmlExporter().render(dataclasses.replace(graded(), outcomes=(outcome,)), bundle)
    assert page.count("kubeproof grade lab1 DIR --only contest --keep") == 1
    assert page.count("kubeproof grade lab1 DIR --only contest --at 7 --keep") == 1


def test_hostile_names_are_text(tmp_path: Path) -> None:
    bundle = bundle_of(tmp_path, applied(5.0, f"conflicts: {HOSTILE}", HOSTILE), asked(5.1, name=HOSTILE))
    page = HtmlExporter().render(graded(), bundle)
    assert "<script" not in page
    assert "\x1b" not in page
    assert page.count("&lt;script&gt;") >= 3


def test_a_bundle_without_disturbances_has_none(tmp_path: Path) -> None:
    assert explanations(bundle_of(tmp_path)) == {}
