"""States of the workload in which a hypothesis is asked for: healthy, and three ways to be sick."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from graders.controlplane import ControlPlane
from graders.faults import InfraFault
from graders.kube.client import Kube
from graders.kube.endpoints import ready_addresses
from graders.kube.paths import resource_path
from graders.lab3.environment.workload import DEPLOYMENT, OF_PREDICTOR, SERVICE, SLICES
from graders.lab3.names import SERVING
from graders.polling import NotYet, TimedOut, wait_for

HEALTHY, AT_ZERO, NO_MATCH, UNREADY = "healthy", "at-zero", "no-match", "unready"
PODS = resource_path("v1", "pods", namespace=SERVING)
_STRATEGIC = "application/strategic-merge-patch+json"
_WITHIN_S = 30.0


@dataclass(frozen=True)
class States:
    """Brings a cluster into each state, and back."""

    kube: Kube
    control: ControlPlane | None
    scale: float

    def all(self) -> dict[str, Callable[[], AbstractContextManager[None]]]:
        """Each state by its name: it holds while the block runs, and all is ready again afterwards."""
        return {
            HEALTHY: nullcontext,
            AT_ZERO: self._at_zero,
            NO_MATCH: self._no_match,
            UNREADY: self._unready,
        }

    def await_ready(self, within_s: float = _WITHIN_S) -> bool:
        """Wait until all replicas are ready addresses; whether they are."""
        try:
            self._until(lambda: self._addresses() >= max(1, self._replicas()), "all replicas ready", within_s)
        except InfraFault:
            return False
        return True

    @contextmanager
    def _at_zero(self) -> Iterator[None]:
        replicas = self._replicas()
        self.kube.patch(DEPLOYMENT, {"spec": {"replicas": 0}})
        self._until(lambda: self._addresses() == 0, "no address")
        yield
        self.kube.patch(DEPLOYMENT, {"spec": {"replicas": replicas}})
        self._until(lambda: self._addresses() >= replicas, "all replicas ready")

    @contextmanager
    def _no_match(self) -> Iterator[None]:
        selector = self.kube.get(SERVICE)["spec"]["selector"]
        nothing = {**dict.fromkeys(selector), "kubeproof.dev/nothing": "matches"}
        self.kube.patch(SERVICE, {"spec": {"selector": nothing}})
        self._until(lambda: self._addresses() == 0, "no address")
        yield
        self.kube.patch(SERVICE, {"spec": {"selector": {"kubeproof.dev/nothing": None, **selector}}})
        self._until(lambda: self._addresses() >= self._replicas(), "all replicas ready")

    @contextmanager
    def _unready(self) -> Iterator[None]:
        """Whoever plays the nodes would have the pods ready again in no time."""
        simulators = [name for name in (self.control.components if self.control else ()) if "kwok" in name]
        for name in simulators:
            self._control.kill(name)
        pods = self.kube.get(PODS)["items"]
        condition = {"type": "Ready", "status": "False", "reason": "Unready"}
        body: dict[str, Any] = {"status": {"conditions": [condition]}}

        def patch(name: str) -> None:
            self.kube.patch(f"{PODS}/{name}/status", body, _STRATEGIC)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(patch, (str(pod["metadata"]["name"]) for pod in pods)))
        self._until(lambda: self._addresses() == 0, "no ready address")
        yield
        for name in simulators:
            self._control.start(name)
        self._until(lambda: self._addresses() >= self._replicas(), "all replicas ready")
        # Nodes that were not heard of for too long are ready again only a while later.
        self._until(self._nodes_ready, "all nodes ready")

    def _nodes_ready(self) -> bool:
        conditions = (
            {each["type"]: each["status"] for each in node["status"].get("conditions", ())}
            for node in self.kube.get("/api/v1/nodes")["items"]
        )
        return all(each.get("Ready") == "True" for each in conditions)

    @property
    def _control(self) -> ControlPlane:
        if self.control is None:
            raise InfraFault("the provider has no handle on the control plane")
        return self.control

    def _replicas(self) -> int:
        return int(self.kube.get(DEPLOYMENT)["spec"]["replicas"])

    def _addresses(self) -> int:
        return len(ready_addresses(self.kube.get(SLICES, **OF_PREDICTOR)))

    def _until(self, holds: Callable[[], bool], what: str, within_s: float = _WITHIN_S) -> None:
        def probe() -> None:
            if not holds():
                raise NotYet(f"{self._addresses()} ready addresses")

        try:
            wait_for(probe, timeout_s=within_s * self.scale, interval_s=0.05)
        except TimedOut as mismatch:
            raise InfraFault(f"{what} was not to be had: {mismatch}") from mismatch
