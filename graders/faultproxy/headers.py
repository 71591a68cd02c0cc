"""What of a request's head is passed on, and what is not passed at all; pure."""

from multidict import CIMultiDict, CIMultiDictProxy

from graders.faultproxy.rules import RuleAnswer

_HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
)
_OURS = frozenset({"host", "accept-encoding", "expect", "content-length"})
"""What the proxy says itself: it asks for plain bytes, and has read the body."""

_UNREADABLE = ("protobuf", "cbor")
_NO_NEWS = (*_UNREADABLE, "as=table")
"""A table names the objects of its news in rows of text, if at all."""
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

NOT_OURS = RuleAnswer(400, "BadRequest", "the target of a request is a path of this API server's")
NO_TEXT = RuleAnswer(400, "BadRequest", "a header is not UTF-8")
NO_JSON = RuleAnswer(406, "NotAcceptable", "only application/json is spoken here; ask for it in Accept")
NO_METHOD = RuleAnswer(405, "MethodNotAllowed", "no such method is spoken here")


def refusal(
    method: str, target: str, headers: CIMultiDictProxy[str], *, watching: bool = False
) -> RuleAnswer | None:
    """The answer to a request that goes nowhere: to another server, by an odd method, or unreadable."""
    if method not in _METHODS:
        return NO_METHOD
    # Put behind the API server's address, anything but a path could change the address.
    if not target.startswith("/") or "#" in target or not (target.isascii() and target.isprintable()):
        return NOT_OURS
    if not all(_is_text(value) for value in headers.values()):
        return NO_TEXT
    accepted = headers.getall("Accept", [])
    if _unread(accepted, watching) and not _readable(accepted, watching):
        return NO_JSON
    return None


def to_server(headers: CIMultiDictProxy[str], *, watching: bool = False) -> CIMultiDict[str]:
    """The headers of a request as they are passed on: JSON is asked for, all else is untouched."""
    passed: CIMultiDict[str] = CIMultiDict()
    for name, value in headers.items():
        if (word := name.lower()) not in _HOP_BY_HOP and word not in _OURS:
            passed.add(name, value)
    accepted = headers.getall("Accept", [])
    if _unread(accepted, watching):
        passed["Accept"] = ",".join(_readable(accepted, watching))
    return passed


def to_client(headers: CIMultiDictProxy[str], *, sized: bool) -> CIMultiDict[str]:
    """The headers of an answer as they are passed on; without a length where the sender adds it."""
    passed: CIMultiDict[str] = CIMultiDict()
    for name, value in headers.items():
        if (word := name.lower()) not in _HOP_BY_HOP and (sized or word != "content-length"):
            passed.add(name, value)
    return passed


def _readable(accepted: list[str], watching: bool) -> list[str]:
    parts = [part for value in accepted for part in value.split(",")]
    return [part for part in parts if part.strip() and not _unread([part], watching)]


def _unread(accepted: list[str], watching: bool) -> bool:
    texts = ["".join(value.lower().replace('"', "").split()) for value in accepted]
    return any(word in text for text in texts for word in (_NO_NEWS if watching else _UNREADABLE))


def _is_text(value: str) -> bool:
    """Bytes that are not UTF-8 come as lone surrogates, and could not be sent on as they came."""
    return value.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in value)
