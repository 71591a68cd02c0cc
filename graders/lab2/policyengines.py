"""Policy engines that run beside a spoke: what each needs there, and how its processes are started.

ValidatingAdmissionPolicies need none: the API server itself judges by them. An engine here is a file of
`graders/services` that has its processes, an entry of `POLICY_ENGINES`, and rows of `policykinds`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from graders.clusters.certificates import Authority
from graders.faults import BadSubmission
from graders.kube.client import Kube
from graders.lab2.definitions import packed_definitions
from graders.lab2.policykinds import kind_of
from graders.lab2.toolsets import GATEKEEPER, KYVERNO
from graders.ownership import OwnedFolder
from graders.progress import Progress
from graders.sandbox.relay import relayed
from graders.scenario.fleet import LiveCluster
from graders.services.gatekeeper import WebhookServing, gatekeeper
from graders.services.kyverno import kyverno
from graders.tools import Toolset, ensure


class PolicyController(Protocol):
    """The processes of an engine for one spoke; not started when it is made."""

    def furnish(self) -> None:
        """Bring to the spoke what the engine expects of its own namespace."""

    def start(self) -> None:
        """Start it, and return when it judges; raises InfraFault where it does not get ready."""

    def kill(self) -> None:
        """SIGKILL it; what the API server knows of it stays."""

    def check_alive(self) -> None:
        """Raise InfraFault where it does not run."""


@dataclass(frozen=True)
class Placing:
    """Where a controller runs: a new folder for all it writes, its program, its spoke, who it is there."""

    owner: OwnedFolder
    folder: Path
    program: Path
    kube: Kube
    kubeconfig: Path


@dataclass(frozen=True)
class PolicyEngine:
    """One engine: `name` is that of submission.yaml, of its program, of its user, an administrator of spokes.

    `definitions` are the kinds that a spoke has from the beginning.
    """

    name: str
    title: str
    toolset: Toolset
    definitions: Callable[[], Sequence[Mapping[str, Any]]]
    controller: Callable[[Placing], AbstractContextManager[PolicyController]]


def _kyverno(place: Placing) -> AbstractContextManager[PolicyController]:
    return kyverno(place.owner, place.folder, place.kube, place.kubeconfig, place.program)


def _gatekeeper(place: Placing) -> AbstractContextManager[PolicyController]:
    authority = Authority(place.folder, "gatekeeper")
    certificates = authority.server("tls").certificate.parent
    serving = WebhookServing(certificates, authority.path.read_bytes(), relayed)
    return gatekeeper(place.owner, place.folder, place.kube, place.kubeconfig, place.program, serving)


POLICY_ENGINES: Mapping[str, PolicyEngine] = {
    "kyverno": PolicyEngine(
        "kyverno",
        "Kyverno",
        KYVERNO,
        partial(packed_definitions, "kyverno-crds.json.gz"),
        _kyverno,
    ),
    "gatekeeper": PolicyEngine(
        "gatekeeper",
        "Gatekeeper",
        GATEKEEPER,
        partial(packed_definitions, "gatekeeper-crds.json.gz"),
        _gatekeeper,
    ),
}
"""By the name in submission.yaml; `vap` is none of them."""


def check_policies(declared: Sequence[Mapping[str, Any]], names: Sequence[str]) -> None:
    """See that what Git declares are policies of engines that the submission names, or of the API server.

    Raises:
        BadSubmission: one is not, and no spoke would know its kind.
    """
    for item in declared:
        kind = kind_of(item)
        if kind is not None and kind.engine in POLICY_ENGINES and kind.engine not in names:
            title = POLICY_ENGINES[kind.engine].title
            raise BadSubmission(
                f"policies/ has the {kind.kind} {item['metadata']['name']}, which is {title}'s, and"
                f" policyEngines names {', '.join(names)}",
                file="submission.yaml", fix=f"add {kind.engine} to policyEngines, or take the policy out",
            )  # fmt: skip


def engines_named(names: Sequence[str]) -> tuple[PolicyEngine, ...]:
    """The engines that have processes, of those that a submission names."""
    return tuple(POLICY_ENGINES[name] for name in names if name in POLICY_ENGINES)


def definitions_of(engines: Sequence[PolicyEngine]) -> list[Mapping[str, Any]]:
    """The kinds that a spoke has from the beginning."""
    return [each for engine in engines for each in engine.definitions()]


@contextmanager
def policy_controllers(
    engines: Sequence[PolicyEngine], spokes: Mapping[str, LiveCluster], owner: OwnedFolder, progress: Progress
) -> Iterator[Mapping[str, tuple[PolicyController, ...]]]:
    """Every engine for every spoke, started side by side; gives the controllers by spoke.

    Raises:
        InfraFault: one does not get ready, or its program cannot be had.
    """
    with ExitStack() as running:
        found: dict[str, tuple[PolicyController, ...]] = {}
        for name, live in spokes.items():
            made = []
            for engine in engines:
                folder = owner.path / f"policies-{engine.name}-{name}"
                folder.mkdir()
                program = ensure(engine.toolset, progress).path(engine.name)
                place = Placing(owner, folder, program, live.kube, live.cluster.identities[engine.name])
                made.append(running.enter_context(engine.controller(place)))
            found[name] = tuple(made)
        every = [each for controllers in found.values() for each in controllers]
        if every:
            titles = " and ".join(engine.title for engine in engines)
            with progress.task(f"starting {titles}"), ThreadPoolExecutor(len(every)) as pool:
                list(pool.map(_start, every))
        yield found


def _start(controller: PolicyController) -> None:
    controller.furnish()
    controller.start()
