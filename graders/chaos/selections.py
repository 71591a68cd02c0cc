"""Which pods a custom resource means: by namespaces, labels, phases and names, and how many of them. Pure."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

ONE, ALL, FIXED, PERCENT, PERCENT_DOWN = "one", "all", "fixed", "fixed-percent", "percent-down"
"""How many: Chaos Mesh rounds a percentage up, Litmus down, but never below one."""
_ENDED = ("Succeeded", "Failed")

Pod = Mapping[str, Any]


@dataclass(frozen=True)
class PodSelection:
    """Pods as a custom resource selects them; `where` is the file and line on which it does.

    `query` is a label selector, as the API server takes it. Without `names` any will do, without `phases`
    any but those that have ended. `mode` and `value` say how many of those that match.
    """

    where: str
    namespaces: tuple[str, ...]
    query: str = ""
    phases: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    mode: str = ONE
    value: int = 1

    def matching(self, pods: Iterable[Pod]) -> list[Pod]:
        """The pods that match, of those that the API server gave for `query`; what is going is left out."""
        return [
            pod
            for pod in pods
            if not pod["metadata"].get("deletionTimestamp")
            and self._in_phase(str((pod.get("status") or {}).get("phase") or "Unknown"))
            and (not self.names or pod["metadata"]["name"] in self.names)
        ]

    def _in_phase(self, phase: str) -> bool:
        included = [each for each in self.phases if not each.startswith("!")]
        if f"!{phase}" in self.phases:
            return False
        return phase in included if included else phase not in _ENDED

    def how_many(self, matching: int) -> int:
        """Of so many that match, how many are meant."""
        share = matching * self.value / 100
        wanted = {
            ONE: 1,
            ALL: matching,
            FIXED: self.value,
            PERCENT: math.ceil(share),
            PERCENT_DOWN: max(1, math.floor(share)),
        }[self.mode]
        return min(wanted, matching)

    def chosen(self, pods: Iterable[Pod], dice: Random) -> list[Pod]:
        """The pods that are meant, drawn by `dice` from those that match."""
        matching = self.matching(pods)
        return dice.sample(matching, self.how_many(len(matching)))

    @property
    def words(self) -> str:
        """What is selected, for a message."""
        labels = f"labels {self.query}" if self.query else "any labels"
        phases = f", phase {', '.join(self.phases)}" if self.phases else ""
        names = f", named {', '.join(self.names)}" if self.names else ""
        return f"{labels}{phases}{names} in namespace {', '.join(self.namespaces)}"


def label_query(labels: Mapping[str, str], expressions: Sequence[Mapping[str, Any]] = ()) -> str:
    """Labels and expressions as one label selector.

    Raises:
        ValueError: an operator is none, or has values where it takes none or none where it takes some.
    """
    return ",".join([*(f"{key}={value}" for key, value in labels.items()), *map(_expression, expressions)])


def _expression(given: Mapping[str, Any]) -> str:
    key, operator, values = str(given["key"]), str(given["operator"]), given.get("values") or ()
    if operator in ("In", "NotIn"):
        if not values:
            raise ValueError(f"operator {operator} needs values")
        return f"{key} {'in' if operator == 'In' else 'notin'} ({','.join(map(str, values))})"
    if operator not in ("Exists", "DoesNotExist"):
        raise ValueError(f"there is no operator {operator!r}: use In, NotIn, Exists or DoesNotExist")
    if values:
        raise ValueError(f"operator {operator} takes no values")
    return key if operator == "Exists" else f"!{key}"
