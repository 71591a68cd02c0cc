"""A pod in place of another has to be made like it; what an operator adds of its own is free."""

from __future__ import annotations

from typing import Any

import pytest

from graders.evidence.records import WatchEvent
from graders.evidence.timeline import ObjectHistory
from graders.lab1.api import JOB_NAME, REPLICA_INDEX
from graders.lab1.likeness import unlike


def made(
    *, env: dict[str, str] | None = None, labels: dict[str, str] | None = None, **spec: Any
) -> ObjectHistory:
    """A pod of the index 0, with more of it said."""
    variables = {"PET_NODE_RANK": "0", "PET_MASTER_PORT": "29400", **(env or {})}
    pod = {
        "metadata": {
            "name": "a-0",
            "uid": "uid",
            "labels": {JOB_NAME: "a", REPLICA_INDEX: "0", **(labels or {})},
            "ownerReferences": [{"uid": "job"}],
        },
        "spec": {
            "containers": [{"name": "c", "env": [{"name": k, "value": v} for k, v in variables.items()]}],
            "hostname": "a-0",
            **spec,
        },
    }
    return ObjectHistory("a-0", "uid", (WatchEvent(0.0, "ADDED", "pods", "here", "a-0", pod),), None)


@pytest.mark.parametrize(
    "after",
    [made(), made(env={"ATTEMPT": "2"}), made(labels={"own.example/attempt": "2"}), made(nodeName="other")],
    ids=["the same", "a variable of its own", "a label of its own", "another node"],
)
def test_what_may_differ_is_no_difference(after: ObjectHistory) -> None:
    assert unlike(made(), after) == []


@pytest.mark.parametrize(
    ("after", "says"),
    [
        (made(env={"PET_NODE_RANK": "1"}), 'env.PET_NODE_RANK is "1" and was "0"'),
        (made(labels={REPLICA_INDEX: "1"}), f'labels.{REPLICA_INDEX} is "1" and was "0"'),
        (made(hostname="a"), 'hostname is "a" and was "a-0"'),
    ],
)
def test_what_must_be_the_same_is_told(after: ObjectHistory, says: str) -> None:
    (difference,) = unlike(made(), after)
    assert difference.endswith(says)
