"""What policies leave out by a label: whoever may set it is bound by no rule."""

from __future__ import annotations

from typing import Any

import pytest

from graders.admission.exemptions import exempting_labels


def _matching(**selectors: Any) -> dict[str, Any]:
    return {"spec": {"matchConstraints": selectors}}


def _expressions(*found: tuple[str, str, list[str]]) -> dict[str, Any]:
    return {"matchExpressions": [{"key": k, "operator": o, "values": v} for k, o, v in found]}


@pytest.mark.parametrize(
    ("policy", "labels"),
    [
        (_matching(namespaceSelector=_expressions(("skip", "DoesNotExist", []))), {"skip": "true"}),
        (_matching(objectSelector=_expressions(("mode", "NotIn", ["off", "none"]))), {"mode": "off"}),
        (
            _matching(
                namespaceSelector=_expressions(("kubernetes.io/metadata.name", "NotIn", ["kube-system"]))
            ),
            {},
        ),
        (_matching(namespaceSelector={"matchLabels": {"judged": "yes"}}), {}),
        (_matching(namespaceSelector=_expressions(("judged", "Exists", []))), {}),
        (
            {"spec": {"match": {"labelSelector": _expressions(("skip", "DoesNotExist", []))}}},
            {"skip": "true"},
        ),
        (
            {
                "spec": {
                    "rules": [
                        {"exclude": {"any": [{"resources": {"selector": {"matchLabels": {"skip": "me"}}}}]}},
                        {"exclude": {"resources": {"namespaceSelector": _expressions(("own", "In", ["a"]))}}},
                    ]
                }
            },
            {"skip": "me", "own": "a"},
        ),
        ({}, {}),
    ],
)
def test_labels_that_leave_something_out(policy: dict[str, Any], labels: dict[str, str]) -> None:
    assert exempting_labels([policy]) == labels
