"""Labels by which policies leave something out: who may set one of them is bound by no rule; pure."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

_SELECTORS = ("namespaceSelector", "objectSelector", "labelSelector", "selector")
_EXCLUDE = "exclude"
"""What Kyverno's older kinds select there is left out, and not judged."""
_BY_NAME = "kubernetes.io/metadata.name"
_LEAVES_OUT = {False: ("DoesNotExist", "NotIn"), True: ("Exists", "In")}


def exempting_labels(policies: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Labels of namespaces and objects that the selectors of policies leave out, each with such a value."""
    found: dict[str, str] = {}
    for policy in policies:
        for key, value in _left_out(policy.get("spec"), excluding=False):
            if key != _BY_NAME:
                found.setdefault(key, value)
    return found


def _left_out(item: Any, *, excluding: bool) -> Iterator[tuple[str, str]]:
    if isinstance(item, list | tuple):
        for each in item:
            yield from _left_out(each, excluding=excluding)
    if not isinstance(item, Mapping):
        return
    for key, value in item.items():
        if key in _SELECTORS and isinstance(value, Mapping):
            yield from _of_selector(value, excluding=excluding)
        else:
            yield from _left_out(value, excluding=excluding or key == _EXCLUDE)


def _of_selector(selector: Mapping[str, Any], *, excluding: bool) -> Iterator[tuple[str, str]]:
    without, among = _LEAVES_OUT[excluding]
    for each in selector.get("matchExpressions") or ():
        if each.get("operator") == without:
            yield str(each.get("key")), "true"
        elif each.get("operator") == among and each.get("values"):
            yield str(each.get("key")), str(each["values"][0])
    if excluding:
        yield from ((str(key), str(value)) for key, value in (selector.get("matchLabels") or {}).items())
