"""What recorders witness, and what they make of damage, broken watches and a sick harness."""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graders.evidence.auditing import AuditRecorder, parse_audit
from graders.evidence.bundle import Bundle, BundleWriter
from graders.evidence.health import ApiHealth, HarnessHealth, Health
from graders.evidence.recording import ChangeNotifier, Clock, Recording, measure
from graders.evidence.records import HarnessSample, HealthSample, Mark, WatchEvent
from graders.evidence.watching import WatchRecorder
from graders.faults import InfraFault, UsageError
from graders.polling import NotYet, wait_for
from tests.unit.synthetic_bundle import make_manifest
from tests.unit.tiny_api import AWAY, BREAK, EXPIRED, HOLD, TinyApi, change, kubeconfig, pod

OPERATOR = "system:serviceaccount:mltj-system:mltj-operator"


@pytest.fixture
def recording(tmp_path: Path) -> Iterator[Recording]:
    recording = Recording(BundleWriter(tmp_path / "bundle"))
    yield recording
    recording.writer.close(make_manifest())


@pytest.fixture
def api() -> TinyApi:
    return TinyApi()


def until(holds: Callable[[], object], timeout_s: float = 10.0) -> None:
    """Wait until something holds."""

    def probe() -> None:
        if not holds():
            raise NotYet("it does not hold")

    wait_for(probe, timeout_s=timeout_s)


def recorded(recording: Recording) -> Bundle:
    recording.writer.close(make_manifest())
    return Bundle(recording.writer.folder)


# --- the clock and the bell ------------------------------------------------------------------------


def test_the_clock_counts_from_its_start_and_never_back() -> None:
    clock = Clock()
    times = [clock.now() for _ in range(50)]
    assert times == sorted(times)
    assert 0 <= times[0] < 60


def test_a_wall_stamp_of_this_machine_becomes_seconds_of_the_run() -> None:
    clock = Clock()
    clock.wall_start = 1_000_000_000.0  # 2001-09-09T01:46:40Z
    assert clock.from_wall("2001-09-09T01:46:41.500000Z") == 1.5
    assert clock.from_wall("2001-09-09T03:46:42+02:00") == 2.0


@pytest.mark.parametrize("stamp", ["", "soon", "2001-13-09T01:46:41Z"])
def test_a_stamp_that_is_none_is_a_value_error(stamp: str) -> None:
    with pytest.raises(ValueError, match=r"Invalid isoformat|month must be"):
        Clock().from_wall(stamp)


def test_every_listener_hears_of_every_change() -> None:
    changes = ChangeNotifier()
    with changes.listener() as one, changes.listener() as other:
        changes.notify()
        assert one.wait(10)
        assert other.wait(10)
        one.clear()
        changes.notify()
        assert one.wait(10)


def test_many_changes_are_told_together() -> None:
    changes, told = ChangeNotifier(), 0
    with changes.listener() as bell:
        for _ in range(2000):
            changes.notify()
            if bell.is_set():
                bell.clear()
                told += 1
        assert bell.wait(10) or told
    assert told < 1000


def test_who_listens_again_after_a_pause_hears() -> None:
    changes = ChangeNotifier()
    with changes.listener():
        pass
    until(lambda: changes._teller is None)
    with changes.listener() as bell:
        changes.notify()
        assert bell.wait(10)


def test_who_stopped_listening_hears_nothing() -> None:
    changes = ChangeNotifier()
    with changes.listener() as bell:
        pass
    with changes.listener() as other:
        changes.notify()
        assert other.wait(10)
    assert not bell.is_set()


def test_what_happens_elsewhere_wakes_nobody_whom_it_does_not_concern() -> None:
    changes = ChangeNotifier()
    with changes.listener(elsewhere=("b", "c")) as bell, changes.listener() as all_of_it:
        changes.notify("b")
        assert all_of_it.wait(10)
        assert not bell.is_set()
        changes.notify("c")
        changes.notify("a")
        assert bell.wait(10)
        bell.clear()
        changes.notify()
        assert bell.wait(10)


def test_a_mark_is_kept_with_its_time_and_data(recording: Recording) -> None:
    mark = recording.mark("scaling", "scale", nodes=2)
    assert recorded(recording).marks == (Mark(mark.t, "scaling", "scale", {"nodes": 2}),)


def test_measure_calls_once() -> None:
    calls: list[int] = []
    assert measure(lambda: calls.append(1)) >= 0
    assert calls == [1]


# --- audit -----------------------------------------------------------------------------------------


def line(**changes: Any) -> bytes:
    """A line as the API server writes it when a pod was created with a generated name."""
    event = {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "RequestResponse",
        "auditID": "6f7f3a2c",
        "stage": "ResponseComplete",
        "requestURI": "/api/v1/namespaces/a/pods?fieldManager=kopf",
        "verb": "create",
        "user": {"username": OPERATOR, "groups": ["system:serviceaccounts"]},
        "sourceIPs": ["127.0.0.1"],
        "userAgent": "kopf/1.38",
        "objectRef": {"resource": "pods", "namespace": "a", "apiVersion": "v1"},
        "responseStatus": {"metadata": {}, "code": 201},
        "requestObject": {"metadata": {"generateName": "bert-"}},
        "responseObject": {"metadata": {"name": "bert-x7f2"}},
        "requestReceivedTimestamp": "2001-09-09T01:46:41.250000Z",
        "stageTimestamp": "2001-09-09T01:46:41.260000Z",
        "annotations": {"authorization.k8s.io/decision": "allow"},
    }
    event.update(changes)
    return json.dumps({key: value for key, value in event.items() if value is not None}).encode()


def parsed(**changes: Any) -> Any:
    clock = Clock()
    clock.wall_start = 1_000_000_000.0
    return parse_audit(json.loads(line(**changes)), clock)


def test_an_audit_line_becomes_a_record() -> None:
    event = parsed()
    assert (event.t, event.t_end) == (1.25, 1.26)
    assert (event.user, event.verb, event.resource, event.namespace) == (OPERATOR, "create", "pods", "a")
    assert (event.code, event.ok, event.is_write, event.dry_run) == (201, True, True, False)
    assert event.annotations == {"authorization.k8s.io/decision": "allow"}
    assert event.group == ""


def test_a_generated_name_is_taken_from_the_answer() -> None:
    assert parsed().name == "bert-x7f2"


def test_without_an_answer_the_name_is_taken_from_the_request() -> None:
    assert parsed(responseObject=None, requestObject={"metadata": {"name": "bert-0"}}).name == "bert-0"


def test_the_name_in_the_path_goes_first() -> None:
    target = {"resource": "pods", "namespace": "a", "name": "bert-1", "subresource": "status"}
    event = parsed(objectRef=target)
    assert (event.name, event.subresource) == ("bert-1", "status")


def test_a_dry_run_is_no_write() -> None:
    event = parsed(requestURI="/api/v1/namespaces/a/pods?dryRun=All")
    assert (event.dry_run, event.is_write) == (True, False)


def test_a_denied_request_is_kept_with_its_reason() -> None:
    denied = {"authorization.k8s.io/decision": "forbid"}
    event = parsed(responseStatus={"code": 403}, annotations=denied, responseObject=None)
    assert (event.ok, event.code, event.annotations) == (False, 403, denied)


def test_a_request_for_no_resource_is_kept_by_its_path() -> None:
    assert parsed(objectRef=None, requestURI="/apis/apps?timeout=3s", verb="get").resource == "/apis/apps"


GARBAGE = [
    b"",
    b"{",
    b"[]",
    b"null",
    b"7",
    b'"text"',
    b"{}",
    b"\xff\xfe",
    b'{"requestURI": 7}',
    line(user=None),
    line(user="system:admin"),
    line(objectRef="pods"),
    line(requestReceivedTimestamp="yesterday"),
    line(requestReceivedTimestamp=None),
    line(responseStatus={"code": "many"}),
    line(requestObject={"metadata": ["x"]}, responseObject=None),
    line(responseObject={"metadata": "x"}),
]


@pytest.mark.parametrize("damaged", GARBAGE, ids=range(len(GARBAGE)))
def test_a_damaged_line_is_counted_and_hurts_no_other(damaged: bytes, recording: Recording) -> None:
    audit = AuditRecorder(recording)
    audit(damaged)
    audit(line())
    assert audit.damaged == 1
    assert [event.name for event in recorded(recording).audit] == ["bert-x7f2"]


def deep(levels: int) -> str:
    return '{"a":[' * levels + "1" + "]}" * levels


def test_a_body_nested_without_end_does_not_hide_the_request(recording: Recording) -> None:
    """Bodies of patches are logged as they came, refused ones too: depth must not blind the recorder."""
    audit = AuditRecorder(recording)
    text = line(verb="patch", requestObject={"spec": "HERE"}).decode().replace('"HERE"', deep(20_000))
    audit(text.encode())
    (event,) = recorded(recording).audit
    assert (audit.damaged, event.verb, event.name) == (0, "patch", "bert-x7f2")
    assert audit.last_write(OPERATOR, "a") is not None


def test_a_body_as_deep_as_a_parser_goes_can_be_read_back(recording: Recording) -> None:
    AuditRecorder(recording)(line(requestObject={"spec": json.loads(deep(300))}))
    (event,) = recorded(recording).audit
    assert event.request["spec"]["a"][0]["a"]


def test_brackets_in_text_are_not_depth(recording: Recording) -> None:
    tricky = 'quote " brackets [[[[ {{{{ back \\'
    text = line(requestObject={"spec": "HERE", "note": tricky}).decode().replace('"HERE"', deep(20_000))
    AuditRecorder(recording)(text.encode())
    (event,) = recorded(recording).audit
    assert event.request["note"] == tricky


def test_text_that_utf8_has_no_place_for_does_not_end_the_record(recording: Recording) -> None:
    audit = AuditRecorder(recording)
    audit(line(requestObject={"note": "\ud800"}))
    audit(line(auditID="next"))
    assert [event.id for event in recorded(recording).audit] == ["6f7f3a2c", "next"]


def test_the_last_write_is_per_user_and_namespace(recording: Recording) -> None:
    audit = AuditRecorder(recording)
    audit(line())
    audit(line(user={"username": "other"}, stageTimestamp="2001-09-09T01:47:00Z"))
    assert audit.last_write(OPERATOR, "a") == recording.clock.from_wall("2001-09-09T01:46:41.260000Z")
    assert audit.last_write(OPERATOR, "b") is None


@pytest.mark.parametrize("resource", ["leases", "events"])
def test_leases_and_events_are_no_writes_that_anybody_waits_for(resource: str, recording: Recording) -> None:
    audit = AuditRecorder(recording)
    audit(line(objectRef={"resource": resource, "namespace": "a"}))
    assert audit.last_write(OPERATOR, "a") is None


def test_a_refused_write_still_shows_that_the_operator_is_busy(recording: Recording) -> None:
    audit = AuditRecorder(recording)
    audit(line(responseStatus={"code": 409}))
    assert audit.last_write(OPERATOR, "a") is not None


def test_only_what_succeeded_counts_as_accepted(recording: Recording) -> None:
    audit = AuditRecorder(recording)
    audit(line(verb="list", responseStatus={"code": 403}))
    assert audit.accepted(OPERATOR, "pods") == 0
    audit(line(verb="list", responseStatus={"code": 200}))
    audit(line(verb="watch", responseStatus={"code": 200}))
    assert audit.accepted(OPERATOR, "pods") == 2


def test_a_watch_is_accepted_when_it_begins_and_recorded_when_it_is_over(recording: Recording) -> None:
    """Informers of today list by their watch: nothing else of them comes while they live."""
    audit, watch = AuditRecorder(recording), {"verb": "watch", "auditID": "w", "responseObject": None}
    audit(line(**watch, stage="ResponseStarted", responseStatus={"code": 200}))
    assert audit.accepted(OPERATOR, "pods") == 1
    audit(line(**watch, responseStatus={"code": 200}))
    assert audit.accepted(OPERATOR, "pods") == 1
    audit(line(verb="watch", auditID="no", stage="ResponseStarted", responseStatus={"code": 403}))
    assert audit.accepted(OPERATOR, "pods") == 1
    assert [event.id for event in recorded(recording).audit] == ["w"]


def test_an_audit_line_rings_the_bell(recording: Recording) -> None:
    with recording.changes.listener() as bell:
        AuditRecorder(recording)(line())
        assert bell.wait(10)


# --- watches ---------------------------------------------------------------------------------------

PODS = {"pods": "/api/v1/pods"}


def told(recording: Recording) -> list[tuple[str, str, str]]:
    return [
        (s.type, s.name, s.object["metadata"]["resourceVersion"]) for s in recorded(recording).watch_events
    ]


def test_the_first_list_is_sighted_and_the_watch_goes_on_from_it(
    api: TinyApi, recording: Recording, tmp_path: Path
) -> None:
    api.listings = [(7, [pod("x", 3)])]
    api.watches = [[change("MODIFIED", pod("x", 8)), change("DELETED", pod("x", 9)), HOLD]]
    with api.client(tmp_path) as kube, WatchRecorder(recording, kube, PODS) as watches:
        until(lambda: not watches.objects("pods", "a"))
        assert api.watched_from() == ["7"]
    assert told(recording) == [("ADDED", "x", "3"), ("MODIFIED", "x", "8"), ("DELETED", "x", "9")]


def test_objects_are_told_by_namespace(api: TinyApi, recording: Recording, tmp_path: Path) -> None:
    other = pod("y", 4)
    other["metadata"]["namespace"] = "b"
    api.listings = [(7, [pod("x", 3), other])]
    with api.client(tmp_path) as kube, WatchRecorder(recording, kube, PODS) as watches:
        assert watches.objects("pods", "a").keys() == {"x"}
        assert watches.objects("pods", "b").keys() == {"y"}
        assert len(watches.everything("pods")) == 2
        assert watches.objects("services", "a") == {}


def test_managed_fields_are_left_out(api: TinyApi, recording: Recording, tmp_path: Path) -> None:
    item = pod("x", 3)
    item["metadata"]["managedFields"] = [{"manager": "kopf"}]
    api.listings = [(7, [item])]
    with api.client(tmp_path) as kube, WatchRecorder(recording, kube, PODS) as watches:
        assert "managedFields" not in watches.objects("pods", "a")["x"]["metadata"]


def test_after_410_what_changed_vanished_and_came_meanwhile_is_sighted(
    api: TinyApi, recording: Recording, tmp_path: Path
) -> None:
    api.listings = [
        (7, [pod("same", 1), pod("changed", 2), pod("vanished", 3)]),
        (20, [pod("same", 1), pod("changed", 15), pod("new", 16)]),
    ]
    api.watches = [[EXPIRED], [HOLD]]
    with api.client(tmp_path) as kube, WatchRecorder(recording, kube, PODS) as watches:
        until(lambda: api.watched_from() == ["7", "20"])
        assert watches.objects("pods", "a").keys() == {"same", "changed", "new"}
        assert watches.problem == ""
    assert sorted(told(recording)[3:]) == [
        ("ADDED", "new", "16"),
        ("DELETED", "vanished", "3"),
        ("MODIFIED", "changed", "15"),
    ]


def breaks(recording: Recording) -> list[tuple[str, str, str]]:
    return [(each.how, each.before, each.after) for each in recorded(recording).watch_breaks]


def test_a_watch_that_had_to_list_again_is_on_record(
    api: TinyApi, recording: Recording, tmp_path: Path
) -> None:
    api.listings = [(7, [pod("same", 1)]), (20, [pod("same", 1)]), (20, [pod("same", 1)])]
    api.watches = [[EXPIRED], [HOLD]]
    with api.client(tmp_path) as kube, WatchRecorder(recording, kube, PODS, cluster="hub"):
        until(lambda: api.watched_from() == ["7", "20"])
    assert breaks(recording) == [("relisted", "7", "20")]
    assert recorded(recording).watch_breaks[0].cluster == "hub"


def test_an_api_server_that_knows_less_than_before_is_on_record(
    api: TinyApi, recording: Recording, tmp_path: Path
) -> None:
    api.listings = [(70, [pod("lost", 60)]), (20, [pod("kept", 3)])]
    api.watches = [[BREAK], [HOLD]]
    with api.client(tmp_path) as kube, WatchRecorder(recording, kube, PODS) as watches:
        until(lambda: api.watched_from() == ["70", "20"])
        assert watches.objects("pods", "a").keys() == {"kept"}
    assert breaks(recording) == [("went-back", "70", "20")]


@pytest.mark.parametrize("end", [[], [BREAK]], ids=["closed", "broken in a chunk"])
def test_no_watch_is_opened_before_it_is_known_where_the_api_server_stands(
    end: list[bytes], api: TinyApi, recording: Recording, tmp_path: Path
) -> None:
    # From the version before, one that knows less would be silent.
    api.listings = [(70, [pod("lost", 60)]), AWAY, AWAY, (20, [pod("kept", 3)])]
    api.watches = [[*end], [HOLD]]
    with api.client(tmp_path) as kube, WatchRecorder(recording, kube, PODS) as watches:
        until(lambda: api.watched_from() == ["70", "20"])
        assert watches.objects("pods", "a").keys() == {"kept"}
    assert breaks(recording) == [("went-back", "70", "20")]


@pytest.mark.parametrize("end", [[], [BREAK]], ids=["closed", "broken in a chunk"])
def test_a_watch_that_ends_is_taken_up_where_it_ended(
    end: list[bytes], api: TinyApi, recording: Recording, tmp_path: Path
) -> None:
    api.listings = [(7, []), (9, [])]
    api.watches = [
        [change("ADDED", pod("x", 8)), *end],
        [change("ADDED", pod("y", 9)), HOLD],
    ]
    with api.client(tmp_path) as kube, WatchRecorder(recording, kube, PODS) as watches:
        until(lambda: watches.objects("pods", "a").keys() == {"x", "y"})
        assert api.watched_from() == ["7", "8"]
    assert told(recording) == [("ADDED", "x", "8"), ("ADDED", "y", "9")]


def test_a_bookmark_moves_the_version_and_is_no_sighting(
    api: TinyApi, recording: Recording, tmp_path: Path
) -> None:
    bookmark = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "50"}}}
    api.listings = [(1, []), (50, [])]
    api.watches = [[bookmark], [HOLD]]
    with api.client(tmp_path) as kube, WatchRecorder(recording, kube, PODS):
        until(lambda: api.watched_from() == ["1", "50"])
    assert told(recording) == []


def test_a_broken_watch_is_told_as_the_harness_s_trouble(
    api: TinyApi, recording: Recording, tmp_path: Path
) -> None:
    api.watches = [[BREAK]]
    with api.client(tmp_path) as kube, WatchRecorder(recording, kube, PODS) as watches:
        until(lambda: watches.problem)
        assert "the watch of /api/v1/pods broke" in watches.problem


@pytest.mark.parametrize("text", [b"not json\n", b'{"type": "ADDED"}\n', b"[]\n"])
def test_a_watch_that_talks_nonsense_does_not_end_unseen(
    text: bytes, api: TinyApi, recording: Recording, tmp_path: Path
) -> None:
    """A thread that dies silently would leave the learner to miss every deadline."""
    api.watches = [[text, HOLD]]
    with api.client(tmp_path) as kube, WatchRecorder(recording, kube, PODS) as watches:
        until(lambda: watches.problem)
        assert watches.problem.startswith("the watch of pods ended")


def test_an_object_nested_without_end_is_seen_as_far_as_anybody_looks(
    api: TinyApi, recording: Recording, tmp_path: Path
) -> None:
    event = json.dumps(change("ADDED", pod("x", 8, status="HERE"))).replace('"HERE"', deep(20_000))
    api.watches = [[event.encode() + b"\n", HOLD]]
    with api.client(tmp_path) as kube, WatchRecorder(recording, kube, PODS) as watches:
        until(lambda: "x" in watches.objects("pods", "a"))
        assert watches.problem == ""
    assert told(recording) == [("ADDED", "x", "8")]


def test_one_more_resource_can_be_followed_later(api: TinyApi, recording: Recording, tmp_path: Path) -> None:
    api.listings = [(7, [])]
    with api.client(tmp_path) as kube, WatchRecorder(recording, kube, {}) as watches:
        assert watches.everything("jobs") == []
        api.listings = [(8, [pod("x", 3)])]
        watches.follow("jobs", "/apis/x/v1/jobs")
        assert watches.objects("jobs", "a").keys() == {"x"}


def test_a_kind_that_is_not_served_yet_is_waited_for(
    api: TinyApi, recording: Recording, tmp_path: Path
) -> None:
    answers = [(404, {"message": "not found"}), (429, {"message": "storage is (re)initializing"})]
    listing = (200, {"metadata": {"resourceVersion": "8"}, "items": [pod("x", 3)]})
    api.paths["/apis/x/v1/jobs"] = lambda: answers.pop(0) if answers else listing
    with api.client(tmp_path) as kube, WatchRecorder(recording, kube, {}) as watches:
        watches.follow("jobs", "/apis/x/v1/jobs")
        assert watches.objects("jobs", "a").keys() == {"x"}


def test_a_kind_that_is_never_served_is_a_fault(
    api: TinyApi, recording: Recording, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("graders.evidence.watching.SERVED_WITHIN_S", 0.3)
    api.paths["/apis/x/v1/jobs"] = lambda: (404, {"message": "no such kind"})
    with (
        api.client(tmp_path) as kube,
        WatchRecorder(recording, kube, {}) as watches,
        pytest.raises(InfraFault, match="404 no such kind"),
    ):
        watches.follow("jobs", "/apis/x/v1/jobs")


def test_what_is_in_other_namespaces_may_be_nobody_s_business(
    api: TinyApi, recording: Recording, tmp_path: Path
) -> None:
    secret = pod("theirs", 3)
    secret["metadata"]["namespace"] = "shop"
    later = pod("late", 9)
    later["metadata"]["namespace"] = "shop"
    api.listings = [(7, [pod("ours", 2), secret])]
    api.watches = [[change("ADDED", later), change("ADDED", pod("also", 10)), HOLD]]
    with (
        api.client(tmp_path) as kube,
        WatchRecorder(recording, kube, PODS, only=lambda namespace: namespace == "a") as watches,
    ):
        until(lambda: "also" in watches.objects("pods", "a"))
        assert watches.objects("pods", "shop") == {}
    assert [name for _, name, _ in told(recording)] == ["ours", "also"]


def test_a_first_list_that_fails_is_raised(recording: Recording, tmp_path: Path) -> None:
    from graders.kube.client import Kube

    kube = Kube(kubeconfig(tmp_path, "http://127.0.0.1:9"))
    with pytest.raises(InfraFault, match="got no answer"), WatchRecorder(recording, kube, PODS):
        pytest.fail("it cannot be entered")


# --- the harness's own health ----------------------------------------------------------------------


def harness_of(recording: Recording, *samples: HarnessSample) -> HarnessHealth:
    """A recorder that took these samples."""
    health = HarnessHealth(recording)
    health._samples.extend(samples)
    return health


def api_of(recording: Recording, *samples: HealthSample) -> ApiHealth:
    """A recorder that took these samples; nothing is read from any server."""
    health = ApiHealth(recording, None)  # type: ignore[arg-type]
    health._samples.extend(samples)
    return health


def test_a_healthy_harness_has_no_sickness(recording: Recording) -> None:
    now = recording.clock.now()
    ticks = [HarnessSample(now - t / 2, 0.1) for t in range(20, 0, -1)]
    reads = [HealthSample(now - t / 2, 0.05) for t in range(20, 0, -1)]
    assert Health(harness_of(recording, *ticks), api_of(recording, *reads)).sickness(now - 12) == ""


def test_a_harness_that_was_not_scheduled_says_so(recording: Recording) -> None:
    now = recording.clock.now()
    health = harness_of(
        recording, HarnessSample(now - 2, 0.0), HarnessSample(now - 1, 4.2), HarnessSample(now, 0.0)
    )
    assert "was not scheduled for 4.2 s" in health.sickness(now - 3)
    assert health.sickness(now - 0.5) == ""


@pytest.mark.parametrize(
    ("sample", "says"),
    [
        (HealthSample(3.0, None, "connection refused"), "did not answer the harness: connection refused"),
        (HealthSample(3.0, 8.0), "took 8.0 s for a trivial read"),
    ],
    ids=["no answer", "slow answer"],
)
def test_an_api_server_that_is_not_well_is_told(
    sample: HealthSample, says: str, recording: Recording
) -> None:
    now = recording.clock.now()
    sick = dataclasses.replace(sample, t=now - 1)
    health = api_of(recording, HealthSample(now - 2, 0.1), sick, HealthSample(now, 0.1))
    assert says in health.sickness(now - 3)
    assert health.sickness(now - 0.5) == ""
    assert Health(harness_of(recording, HarnessSample(now, 0.0)), health).sickness(now - 3)


@pytest.mark.parametrize(
    ("answers", "slow_s"),
    [
        ([0.004, 0.01, 0.003], 0.0),
        ([0.01, 0.1, 0.004], 0.9),
        ([0.1, 0.1, 0.1], 2.7),
        ([0.004, None, 0.04], 1.75),
    ],
    ids=["prompt", "slow-for-a-moment", "slow", "silent-for-a-moment"],
)
def test_what_the_api_server_took_from_who_asks_it(
    recording: Recording, answers: list[float | None], slow_s: float
) -> None:
    before = HealthSample(9.0, 2.0, "")
    samples = [HealthSample(10.0 + n, answer, "") for n, answer in enumerate([2.0, *answers])]
    assert api_of(recording, before, *samples).slow_s(10.0) == pytest.approx(slow_s)


@given(
    st.lists(st.tuples(st.floats(0.01, 3.0), st.none() | st.floats(0.0, 5.0)), max_size=8),
    st.lists(st.floats(-1.0, 20.0), min_size=1, max_size=4),
)
def test_what_it_took_is_the_sum_of_the_samples_whenever_it_is_asked(
    taken: list[tuple[float, float | None]], asked: list[float]
) -> None:
    health, t = api_of(None), 0.0  # type: ignore[arg-type]
    for passed, read_s in taken:
        t += passed
        health._samples.append(HealthSample(t, read_s))
        for since in asked:
            assert health.slow_s(since) == pytest.approx(_added_up(health._samples, since))


def _added_up(samples: list[HealthSample], since: float) -> float:
    """One sample after another."""
    found, before = 0.0, since
    for sample in samples:
        prompt = 0.0 if sample.read_s is None else min(1.0, 0.01 / max(sample.read_s, 1e-6))
        if sample.t > since:
            found += (sample.t - max(since, before)) * (1.0 - prompt)
        before = sample.t
    return found


def test_no_sample_at_all_is_a_sickness(recording: Recording) -> None:
    since = recording.clock.now() - 60
    assert "took no sample" in harness_of(recording).sickness(since)
    assert "took no health sample" in api_of(recording).sickness(since)


def test_a_sample_that_is_long_under_way_is_a_sickness(recording: Recording) -> None:
    """A server that hangs answers the harness late, too; the learner must not pay before it does."""
    now = recording.clock.now()
    health = api_of(recording, HealthSample(now - 9, 0.1))
    assert "took no health sample for 9" in health.sickness(now - 10)


def test_the_harness_samples_itself(recording: Recording) -> None:
    with HarnessHealth(recording) as health:
        until(lambda: len(health._samples) >= 2)
    assert len(recorded(recording).harness) >= 2


def test_samples_are_taken_from_the_api_server_and_recorded(
    api: TinyApi, recording: Recording, tmp_path: Path
) -> None:
    answers = iter([(200, {}), (500, {"message": "etcdserver: request timed out"})])
    api.paths["/api/v1/namespaces/own"] = lambda: next(answers, (200, {}))
    with api.client(tmp_path) as kube, ApiHealth(recording, kube, "own", cluster="hub") as health:
        until(lambda: len(health._samples) >= 2)
        assert "500 etcdserver: request timed out" in health.sickness(0.0)
    first, second, *_ = recorded(recording).health
    assert (first.error, second.read_s) == ("", None)
    assert first.read_s is not None


# --- the bundle ------------------------------------------------------------------------------------


def test_a_folder_without_a_manifest_is_no_bundle(tmp_path: Path) -> None:
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "marks.jsonl").write_text("")
    with pytest.raises(UsageError, match=r"there is no evidence bundle here\n  fix: name a folder that has"):
        Bundle(tmp_path / "half")


@pytest.mark.parametrize("text", ['{"schema": "kubeproof/bundle/v9"}', "[]", "null"])
def test_a_bundle_of_another_schema_is_refused_with_a_fix(text: str, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(UsageError, match=r"manifest.json: this bundle is not of schema .*\n  fix: judge it"):
        Bundle(tmp_path)


def test_a_manifest_that_is_no_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(UsageError, match=r"manifest.json: the manifest is not JSON"):
        Bundle(tmp_path)


@pytest.mark.parametrize("lost", ["the end of it", "the file", "nothing, but a line came"])
def test_a_record_that_is_not_whole_is_noticed(lost: str, recording: Recording) -> None:
    for name in ("one", "two", "three"):
        recording.mark("suspend", name)
    recording.writer.close(make_manifest())
    bundle = Bundle(recording.writer.folder)
    bundle.verify()
    marks = bundle.folder / "marks.jsonl"
    lines = marks.read_text().splitlines(keepends=True)
    marks.write_text("".join(lines[:1] if lost == "the end of it" else [*lines, lines[0]]))
    if lost == "the file":
        marks.unlink()
    left = {"the end of it": 1, "the file": 0}.get(lost, 4)
    with pytest.raises(InfraFault, match=f"the record is not whole: marks.jsonl has {left} of 3 records"):
        bundle.verify()


def test_records_are_read_in_the_order_of_time(recording: Recording) -> None:
    for t in (3.0, 1.0, 2.0):
        recording.writer.add(Mark(t, "a", f"at {t:g}"))
    assert [mark.name for mark in recorded(recording).marks] == ["at 1", "at 2", "at 3"]


def test_what_comes_after_the_end_is_dropped(recording: Recording) -> None:
    bundle = recorded(recording)
    recording.mark("late", "news")
    assert bundle.marks == ()


def test_records_of_many_threads_are_whole_lines(recording: Recording) -> None:
    def write(number: int) -> None:
        for nth in range(100):
            item = {"metadata": {"uid": f"{number}-{nth}", "note": "x" * 500}}
            recording.writer.add(WatchEvent(float(nth), "ADDED", "pods", "a", f"{number}", item))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({sighting.uid for sighting in recorded(recording).watch_events}) == 800
