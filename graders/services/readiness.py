"""Whether a service of ours can be used: it answers, and the API server beside it asks it."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import httpx

from graders.faults import InfraFault
from graders.kube.client import ApiRefused, Kube
from graders.polling import NotYet

Reaching = Callable[[int], AbstractContextManager[object]]
"""Lets an API server reach a port of this machine's loopback while the block runs."""

_REFUSALS = ("denied the request", "ValidatingAdmissionPolicy")


def serves(url: str, *, own_authority: bool = False) -> None:
    """Raise `NotYet` unless it answers; one with an authority of its own is on this machine, and believed."""
    try:
        with httpx.Client(trust_env=False, timeout=2.0, verify=not own_authority) as client:
            client.get(url).raise_for_status()
    except (OSError, httpx.HTTPError) as error:
        raise NotYet(str(error)) from error


def is_asked(who: str, kube: Kube, path: str, nonsense: Mapping[str, Any]) -> None:
    """Raise `NotYet` unless the API server hands on to it what only it refuses: a dry run.

    A ValidatingAdmissionPolicy of a learner's may guard that kind: it comes first, and nobody is asked.
    """
    try:
        answer = kube.request("POST", path, query={"dryRun": "All"}, body=nonsense)
    except (ApiRefused, InfraFault) as error:
        raise NotYet(str(error)) from error
    if answer.ok or not any(words in answer.message for words in _REFUSALS):
        raise NotYet(f"{who} is not asked: {answer.code} {answer.message[:200]}")
