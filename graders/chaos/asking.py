"""Requests that a custom resource makes: a refusal is the experiment's failure, no fault of the harness."""

from collections.abc import Callable
from typing import TypeVar

from graders.chaos.journal import ActionFailed
from graders.faults import InfraFault
from graders.kube.client import ApiRefused

T = TypeVar("T")


def asked(request: Callable[[], T], where: str) -> T:
    """What a request gives that is made for what stands at `where`, a file and a line.

    Raises:
        ActionFailed: the API server refuses it, for who asks or for what is asked.
        InfraFault: the API server cannot answer.
    """
    try:
        return request()
    except ApiRefused as error:
        if error.answer.code >= 500:
            raise InfraFault(str(error)) from error
        raise ActionFailed(f"{where}: {error}") from error
