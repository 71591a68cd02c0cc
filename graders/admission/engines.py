"""Policy engines that run beside a cluster: what each needs there, and how its processes are started.

ValidatingAdmissionPolicies need none: the API server itself judges by them. An engine here is a file of
`graders/services` that has its processes, an entry of `POLICY_ENGINES`, and rows of `kinds`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from graders.clusters.certificates import Authority
from graders.clusters.definitions import packed_definitions
from graders.kube.client import Kube
from graders.model import Cluster
from graders.ownership import OwnedFolder
from graders.progress import Progress
from graders.sandbox.relay import relayed
from graders.scenario.fleet import LiveCluster
from graders.services.gatekeeper import WebhookServing, gatekeeper
from graders.services.kyverno import kyverno

_HERE = Path(__file__).parent


class PolicyController(Protocol):
    """The processes of an engine for one cluster; not started when it is made."""

    def furnish(self) -> None:
        """Bring to the cluster what the engine expects of its own namespace."""

    def start(self) -> None:
        """Start it, and return when it judges; raises InfraFault where it does not get ready."""

    def kill(self) -> None:
        """SIGKILL it; what the API server knows of it stays."""

    def check_alive(self) -> None:
        """Raise InfraFault where it does not run."""


@dataclass(frozen=True)
class Placing:
    """Where a controller runs: a new folder for all it writes, its program, its cluster, who it is there."""

    owner: OwnedFolder
    folder: Path
    program: Path
    kube: Kube
    kubeconfig: Path
    cluster: Cluster

    @contextmanager
    def leading(self, port: int) -> Iterator[None]:
        """Let the cluster's API server reach a port of this machine's loopback while the block runs.

        Raises:
            InfraFault: it cannot be led there.
        """
        if self.cluster.loopback_listener is None:
            yield
            return
        with self.cluster.loopback_listener(port) as listener, relayed(listener, ("127.0.0.1", port)):
            yield


@dataclass(frozen=True)
class PolicyEngine:
    """One engine: `name` is that of its program, and of its user, an administrator of the cluster.

    `definitions` are the kinds that a cluster has from the beginning.
    """

    name: str
    title: str
    definitions: Callable[[], Sequence[Mapping[str, Any]]]
    controller: Callable[[Placing], AbstractContextManager[PolicyController]]


def _kyverno(place: Placing) -> AbstractContextManager[PolicyController]:
    return kyverno(place.owner, place.folder, place.kube, place.kubeconfig, place.program, place.leading)


def _gatekeeper(place: Placing) -> AbstractContextManager[PolicyController]:
    authority = Authority(place.folder, "gatekeeper")
    certificates = authority.server("tls").certificate.parent
    serving = WebhookServing(certificates, authority.path.read_bytes(), relayed, place.leading)
    return gatekeeper(place.owner, place.folder, place.kube, place.kubeconfig, place.program, serving)


POLICY_ENGINES: Mapping[str, PolicyEngine] = {
    "kyverno": PolicyEngine(
        "kyverno",
        "Kyverno",
        partial(packed_definitions, _HERE / "kyverno-crds.json.gz"),
        _kyverno,
    ),
    "gatekeeper": PolicyEngine(
        "gatekeeper",
        "Gatekeeper",
        partial(packed_definitions, _HERE / "gatekeeper-crds.json.gz"),
        _gatekeeper,
    ),
}
"""By their names; the API server itself is none of them."""


def engines_named(names: Sequence[str]) -> tuple[PolicyEngine, ...]:
    """The engines that have processes, of those that are named."""
    return tuple(POLICY_ENGINES[name] for name in names if name in POLICY_ENGINES)


def definitions_of(engines: Sequence[PolicyEngine]) -> list[Mapping[str, Any]]:
    """The kinds that a cluster has from the beginning."""
    return [each for engine in engines for each in engine.definitions()]


@contextmanager
def policy_controllers(
    programs: Mapping[str, Path], clusters: Mapping[str, LiveCluster], owner: OwnedFolder, progress: Progress
) -> Iterator[Mapping[str, tuple[PolicyController, ...]]]:
    """Every engine that has a program, for every cluster, side by side; gives the controllers by cluster.

    Raises:
        InfraFault: one does not get ready.
    """
    engines = engines_named(tuple(programs))
    with ExitStack() as running:
        found: dict[str, tuple[PolicyController, ...]] = {}
        for name, live in clusters.items():
            made = []
            for engine in engines:
                folder = owner.path / f"policies-{engine.name}-{name}"
                folder.mkdir()
                identity = live.cluster.identities[engine.name]
                place = Placing(owner, folder, programs[engine.name], live.kube, identity, live.cluster)
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
