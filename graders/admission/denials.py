"""Whether an API server refused, and whether a policy did: its own, an engine's, or *restricted*; pure."""

from graders.faults import InfraFault

_UNJUDGED = "failed calling webhook"
_WORDS = ("is forbidden", "denied the request", "denied request", _UNJUDGED)
_REFUSED, _FAILED = range(400, 500), 500
_UNDECIDED = {
    408: "was too busy to judge",
    409: "met what somebody else had written",
    429: "was too busy to judge",
}
"""What says nothing about the object: nobody refused it, and it is not there."""


def refused(code: int, message: str) -> bool:
    """Whether an answer is a refusal, or says that nobody could judge and it is refused for that.

    Raises:
        InfraFault: the API server was too busy to say, or something else was in the way.
    """
    if code in _UNDECIDED:
        raise InfraFault(f"an API server {_UNDECIDED[code]}: {code} {message}")
    return code in _REFUSED or (code == _FAILED and _UNJUDGED in message)


def by_a_policy(message: str) -> bool:
    """Whether a policy said so, or nobody did whom the API server has to ask.

    An object with a mistake in it, or for a namespace that is not there, comes to no policy.
    """
    return any(words in message for words in _WORDS)
