"""Stands in for an API server's audit log where that is out of reach, as on clusters that others run.

The operator's only way to its API server is the proxy, so the proxy sees all that the log would hold of it,
and puts it on record in the same form: when the API server got a request and when it answered, what was
asked and, of writes to the operator's own objects, what came of it. What two answers say in words, the log
says in annotations: that a request was denied for lack of rights, and that a pod breaks Pod Security.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from graders.evidence.auditing import AuditRecorder
from graders.evidence.records import AuditEvent, effective_verb
from graders.faultproxy.rules import InFlight, Seen
from graders.kube.nesting import read_json
from graders.kube.requestinfo import WRITES

MOST_BYTES = 1024 * 1024
"""What of a body is kept; the API server takes no larger objects."""

DECISION = "authorization.k8s.io/decision"
VIOLATIONS = "pod-security.kubernetes.io/audit-violations"

_FORBIDDEN = 403
_DENIED = re.compile(r': User "[^"]*" cannot ')
"""How the API server words that somebody lacks a right; admission words its refusals otherwise."""

_WARNING = re.compile(r'^\d{3} \S+ "((?:[^"\\]|\\.)*)"')
_ANSWERS_KEPT = frozenset({("", "pods"), ("", "services")})
_OF_ONE_OBJECT = WRITES - {"deletecollection"}
_SECRET = frozenset({"secrets", "tokenreviews"})


@dataclass(frozen=True)
class ProxyAuditLog:
    """Puts an operator's requests on record in `audit` as those of `user`.

    `groups` are the API groups of the objects it is there for, whose answers are kept.
    """

    audit: AuditRecorder
    user: str
    groups: Iterable[str] = field(default_factory=frozenset)

    def sent(self, flight: InFlight, t: float, user_agent: str) -> None:
        """The request goes to the API server now."""
        kept = flight.info.verb in WRITES and len(flight.body) <= MOST_BYTES
        body = flight.body if kept else b""
        flight.seen = Seen(t, body, user_agent[:200])

    async def answered(self, flight: InFlight, upstream: aiohttp.ClientResponse) -> None:
        """The API server answers; what is needed of a short answer is read, and kept to be passed on."""
        info, length = flight.info, upstream.content_length
        wanted = (info.verb in _OF_ONE_OBJECT and self._keeps(flight)) or upstream.status == _FORBIDDEN
        if wanted and (length is None or length <= MOST_BYTES):
            flight.answer = await upstream.read()

    def begun(self, flight: InFlight, upstream: aiohttp.ClientResponse, t: float) -> None:
        """A watch begins."""
        if flight.seen is not None:
            self.audit.begun(self._event(flight, flight.seen, upstream, t))

    def over(self, flight: InFlight, upstream: aiohttp.ClientResponse, t: float) -> None:
        """Put it on record: `t` is when the answer was complete, which for a watch is its end."""
        if flight.seen is not None:
            self.audit.take(self._event(flight, flight.seen, upstream, t))
            flight.seen = None

    def _event(self, flight: InFlight, seen: Seen, upstream: aiohttp.ClientResponse, t: float) -> AuditEvent:
        info = flight.info
        answer = _parsed(flight.answer)
        kept = answer if self._keeps(flight) and info.verb in _OF_ONE_OBJECT else None
        annotations = _annotations(upstream, answer)
        # Of a request that was denied at once nobody has read the body.
        request = _parsed(seen.body) if DECISION not in annotations else None
        did = effective_verb(info.verb, upstream.status)
        if request is None and did == "create" and 200 <= upstream.status < 300:
            # Bodies may be of a kind that only the API server reads; what it made of them is JSON.
            request = kept
        name = info.name or _name(answer) or _name(request)
        if info.resource in _SECRET:
            request = None
        return AuditEvent(
            t=seen.t, t_end=t, id=upstream.headers.get("Audit-Id", "")[:100], user=self.user,
            verb=info.verb[:20], group=info.group[:100], resource=info.resource[:200],
            subresource=info.subresource[:100], namespace=info.namespace[:100],
            name=name[:300], code=upstream.status,
            dry_run=info.dry_run, user_agent=seen.user_agent, request=request, response=kept,
            annotations=annotations,
        )  # fmt: skip

    def _keeps(self, flight: InFlight) -> bool:
        info = flight.info
        return (info.group, info.resource) in _ANSWERS_KEPT or info.group in self.groups


def _annotations(upstream: aiohttp.ClientResponse, answer: Any) -> dict[str, str]:
    found = {}
    message = str(answer.get("message", "")) if isinstance(answer, Mapping) else ""
    if upstream.status == _FORBIDDEN and _DENIED.search(message):
        found[DECISION] = "forbid"
    for value in upstream.headers.getall("Warning", ()):
        warning = _WARNING.match(value)
        if warning and "violate PodSecurity" in warning[1]:
            found[VIOLATIONS] = re.sub(r"\\(.)", r"\1", warning[1])[:2000]
    return found


def _parsed(body: bytes | None) -> Any:
    """The JSON value of a body, without what only says who set which field; None where it is none."""
    if not body:
        return None
    try:
        value = read_json(body)
    except (ValueError, UnicodeDecodeError):
        return None
    if isinstance(value, dict) and isinstance(value.get("metadata"), dict):
        value["metadata"].pop("managedFields", None)
    return value


def _name(value: Any) -> str:
    metadata = value.get("metadata") if isinstance(value, Mapping) else None
    return str(metadata.get("name") or "") if isinstance(metadata, Mapping) else ""
