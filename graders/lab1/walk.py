"""A seeded walk over specs of a job: what changes in which order, and where it ends; pure, nothing live."""

import copy
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from graders.lab1.api import container, job_manifest

FIRST_NODES = 2
MOST_NODES = 5
STEPS = 7
RESTS = 0.3
"""How often the operator may come to rest within the walk."""
PAUSES_S = (0.0, 0.05, 0.3)
"""Between two steps otherwise: none, within one visit to the job, between two of them."""
TEMPLATE_ENV = {"LEARNING_RATE": "0.1"}


@dataclass(frozen=True)
class WalkStep:
    """A merge patch of a job's spec; `rests` says that the operator may come to rest before the next."""

    patch: dict[str, Any]
    rests: bool
    pause_s: float


class Walk:
    """Specs in a row, by a seed: `steps` lead from the first one to `spec`.

    Only kinds of change in `moves` are used: `grow`, `shrink`, `pause`; limits change in any walk. It ends
    with a change of size: of a paused job that is then resumed, or else of a running one.
    """

    def __init__(self, seed: str, moves: frozenset[str], *, ends_paused: bool) -> None:
        self._dice = random.Random(seed)  # noqa: S311  (to be the same again, not to be secret)
        self._moves = moves
        self.spec: dict[str, Any] = copy.deepcopy(walker("", "")["spec"])
        self.steps = list(self._steps(ends_paused and "pause" in moves))

    @property
    def nodes(self) -> int:
        """How many nodes the job has in the end."""
        return int(self.spec["trainer"]["numNodes"])

    def _steps(self, ends_paused: bool) -> Iterator[WalkStep]:
        for _ in range(STEPS):
            yield self._step(self._any_patch(), self._dice.random() < RESTS)
        pause: dict[str, Any] = {"runPolicy": {"suspend": True}}
        resume: dict[str, Any] = {"runPolicy": {"suspend": False}}
        yield self._step(pause if ends_paused else resume, True)
        # Back at the first size, what was made for it would be right again.
        yield self._step(self._resize(but=FIRST_NODES), False)
        yield self._step(resume if ends_paused else self._limit(), False)

    def _step(self, patch: dict[str, Any], rests: bool) -> WalkStep:
        self.spec = merged(self.spec, patch)
        return WalkStep(patch, rests, self._dice.choice(PAUSES_S))

    def _any_patch(self) -> dict[str, Any]:
        kinds: list[Callable[[], dict[str, Any]]] = [self._limit]
        if "pause" in self._moves:
            kinds.append(lambda: {"runPolicy": {"suspend": not self.spec["runPolicy"].get("suspend")}})
        if self._moves & {"grow", "shrink"}:
            kinds += [self._resize, self._resize]
        return self._dice.choice(kinds)()

    def _resize(self, but: int = 0) -> dict[str, Any]:
        sizes = [
            nodes
            for nodes in range(1, MOST_NODES + 1)
            if nodes != but
            and (
                (nodes > self.nodes and "grow" in self._moves)
                or (nodes < self.nodes and "shrink" in self._moves)
            )
        ]
        return {"trainer": {"numNodes": self._dice.choice(sizes)}} if sizes else self._limit()

    def _limit(self) -> dict[str, Any]:
        limits = (
            {"backoffLimit": self._dice.randint(1, 9)},
            {"activeDeadlineSeconds": self._dice.randint(1800, 7200)},
            {"activeDeadlineSeconds": None},
        )
        return {"runPolicy": self._dice.choice(limits)}


def merged(value: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """`value` with a merge patch (RFC 7396) applied."""
    result = dict(value)
    for key, wanted in patch.items():
        if isinstance(wanted, dict):
            inner = result.get(key)
            result[key] = merged(inner if isinstance(inner, dict) else {}, wanted)
        elif wanted is None:
            result.pop(key, None)
        else:
            result[key] = wanted
    return result


def walker(namespace: str, name: str) -> dict[str, Any]:
    """The job a walk starts with."""
    containers = [container(env=TEMPLATE_ENV)]
    return job_manifest(
        namespace, name, nodes=FIRST_NODES, run_policy={"suspend": False}, containers=containers
    )
