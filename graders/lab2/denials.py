"""Whether a refusal of an API server was a policy's: its own, an engine's, or *restricted*; pure."""

from __future__ import annotations

_WORDS = ("is forbidden", "denied the request", "denied request", "failed calling webhook")


def by_a_policy(message: str) -> bool:
    """Whether a policy said so, or nobody did whom the API server has to ask.

    An object with a mistake in it, or for a namespace that is not there, comes to no policy.
    """
    return any(words in message for words in _WORDS)
