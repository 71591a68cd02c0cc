"""What an API server's answer says of a policy."""

from __future__ import annotations

import pytest

from graders.admission.denials import refused
from graders.faults import InfraFault


@pytest.mark.parametrize(
    ("code", "message", "expected"),
    [
        (201, "", False),
        (403, "denied by a policy", True),
        (422, "is invalid", True),
        (500, 'failed calling webhook "v": connection refused', True),
        (500, "etcdserver: request timed out", False),
        (503, "the server is currently unable to handle the request", False),
    ],
)
def test_a_refusal_is_the_learner_s_or_of_nobody_who_could_judge(
    code: int, message: str, expected: bool
) -> None:
    assert refused(code, message) is expected


@pytest.mark.parametrize("code", [408, 409, 429])
def test_who_could_not_decide_has_refused_nothing(code: int) -> None:
    with pytest.raises(InfraFault, match=f"to judge: {code} x|somebody else had written: {code} x"):
        refused(code, "x")
