"""All checks of lab 1 together: over the good record, over none, and over hostile ones."""

from __future__ import annotations

import copy
import dataclasses
import functools
import json
import marshal
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graders.evidence.bundle import Bundle
from graders.evidence.records import (
    AuditEvent,
    Exchange,
    Mark,
    ProcessEvent,
    Request,
    Scrape,
    ToolRun,
    WatchEvent,
)
from graders.judging import judge
from graders.judging.catalogue import collect_checks
from graders.model import Capability, Fault, Outcome, Status
from graders.sandbox.protocol import View
from graders.scenario.learnerprocess import environment
from tests.unit.lab1_flaws import LAB, judged, outcomes_of
from tests.unit.lab1_recording import ARCHIVE, PARTS, Record, Recording, reference

CHECKS = {info.id: info for info in collect_checks(LAB)}
WITHOUT_OPERATOR = {"crd-contract", "code-quality"}
REAL = {name for name, info in CHECKS.items() if Capability.REAL_PODS in info.needs}
"""Checks that the recorded run, on an embedded cluster, could not show."""

WAITING = {track for info in CHECKS.values() for track in info.tracks} - {
    "crd",
    "quality",
    "run",
    "in-cluster",
}
"""Tracks of the recorded run that wait for something, so that they can miss it."""


def test_the_reference_passes_every_check(tmp_path: Path) -> None:
    outcomes = outcomes_of(lambda _: None, tmp_path)
    assert {
        name: outcome.status for name, outcome in outcomes.items() if outcome.status is not Status.PASSED
    } == dict.fromkeys(REAL, Status.UNSUPPORTED)
    assert outcomes.keys() == CHECKS.keys()


def told(outcome: Outcome) -> Outcome:
    """An outcome without what only the machinery around a check adds."""
    return dataclasses.replace(outcome, duration_s=0.0, tracks=())


def test_the_long_way_through_files_and_judging_says_the_same(tmp_path: Path) -> None:
    """Tests of single flaws call the checks on records in memory, which is five times as fast."""
    recording = reference()
    recording.miss("scaling", "2 pods of elastic", "4 pods")
    recording.last("retries", "flaky")["status"]["restarts"] = 7
    short = judged(recording.held(tmp_path / "held"))
    long = {outcome.check_id: outcome for outcome in judge(recording.store(tmp_path / "bundle"), lab=LAB)}
    assert long.keys() == short.keys()
    for name, outcome in long.items():
        assert told(short[name]) == told(outcome)


def test_the_recording_is_small() -> None:
    assert ARCHIVE.stat().st_size < 500 * 1024


def test_nothing_passes_over_an_empty_record(tmp_path: Path) -> None:
    def empty(r: Recording) -> None:
        for part in PARTS:
            r.parts[part].clear()

    outcomes = outcomes_of(empty, tmp_path)
    assert {name for name, outcome in outcomes.items() if outcome.status is Status.PASSED} == set()
    assert {name for name, outcome in outcomes.items() if outcome.fault is Fault.GRADER} == set()


def test_nothing_of_a_track_that_only_has_its_namespace_passes(tmp_path: Path) -> None:
    def bare(r: Recording) -> None:
        r.marks[:] = [mark for mark in r.marks if mark["name"] == "namespace"]
        for part in ("objects", "audit", "scrapes", "requests", "tools"):
            r.parts[part].clear()

    outcomes = outcomes_of(bare, tmp_path)
    assert {name for name, outcome in outcomes.items() if outcome.status is Status.PASSED} == set()
    assert {name for name, outcome in outcomes.items() if outcome.fault is Fault.GRADER} == set()


@pytest.mark.parametrize("track", sorted(WAITING))
def test_what_a_track_missed_costs_the_checks_that_read_it_and_is_quoted(track: str, tmp_path: Path) -> None:
    outcomes = outcomes_of(lambda r: r.miss(track, "a thing to happen", "another thing"), tmp_path)
    losing = {name for name, info in CHECKS.items() if track in info.tracks}
    assert {name for name, outcome in outcomes.items() if outcome.status is Status.FAILED} == losing
    for name in losing:
        assert outcomes[name].expected == "a thing to happen, within 10 s"
        assert outcomes[name].observed == "another thing"
        assert outcomes[name].hint


def test_who_applies_children_instead_of_creating_them_loses_nothing(tmp_path: Path) -> None:
    def applied(r: Recording) -> None:
        for event in r.audit:
            if event["verb"] == "create" and event["resource"] in ("pods", "services"):
                event["verb"] = "patch"

    outcomes = outcomes_of(applied, tmp_path)
    assert {o.status for o in outcomes.values()} <= {Status.PASSED, Status.UNSUPPORTED}


@pytest.mark.parametrize(
    ("served", "says"),
    [
        ("nobody", "first make creates-pods pass"),
        ("others", "Other jobs got pods, this one none in time"),
        ("all", CHECKS["suspend"].hint),
    ],
)
def test_whoever_got_no_pod_learns_whether_others_did(served: str, says: str, tmp_path: Path) -> None:
    """A job that had its pods once, and should have them again, has the hint of its own check."""

    def missed(r: Recording) -> None:
        r.miss("suspend", "3 pods of paused, Running", "0 pods: none")
        mine = r.namespace("suspend")
        r.parts["audit"][:] = [
            event
            for event in r.audit
            if (event["verb"], event["resource"]) != ("create", "pods")
            or (served == "others" and event["namespace"] != mine)
            or served == "all"
        ]

    assert says in outcomes_of(missed, tmp_path)["suspend"].hint


@pytest.mark.parametrize("status", ["failed", "broken"])
def test_a_track_that_broke_costs_nobody_points(status: str, tmp_path: Path) -> None:
    def broken(r: Recording) -> None:
        r.manifest["tracks"]["scaling"].update(status=status, problem="the API server went away")

    outcome = outcomes_of(broken, tmp_path)["scaling"]
    fault = Fault.INFRASTRUCTURE if status == "failed" else Fault.GRADER
    assert (outcome.status, outcome.fault) == (Status.ERROR, fault)
    assert "the API server went away" in outcome.observed


def _never_ready(r: Recording, *, exits: bool, log: str) -> None:
    data = {"seen": "it has not read or watched jobs yet", "log": log}
    r.marks.append({"t": 1.0, "track": "run", "name": "operator-not-ready", "data": data})
    r.processes.clear()
    if exits:
        event = {"t": 2.0, "instance": "operator-1", "event": "exited", "data": {"status": "exited with 1"}}
        r.processes.extend([event, {**event, "t": 4.0, "instance": "operator-2"}])


def test_an_operator_that_never_starts_keeps_what_needs_none(tmp_path: Path) -> None:
    mutate = functools.partial(_never_ready, exits=True, log="ModuleNotFoundError: No module named 'kopf'")
    outcomes = outcomes_of(mutate, tmp_path)
    passed = {name for name, outcome in outcomes.items() if outcome.status is Status.PASSED}
    assert passed == WITHOUT_OPERATOR
    said = outcomes["creates-pods"].observed
    assert "the process ended 2 times, first it exited with 1" in said
    assert "it printed last: ModuleNotFoundError" in said
    assert "names no package with kopf" in outcomes["creates-pods"].hint


def test_an_operator_that_is_silent_and_idle_is_said_to_be(tmp_path: Path) -> None:
    outcomes = outcomes_of(functools.partial(_never_ready, exits=False, log=""), tmp_path)
    assert outcomes["retries"].observed.endswith("the process ended 0 times; it printed nothing")


# --- what the grader promises --------------------------------------------------------------------


def test_every_job_of_the_grader_has_a_name_that_keeps_to_the_text() -> None:
    names = {seen["name"] for seen in reference().objects if seen["resource"] == "mltrainingjobs"}
    assert len(names) > 50
    assert [name for name in names if not re.fullmatch(r"[a-z]([-a-z0-9]{0,48}[a-z0-9])?", name)] == []


def test_every_process_has_a_pod_name_of_its_own_and_the_namespace() -> None:
    view = View("/submission", "/submission", "/files", "/home", "127.0.0.1:1")
    given = environment(view, "operator-2", "mltj-system", {"POD_NAME": "mine", "LOG": "debug"})
    assert (given["POD_NAME"], given["POD_NAMESPACE"], given["LOG"]) == ("operator-2", "mltj-system", "debug")
    started = [each["instance"] for each in reference().processes if each["event"] == "started"]
    assert len(started) == len(set(started)) == 5


def test_the_outage_and_the_two_replicas_have_clusters_of_their_own() -> None:
    recording = reference()
    apart = {each["instance"].rsplit("-", 2)[0] for each in recording.processes} - {"operator"}
    assert {"api-outage", "leader"} <= {name.removesuffix("-operator") for name in apart}


# --- hostile records -------------------------------------------------------------------------------


def assert_nobodys_bug(bundle: Bundle) -> dict[str, Outcome]:
    outcomes = judged(bundle)
    ours = {name: outcome.detail for name, outcome in outcomes.items() if outcome.status is Status.ERROR}
    assert ours == {}
    return outcomes


JUNK: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False),
    st.sampled_from(
        ["", "two", "True", "0", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "\x00", "✓" * 300]
    ),
    st.sampled_from([[], {}, [[]], [{}], [None], {"": {}}, [{"type": []}], [{"type": "Failed"}], [1, "a"]]),
)


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON value."""
    found = [path] if path else []
    if isinstance(value, dict):
        for key, item in value.items():
            found += _paths(item, (*path, key))
    elif isinstance(value, list):
        for place, item in enumerate(value):
            found += _paths(item, (*path, place))
    return found


def _put(value: Any, path: tuple[Any, ...], junk: Any, *, drop: bool) -> None:
    for step in path[:-1]:
        if not isinstance(value, dict | list) or (isinstance(value, dict) and step not in value):
            return
        if isinstance(value, list) and step >= len(value):
            return
        value = value[step]
    last = path[-1]
    if (isinstance(value, dict) and last in value) or (
        isinstance(value, list) and isinstance(last, int) and last < len(value)
    ):
        if drop:
            del value[last]
        else:
            value[last] = junk


SLOW = settings(
    max_examples=10,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
    ],
)


PROPERTIES: dict[str, type] = {
    "audit": AuditEvent,
    "exchanges": Exchange,
    "marks": Mark,
    "processes": ProcessEvent,
    "requests": Request,
    "scrapes": Scrape,
    "tools": ToolRun,
    "watch_events": WatchEvent,
}


WORKED_OUT = {
    "audit": ["audit_by_namespace", "audit_by_place"],
    "marks": ["marks_by_track", "cleared"],
    "watch_events": ["watch_events_by_place", "sightings_by_place"],
}
"""What a bundle keeps that it worked out from the records of one kind."""


def _changed(bundle: Bundle, part: str, records: list[Any]) -> Bundle:
    """The bundle with other records of one kind; the rest is shared, and what was worked out from it."""
    fresh = copy.copy(bundle)
    fresh._read = copy.copy(bundle._read)
    fresh._read[PROPERTIES[part]] = tuple(records)
    fresh._views = {cluster: copy.copy(view) for cluster, view in bundle._views.items()}
    for view in fresh._views.values():
        view._read = fresh._read
    for stale in (fresh, *fresh._views.values()):
        for name in (part, *WORKED_OUT.get(part, ())):
            stale.__dict__.pop(name, None)
    return fresh


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    bundle = reference().store(tmp_path_factory.mktemp("fuzz") / "bundle")
    assert bundle.marks
    assert bundle.audit
    assert bundle.watch_events
    assert bundle.scrapes
    assert bundle.requests
    assert bundle.tools
    assert_nobodys_bug(bundle)
    return bundle


def _job_parts() -> list[tuple[Any, ...]]:
    """Every place of a job that an operator or a learner's CRD decides about: status and spec."""
    found: dict[tuple[Any, ...], None] = {}
    for sighting in reference().objects:
        if sighting["resource"] == "mltrainingjobs":
            job = sighting["object"]
            for path in _paths({key: job[key] for key in ("spec", "status") if key in job}):
                if path[:3] != ("spec", "trainer", "template"):
                    found[path] = None
    return list(found)


JOB_PARTS = st.deferred(lambda: st.sampled_from(_job_parts()))


@SLOW
@given(data=st.data())
def test_whatever_stands_in_a_job_is_never_a_bug_of_ours(data: st.DataObject, whole: Bundle) -> None:
    path = data.draw(JOB_PARTS)
    junk, drop = data.draw(JUNK), data.draw(st.booleans())
    only = data.draw(st.integers(1, 4))
    sightings = []
    for number, sighting in enumerate(whole.watch_events):
        if sighting.resource == "mltrainingjobs" and number % only == 0:
            item = marshal.loads(marshal.dumps(sighting.object))
            _put(item, path, junk, drop=drop)
            sighting = dataclasses.replace(sighting, object=item)  # noqa: PLW2901
        sightings.append(sighting)
    assert_nobodys_bug(_changed(whole, "watch_events", sightings))


POD_PARTS = [
    ("metadata", "labels"),
    ("metadata", "labels", "training.mod201.dev/job-name"),
    ("metadata", "labels", "training.mod201.dev/replica-index"),
    ("metadata", "ownerReferences"),
    ("spec", "containers", 0, "env"),
    ("spec", "containers", 0, "env", 0, "value"),
    ("spec", "containers", 1),
    ("spec", "hostname"),
    ("spec", "subdomain"),
    ("status",),
    ("status", "phase"),
]


@pytest.mark.parametrize("path", POD_PARTS, ids=str)
def test_pods_that_lack_something_are_never_a_bug_of_ours(path: tuple[Any, ...], tmp_path: Path) -> None:
    """The API server keeps types right; what is optional may be missing."""

    recording = reference()
    for sighting in recording.objects:
        if sighting["resource"] == "pods":
            _put(sighting["object"], path, None, drop=True)
    assert_nobodys_bug(recording.held(tmp_path / "bundle"))


@SLOW
@given(text=st.text(max_size=200), where=st.sampled_from(["alone", "before", "after", "middle"]))
def test_whatever_stands_on_the_metrics_page_is_never_a_bug_of_ours(
    text: str, where: str, whole: Bundle
) -> None:
    def page(old: str) -> str:
        half = len(old) // 2
        return {"alone": text, "before": text + "\n" + old, "after": old + "\n" + text}.get(
            where, old[:half] + text + old[half:]
        )

    scrapes = [dataclasses.replace(each, text=page(each.text)) for each in whole.scrapes]
    assert_nobodys_bug(_changed(whole, "scrapes", scrapes))


LINES = st.lists(
    st.sampled_from(
        [
            "# TYPE mltrainingjob_jobs_active gauge",
            "# TYPE mltrainingjob_jobs_active",
            "# TYPE mltrainingjob_x histogram",
            "# HELP mltrainingjob_x",
            "# HELP mltrainingjob_x \\",
            'mltrainingjob_x{le="+Inf"} 1',
            'mltrainingjob_x_bucket{le="a"} 1',
            "mltrainingjob_x_bucket 1",
            'mltrainingjob_x{a="b"',
            'mltrainingjob_x{a="b",a="c"} 1',
            'mltrainingjob_x{="b"} 1',
            'mltrainingjob_x{a="\\',
            "mltrainingjob_x 0x10",
            "mltrainingjob_x 1 2 3",
            "mltrainingjob_x{} NaN 9e99",
            "mltrainingjob_x 1_000",
            "mltrainingjob_ 1",
            '{"mltrainingjob_x"} 1',
            '{"mltrainingjob_x", a="b"} +Inf',
            "{} 1",
            "}{ 1",
            "=",
            "#",
            "# TYPE",
            "\r",
            "mltrainingjob_jobs_created_total 1",
        ]
    ),
    max_size=8,
)


@SLOW
@given(lines=LINES)
def test_pages_of_broken_lines_are_never_a_bug_of_ours(lines: list[str], whole: Bundle) -> None:
    scrapes = [dataclasses.replace(each, ok=True, text="\n".join(lines)) for each in whole.scrapes]
    outcomes = assert_nobodys_bug(_changed(whole, "scrapes", scrapes))
    assert outcomes["metrics"].status is Status.FAILED


def _crd_paths() -> list[tuple[Any, ...]]:
    found, recording = [], reference()
    for name in ("create-smallest", "create-stored", "status-through-main", "edit-image", "bad-no-template"):
        response = recording.request("crd", name)["response"]
        found += [(name, *path) for path in _paths(response) if len(path) <= 4]
    return found


@SLOW
@given(place=st.deferred(lambda: st.sampled_from(_crd_paths())), junk=JUNK, drop=st.booleans())
def test_whatever_the_learners_crd_lets_through_is_never_a_bug_of_ours(
    place: tuple[Any, ...], junk: Any, drop: bool, whole: Bundle
) -> None:
    name, *path = place
    requests = []
    for request in whole.requests:
        if (request.track, request.name) == ("crd", name):
            response = json.loads(json.dumps(request.response))
            _put(response, tuple(path), junk, drop=drop)
            request = dataclasses.replace(request, response=response)  # noqa: PLW2901
        requests.append(request)
    assert_nobodys_bug(_changed(whole, "requests", requests))


@SLOW
@given(output=st.text(max_size=300), code=st.sampled_from([0, 1, None]))
def test_whatever_tools_print_is_never_a_bug_of_ours(output: str, code: int | None, whole: Bundle) -> None:
    tools = [dataclasses.replace(run, output=f"TOTAL {output}%\n{output}", code=code) for run in whole.tools]
    assert_nobodys_bug(_changed(whole, "tools", tools))


@SLOW
@given(data=st.data())
def test_events_that_lack_something_are_never_a_bug_of_ours(data: st.DataObject, whole: Bundle) -> None:
    fields = data.draw(
        st.sets(
            st.sampled_from(
                ["count", "series", "involvedObject", "reason", "message", "source", "metadata/labels"]
            )
        )
    )
    sightings = []
    for sighting in whole.watch_events:
        if sighting.resource == "events":
            item: Record = {k: v for k, v in sighting.object.items() if k not in fields}
            sighting = dataclasses.replace(sighting, object=item)  # noqa: PLW2901
        sightings.append(sighting)
    assert_nobodys_bug(_changed(whole, "watch_events", sightings))
