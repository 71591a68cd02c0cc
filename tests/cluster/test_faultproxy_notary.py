"""What the proxy's notary puts on record, beside what the API server's own log says of the same requests.

The log is there on this cluster, so each request is on record twice; on clusters that others run there is
only the notary.
"""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import yaml

from graders.evidence.records import AuditEvent
from graders.faultproxy import Delay, Match, Respond, RuleAnswer, writes_in
from graders.faultproxy.auditlog import DECISION, VIOLATIONS
from graders.polling import NotYet, TimedOut, wait_for
from tests.cluster.proxied import (
    WITHIN_S,
    DropResponse,
    Remembering,
    Served,
    World,
    config_map,
    maps,
    proxied,
)

pytestmark = pytest.mark.cluster

PODS = "/api/v1/namespaces/other/pods"
ACCEPTABLE_S = 0.25
"""Two processes of one machine note the same moment."""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remembering]:
    with Remembering(tmp_path_factory.mktemp("stand-in") / "bundle") as writer:
        yield writer


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, told: Remembering) -> Iterator[World]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBEPROOF_STATE", str(tmp_path_factory.mktemp("state")))
        with proxied(tmp_path_factory.mktemp("proxied"), "notary", told) as world:
            labels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("audit", "warn")}
            world.kube.patch("/api/v1/namespaces/other", {"metadata": {"labels": labels}})
            yield world


@pytest.fixture
def served(world: World, request: pytest.FixtureRequest) -> Iterator[Served]:
    with world.served(f"operator-{abs(hash(request.node.name)) % 10**6}") as served, served.opened:
        yield served


def both(world: World, told: Remembering, agent: str) -> tuple[AuditEvent, AuditEvent]:
    """What the log and what the notary says of the request with this User-Agent."""

    def there() -> tuple[AuditEvent, AuditEvent]:
        found = [
            [r for r in list(records) if isinstance(r, AuditEvent) and r.user_agent == agent]
            for records in (world.writer.records, told.records)
        ]
        if [len(each) for each in found] != [1, 1]:
            raise NotYet(f"log and notary have {[len(each) for each in found]} events of {agent}")
        return found[0][0], found[1][0]

    return wait_for(there, timeout_s=WITHIN_S)


def same(log: AuditEvent, audit_log: AuditEvent, *, only_the_server_reads_it: bool = False) -> None:
    """All that both say is the same, and when it was is nearly so.

    Of a request's body the log has what the API server made of it: whatever was sent, and defaults. The
    notary cannot read every body: then it has the object as it was answered.
    """
    mine, theirs = (dataclasses.asdict(each) for each in (audit_log, log))
    sent, taken = mine.pop("request"), theirs.pop("request")
    if only_the_server_reads_it:
        sent, taken = taken, sent
    assert holds(taken, sent), (sent, taken)
    kept = (DECISION, VIOLATIONS)
    for each in (mine, theirs):
        # The log says why something was allowed, too; what counts is what was not.
        each["annotations"] = {
            key: value for key, value in each["annotations"].items() if key in kept and value != "allow"
        }
        for field in ("t", "t_end"):
            del each[field]
    assert mine == theirs
    assert abs(audit_log.t - log.t) < ACCEPTABLE_S
    assert abs(audit_log.t_end - log.t_end) < ACCEPTABLE_S


def holds(taken: Any, sent: Any) -> bool:
    """Whether a body has all that was sent; what is empty may be left out."""
    if isinstance(sent, dict):
        inside = taken if isinstance(taken, dict) else {}
        return all(holds(inside.get(key), value) for key, value in sent.items() if value)
    if isinstance(sent, list):
        return isinstance(taken, list) and len(taken) == len(sent) and all(map(holds, taken, sent))
    return bool(sent == taken or not sent)


def pod(name: str, **metadata: Any) -> dict[str, Any]:
    spec = {"containers": [{"name": "main", "image": "any"}], "tolerations": [{"operator": "Exists"}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, **metadata}, "spec": spec}


def applied(client: httpx.Client, name: str, body: str) -> httpx.Response:
    """Server-side apply, which makes what is not there."""
    return client.patch(
        f"{PODS}/{name}",
        params={"fieldManager": "mine"},
        content=body,
        headers={"Content-Type": "application/apply-patch+yaml"},
    )


Send = Callable[[httpx.Client], httpx.Response]

REQUESTS: dict[str, tuple[int, Send]] = {
    "list": (200, lambda c: c.get(maps())),
    "list-all": (200, lambda c: c.get("/api/v1/configmaps")),
    "get-missing": (404, lambda c: c.get(f"{maps()}/missing")),
    "create": (201, lambda c: c.post(maps(), json=config_map("one", a="b"))),
    "create-again": (409, lambda c: c.post(maps(), json=config_map("kube-root-ca.crt"))),
    "create-generated": (201, lambda c: c.post(PODS, json=pod("", generateName="made-"))),
    "create-dry": (201, lambda c: c.post(maps(), params={"dryRun": "All"}, json=config_map("dry"))),
    "create-pod": (201, lambda c: c.post(PODS, json=pod("plain", labels={"a": "b"}))),
    "create-invalid": (422, lambda c: c.post(PODS, json=pod("Not_A_Name"))),
    "update": (200, lambda c: c.put(f"{maps()}/one", json=config_map("one", a="c"))),
    "patch": (
        200,
        lambda c: c.patch(
            f"{PODS}/plain",
            content=json.dumps({"metadata": {"labels": {"c": "d"}}}),
            headers={"Content-Type": "application/merge-patch+json"},
        ),
    ),
    "apply": (201, lambda c: applied(c, "laid", json.dumps(pod("laid", labels={"a": "b"})))),
    "apply-again": (200, lambda c: applied(c, "laid", json.dumps(pod("laid", labels={"a": "c"})))),
    "apply-yaml": (201, lambda c: applied(c, "spelt", yaml.safe_dump(pod("spelt", labels={"a": "b"})))),
    "status": (404, lambda c: c.get(f"{PODS}/missing/status")),
    "delete-pod": (
        200,
        lambda c: c.request("DELETE", f"{PODS}/plain", json={"gracePeriodSeconds": 0}),
    ),
    "delete": (200, lambda c: c.delete(f"{maps()}/one")),
    "denied": (403, lambda c: c.get("/api/v1/nodes")),
    "denied-write": (403, lambda c: c.post("/api/v1/namespaces", json={"metadata": {"name": "mine"}})),
    "secret": (
        201,
        lambda c: c.post("/api/v1/namespaces/default/secrets", json={"metadata": {"name": "hidden"}}),
    ),
    "no-such-kind": (403, lambda c: c.get("/apis/example.org/v1/things")),
    "no-resource": (403, lambda c: c.get("/nowhere")),
    "version": (200, lambda c: c.get("/apis")),
}


@pytest.mark.parametrize("what", REQUESTS)
def test_the_notary_says_what_the_log_says(
    world: World, told: Remembering, served: Served, what: str
) -> None:
    code, send = REQUESTS[what]
    answer = send(served.http(headers={"User-Agent": what}))
    assert answer.status_code == code, answer.text
    log, audit_log = both(world, told, what)
    same(log, audit_log, only_the_server_reads_it=what == "apply-yaml")
    assert audit_log.code == code
    if what.startswith("apply"):
        assert log.did == audit_log.did == ("create" if code == 201 else "patch")
        for each in (log, audit_log):
            assert holds(each.request, {"metadata": {"labels": {"a": "c" if code == 200 else "b"}}})


def test_a_denied_request_is_told_apart_from_one_that_admission_refuses(
    world: World, told: Remembering, served: Served
) -> None:
    body = {"metadata": {"name": "tight"}, "spec": {"hard": {"pods": "0"}}}
    world.kube.create("/api/v1/namespaces/default/resourcequotas", body)

    def refused() -> AuditEvent:
        agent = f"quota-{served.world.recording.clock.now()}"
        answer = served.http(headers={"User-Agent": agent}).post(
            "/api/v1/namespaces/default/pods", params={"dryRun": "All"}, json=pod("none")
        )
        if answer.status_code != 403:
            raise NotYet(answer.text)
        log, audit_log = both(world, told, agent)
        same(log, audit_log)
        return audit_log

    try:
        assert DECISION not in wait_for(refused, timeout_s=WITHIN_S, interval_s=0.2).annotations
    finally:
        world.kube.delete("/api/v1/namespaces/default/resourcequotas/tight")
    served.http(headers={"User-Agent": "forbidden"}).get("/api/v1/persistentvolumes")
    log, audit_log = both(world, told, "forbidden")
    assert audit_log.annotations == {DECISION: "forbid"}
    assert log.annotations[DECISION] == "forbid"


def test_what_breaks_pod_security_is_noted_in_the_same_words(
    world: World, told: Remembering, served: Served
) -> None:
    answer = served.http(headers={"User-Agent": "unsafe"}).post(PODS, json=pod("unsafe"))
    assert answer.status_code == 201
    log, audit_log = both(world, told, "unsafe")
    assert 'would violate PodSecurity "restricted' in audit_log.annotations[VIOLATIONS]
    assert audit_log.annotations[VIOLATIONS] == log.annotations[VIOLATIONS]


def test_a_watch_is_noted_at_its_end(world: World, told: Remembering, served: Served) -> None:
    served.http(headers={"User-Agent": "watcher"}).get(maps(), params={"watch": "1", "timeoutSeconds": "1"})
    log, audit_log = both(world, told, "watcher")
    same(log, audit_log)
    assert (audit_log.verb, audit_log.code) == ("watch", 200)
    assert audit_log.t_end - audit_log.t > 0.5


def test_a_write_whose_answer_is_lost_is_noted_as_it_was_committed(
    world: World, told: Remembering, served: Served
) -> None:
    rule = DropResponse("swallow", writes_in("other"))
    with world.proxy.disturb(rule), pytest.raises(httpx.HTTPError):
        served.http(headers={"User-Agent": "unheard"}).post(PODS, json=pod("unheard"))
    log, audit_log = both(world, told, "unheard")
    same(log, audit_log)
    assert (audit_log.code, audit_log.name) == (201, "unheard")


def test_a_write_that_is_held_counts_from_when_the_api_server_gets_it(
    world: World, told: Remembering, served: Served
) -> None:
    with world.proxy.disturb(Delay("late", writes_in("other"), 1.0)):
        served.http(headers={"User-Agent": "held"}).post(PODS, json=pod("held"))
    log, audit_log = both(world, told, "held")
    same(log, audit_log)
    (exchange,) = served.recorded(verb="create")
    assert audit_log.t - exchange.t > 0.9


def test_a_client_that_is_gone_does_not_keep_its_write_off_the_record(
    world: World, told: Remembering, served: Served
) -> None:
    """The API server commits what it got, whoever has died meanwhile."""
    body = json.dumps(pod("orphan")).encode()
    head = (
        f"POST {PODS} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {world.token}\r\nUser-Agent: gone\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    connection = served.connect()
    connection.sendall(head.encode() + body)
    threading.Event().wait(0.005)
    connection.close()
    try:
        log, audit_log = both(world, told, "gone")
    except TimedOut:
        # It went before the API server was asked: then neither has it.
        assert world.kube.find(f"{PODS}/orphan") is None
        return
    same(log, audit_log)


def test_what_never_reached_the_api_server_is_not_noted(
    world: World, told: Remembering, served: Served
) -> None:
    answer = RuleAnswer(503, "ServiceUnavailable", "away")
    with world.proxy.disturb(Respond("away", Match(), answer)):
        served.http(headers={"User-Agent": "away"}).get(maps())
    served.http(headers={"User-Agent": "back"}).get(maps())
    both(world, told, "back")
    assert not [r for r in told.records if isinstance(r, AuditEvent) and r.user_agent == "away"]
