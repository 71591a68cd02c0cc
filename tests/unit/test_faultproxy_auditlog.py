"""The notary: which bodies it keeps, what it takes from words, and that it costs nothing where it is not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from multidict import CIMultiDict

from graders.evidence.auditing import AuditRecorder
from graders.evidence.bundle import Bundle, BundleWriter
from graders.evidence.recording import Recording
from graders.evidence.records import AuditEvent
from graders.faultproxy import ProxyAuditLog, read_request_info
from graders.faultproxy.auditlog import DECISION, MOST_BYTES, VIOLATIONS
from graders.faultproxy.rules import InFlight
from tests.unit.synthetic_bundle import make_manifest

OPERATOR = "system:serviceaccount:mltj-system:mltj-operator"
PODS = "/api/v1/namespaces/a/pods"
JOBS = "/apis/training.mod201.dev/v1alpha1/namespaces/a/mltrainingjobs"
POD = {"metadata": {"name": "x-0", "labels": {"a": "b"}, "managedFields": [{"manager": "x"}]}}


@dataclass
class Upstream:
    """An answer of the API server's."""

    status: int = 200
    body: Any = None
    headers: CIMultiDict[str] = field(default_factory=CIMultiDict)
    content_length: int | None = None
    reads: int = 0

    async def read(self) -> bytes:
        self.reads += 1
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


Note = Callable[..., AuditEvent]


@pytest.fixture
def audit(tmp_path: Path) -> Iterator[AuditRecorder]:
    with BundleWriter(tmp_path / "bundle") as writer:
        yield AuditRecorder(Recording(writer))


@pytest.fixture
def note(audit: AuditRecorder, tmp_path: Path) -> Note:
    audit_log = ProxyAuditLog(audit, OPERATOR, frozenset({"training.mod201.dev"}))

    def note(method: str, target: str, upstream: Upstream, body: bytes = b"") -> AuditEvent:
        flight = InFlight(read_request_info(method, target), "operator-1", 1.0, body=body)
        audit_log.sent(flight, 2.0, "agent")
        flight.body = b""
        asyncio.run(audit_log.answered(flight, upstream))  # type: ignore[arg-type]
        audit_log.over(flight, upstream, 3.0)  # type: ignore[arg-type]
        audit._recording.writer.close(make_manifest())
        (event,) = Bundle(tmp_path / "bundle").audit
        return event

    return note


def test_a_write_is_noted_with_what_was_asked_and_what_came_of_it(note: Note, audit: AuditRecorder) -> None:
    upstream = Upstream(201, POD, CIMultiDict({"Audit-Id": "id-1"}))
    event = note("POST", PODS, upstream, json.dumps(POD).encode())
    assert (event.t, event.t_end, event.id, event.user, event.user_agent) == (
        2.0,
        3.0,
        "id-1",
        OPERATOR,
        "agent",
    )
    assert (event.verb, event.resource, event.namespace, event.name, event.code) == (
        "create",
        "pods",
        "a",
        "x-0",
        201,
    )
    assert event.request == event.response == {"metadata": {"name": "x-0", "labels": {"a": "b"}}}
    assert audit.writes(OPERATOR, "a") == 1
    assert audit.last_write(OPERATOR, "a") == 3.0
    assert audit.accepted(OPERATOR, "pods") == 1


def test_a_name_that_the_api_server_gave_is_taken_from_its_answer(note: Note) -> None:
    body = json.dumps({"metadata": {"generateName": "x-"}}).encode()
    assert note("POST", PODS, Upstream(201, {"metadata": {"name": "x-7k2"}}), body).name == "x-7k2"


def test_a_body_that_only_the_api_server_reads_is_told_by_what_it_made_of_it(note: Note) -> None:
    """Go clients send protobuf."""
    event = note("POST", PODS, Upstream(201, POD), b"k8s\x00\n\x0f")
    assert event.request == {"metadata": {"name": "x-0", "labels": {"a": "b"}}}
    assert event.name == "x-0"


def test_a_refused_body_that_cannot_be_read_is_not_guessed(note: Note) -> None:
    event = note("POST", PODS, Upstream(409, {"kind": "Status", "message": "already exists"}), b"k8s\x00")
    assert event.request is None


@pytest.mark.parametrize(
    ("target", "kept"),
    [
        (JOBS, True),
        (f"{JOBS}/x/status", True),
        ("/api/v1/namespaces/a/services", True),
        ("/api/v1/namespaces/a/events", False),
        ("/apis/coordination.k8s.io/v1/namespaces/a/leases", False),
    ],
)
def test_answers_are_kept_of_the_objects_it_is_there_for(note: Note, target: str, kept: bool) -> None:
    upstream = Upstream(200, POD)
    event = note("PUT", target, upstream, b"{}")
    assert (event.response is not None) == kept == (upstream.reads == 1)


def test_secrets_are_noted_without_what_is_in_them(note: Note) -> None:
    body = json.dumps({"metadata": {"name": "s"}, "data": {"pin": "MDAwMA=="}}).encode()
    event = note("POST", "/api/v1/namespaces/a/secrets", Upstream(201, POD), body)
    assert (event.name, event.request, event.response) == ("s", None, None)


def test_reads_and_large_bodies_are_noted_without_them(note: Note) -> None:
    upstream = Upstream(200, POD)
    event = note("GET", PODS, upstream)
    assert (event.verb, event.request, event.response, upstream.reads) == ("list", None, None, 0)


def test_a_body_larger_than_any_object_is_not_kept(note: Note) -> None:
    large = b'{"a": "' + b"x" * MOST_BYTES + b'"}'
    upstream = Upstream(413, POD, content_length=MOST_BYTES + 1)
    event = note("POST", PODS, upstream, large)
    assert (event.request, event.response, upstream.reads) == (None, None, 0)


@pytest.mark.parametrize(
    ("code", "message", "denied"),
    [
        (403, f'pods is forbidden: User "{OPERATOR}" cannot list resource "pods" in API group ""', True),
        (403, f'forbidden: User "{OPERATOR}" cannot get path "/metrics"', True),
        (403, 'pods "x" is forbidden: violates PodSecurity "restricted:latest": privileged', False),
        (403, 'pods "x" is forbidden: exceeded quota: tight, requested: pods=1', False),
        (403, 'pods "x" is forbidden: cannot set blockOwnerDeletion', False),
        (422, f'User "{OPERATOR}" cannot be right', False),
    ],
)
def test_a_denial_for_lack_of_rights_is_known_by_its_words(
    note: Note, code: int, message: str, denied: bool
) -> None:
    event = note(
        "POST", PODS, Upstream(code, {"kind": "Status", "message": message}), json.dumps(POD).encode()
    )
    assert event.annotations == ({DECISION: "forbid"} if denied else {})
    # Nobody reads the body of a request that is denied at once.
    assert (event.request is None) == denied


def test_a_warning_about_pod_security_is_noted_in_its_words(note: Note) -> None:
    text = 'would violate PodSecurity \\"restricted:latest\\": runAsNonRoot != true'
    headers = CIMultiDict([("Warning", '299 - "unknown field"'), ("Warning", f'299 - "{text}"')])
    event = note("POST", PODS, Upstream(201, POD, headers), b"{}")
    assert event.annotations == {
        VIOLATIONS: 'would violate PodSecurity "restricted:latest": runAsNonRoot != true'
    }


@pytest.mark.parametrize("answer", [b"", b"[]", b"7", b"not json", b'{"metadata": 7}', b"\xff"])
def test_an_answer_of_any_shape_is_taken_as_it_is(note: Note, answer: bytes) -> None:
    event = note("POST", PODS, Upstream(201, answer), answer)
    assert (event.code, event.name) == (201, "")
