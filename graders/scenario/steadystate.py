"""The probes of a steady state: writes, ready addresses of a Service, and a canary that has to come up."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from graders.evidence.recording import Recording
from graders.faults import InfraFault
from graders.kube.client import APPLY_PATCH, Kube
from graders.kube.endpoints import of_service, ready_addresses
from graders.kube.paths import resource_path
from graders.polling import NotYet, TimedOut, wait_for
from graders.recovery.probes import CANARY, CAPACITY, WRITE, ProbeSpec
from graders.recovery.probes import SERVING as SERVING_PROBE
from graders.scenario.openloop import OpenLoopProber, ProbeFailed

LEAST_ADDRESSES = 2
_PROBE_OBJECTS = 8


@dataclass(frozen=True)
class ProbedWorkload:
    """A Service and its namespace, the capacity that is asked for, and where canaries may stand.

    `label` is what objects that probes write have.
    """

    namespace: str
    service: str
    replicas: int
    canaries: str
    label: str


class SteadyStateProber(OpenLoopProber):
    """Probes a cluster while its block runs.

    `dead_nodes` is set by whoever kills them: what is ready there serves nobody.
    """

    def __init__(
        self, recording: Recording, kube: Kube, cluster: str, workload: ProbedWorkload, scale: float
    ) -> None:
        super().__init__(recording, cluster, (WRITE, SERVING_PROBE, CAPACITY, CANARY), scale)
        self.dead_nodes: frozenset[str] = frozenset()
        self._kube = kube
        self._workload = workload
        self._slices = resource_path("discovery.k8s.io/v1", "endpointslices", namespace=workload.namespace)
        self._canaries = resource_path("apps/v1", "deployments", namespace=workload.canaries)
        self._canary_pods = resource_path("v1", "pods", namespace=workload.canaries)

    @property
    def probes(self) -> Mapping[str, Callable[[ProbeSpec, int, float], None]]:
        """Serving and capacity at once: they ask the same question."""
        return {WRITE.name: self._write, SERVING_PROBE.name: self._addresses, CANARY.name: self._canary}

    def _write(self, spec: ProbeSpec, slot: int, due: float) -> None:
        name = f"probe-{slot % _PROBE_OBJECTS}"
        path = resource_path("v1", "configmaps", namespace=self._workload.namespace, name=name)
        body = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name, "labels": {self._workload.label: "write"}},
            "data": {"slot": str(slot)},
        }

        def act() -> None:
            query = {"fieldManager": "kubeproof", "force": "true"}
            limit_s = 1.5 * spec.limit_s
            written = self._kube.request(
                "PATCH", path, query=query, body=body, content_type=APPLY_PATCH, timeout_s=limit_s
            )
            if not written.ok:
                raise ProbeFailed(f"{written.code} {written.message}")
            read = self._kube.request("GET", path, timeout_s=limit_s)
            if not read.ok or int((read.body.get("data") or {}).get("slot", -1)) < slot:
                raise ProbeFailed(f"what was written is not there: {read.code}")

        self.sample(spec, slot, due, act)

    def _addresses(self, spec: ProbeSpec, slot: int, due: float) -> None:
        ready = 0

        def act() -> None:
            nonlocal ready
            query = of_service(self._workload.service)
            answer = self._kube.request("GET", self._slices, query=query, timeout_s=1.5 * spec.limit_s)
            if not answer.ok:
                raise ProbeFailed(f"{answer.code} {answer.message}")
            ready = len(ready_addresses(answer.body, self.dead_nodes))

        t, t_end, error = self.timed(act)
        for each, least in ((spec, LEAST_ADDRESSES), (self.specs[CAPACITY.name], self._workload.replicas)):
            few = f"{ready} ready addresses" if not error and ready < least else error
            self.keep(each, slot, due, t, t_end, few)

    def _canary(self, spec: ProbeSpec, slot: int, due: float) -> None:
        name = f"canary-{slot}"
        try:
            self.sample(spec, slot, due, lambda: self._run_canary(name, spec.limit_s))
        finally:
            query = {"propagationPolicy": "Background"}
            try:
                self._kube.request("DELETE", f"{self._canaries}/{name}", query=query, timeout_s=5.0)
            except InfraFault:
                return

    def _run_canary(self, name: str, limit_s: float) -> None:
        created = self._kube.request("POST", self._canaries, body=canary(name), timeout_s=1.5 * limit_s)
        if not created.ok:
            raise ProbeFailed(f"{created.code} {created.message}")
        query = {"labelSelector": f"canary={name}", "resourceVersion": "0"}

        def ready() -> None:
            answer = self._kube.request("GET", self._canary_pods, query=query, timeout_s=limit_s)
            if not answer.ok:
                raise ProbeFailed(f"{answer.code} {answer.message}")
            if not any(_is_ready(pod) for pod in answer.body["items"]):
                raise NotYet("no pod is ready")

        try:
            wait_for(ready, timeout_s=1.5 * limit_s, interval_s=0.1)
        except TimedOut as mismatch:
            raise ProbeFailed(str(mismatch)) from mismatch


def canary(name: str) -> dict[str, object]:
    """A Deployment of one pod."""
    labels = {"canary": name}
    pod = {"containers": [{"name": "canary", "image": "canary"}], "terminationGracePeriodSeconds": 0}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def _is_ready(pod: dict[str, object]) -> bool:
    status = pod.get("status")
    conditions = status.get("conditions", ()) if isinstance(status, dict) else ()
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
