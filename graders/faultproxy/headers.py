"""What of a request's head is passed on, and what is not passed at all; pure."""

from __future__ import annotations

from multidict import CIMultiDict, CIMultiDictProxy

from graders.faultproxy.rules import Answer

_HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
)
_OURS = frozenset({"host", "accept-encoding", "expect", "content-length"})
"""What the proxy says itself: it asks for plain bytes, and has read the body."""

_UNREADABLE = ("protobuf", "cbor")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

NOT_OURS = Answer(400, "BadRequest", "the target of a request is a path of this API server's")
NO_JSON = Answer(406, "NotAcceptable", "only application/json is spoken here; ask for it in Accept")
NO_METHOD = Answer(405, "MethodNotAllowed", "no such method is spoken here")


def refusal(method: str, target: str, headers: CIMultiDictProxy[str]) -> Answer | None:
    """The answer to a request that goes nowhere: to another server, by an odd method, or unreadable."""
    if method not in _METHODS:
        return NO_METHOD
    # Put behind the API server's address, anything but a path could change the address.
    if not target.startswith("/") or "#" in target:
        return NOT_OURS
    accepted = headers.getall("Accept", [])
    if any(_is_unreadable(value) for value in accepted) and not _readable(accepted):
        return NO_JSON
    return None


def to_server(headers: CIMultiDictProxy[str]) -> CIMultiDict[str]:
    """The headers of a request as they are passed on: JSON is asked for, all else is untouched."""
    passed: CIMultiDict[str] = CIMultiDict()
    for name, value in headers.items():
        if (word := name.lower()) not in _HOP_BY_HOP and word not in _OURS:
            passed.add(name, value)
    accepted = headers.getall("Accept", [])
    if any(_is_unreadable(value) for value in accepted):
        passed["Accept"] = ",".join(_readable(accepted))
    return passed


def to_client(headers: CIMultiDictProxy[str], *, sized: bool) -> CIMultiDict[str]:
    """The headers of an answer as they are passed on; without a length where the sender adds it."""
    passed: CIMultiDict[str] = CIMultiDict()
    for name, value in headers.items():
        if (word := name.lower()) not in _HOP_BY_HOP and (sized or word != "content-length"):
            passed.add(name, value)
    return passed


def _readable(accepted: list[str]) -> list[str]:
    parts = [part for value in accepted for part in value.split(",")]
    return [part for part in parts if part.strip() and not _is_unreadable(part)]


def _is_unreadable(text: str) -> bool:
    return any(word in text.lower() for word in _UNREADABLE)
