"""Open-loop probes of the steady state: a slot at each time that is due, whatever became of the last one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self

from graders.evidence.recording import Recording
from graders.faults import InfraFault
from graders.kube.client import APPLY_PATCH, Kube
from graders.kube.paths import resource_path
from graders.lab3.names import CANARIES, PREDICTOR, PROBE_LABEL, SERVING
from graders.lab3.world.workload import SLICES, ready_addresses
from graders.polling import NotYet, TimedOut, wait_for
from graders.recovery.probes import CANARY, CAPACITY, WRITE, ProbeSpec, Slots
from graders.recovery.probes import SERVING as SERVING_PROBE
from graders.recovery.records import ProbeSample

LEAST_ADDRESSES = 2
_AT_ONCE = 12
_PROBE_OBJECTS = 8
_CANARIES = resource_path("apps/v1", "deployments", namespace=CANARIES)
_CANARY_PODS = resource_path("v1", "pods", namespace=CANARIES)


class Failed(Exception):
    """A probe was answered, and not as in steady state."""


class Prober:
    """Probes a cluster while its block runs; `replicas` is the capacity that is asked for.

    `dead_nodes` is set by whoever kills them: what is ready there serves nobody.
    """

    def __init__(
        self, recording: Recording, kube: Kube, cluster: str, *, replicas: int, scale: float
    ) -> None:
        self.dead_nodes: frozenset[str] = frozenset()
        self._recording = recording
        self._kube = kube
        self._cluster = cluster
        self._replicas = replicas
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._last_failure: dict[str, float] = {}
        self._samples: list[ProbeSample] = []
        self._specs = {spec.name: spec.scaled(scale) for spec in (WRITE, SERVING_PROBE, CAPACITY, CANARY)}
        self._pool = ThreadPoolExecutor(3 * _AT_ONCE, thread_name_prefix="probe")
        self._threads = [
            threading.Thread(target=self._slots, args=each, name=f"prober {each[0].name}", daemon=True)
            for each in (
                (self._specs[WRITE.name], self._write),
                (self._specs[SERVING_PROBE.name], self._addresses),
                (self._specs[CANARY.name], self._canary),
            )
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(10.0)
        self._pool.shutdown(wait=True, cancel_futures=True)

    @property
    def dead(self) -> tuple[str, ...]:
        """The probers that ended by themselves."""
        return tuple(thread.name for thread in self._threads if not thread.is_alive())

    def samples(self, since: float, until: float, *names: str) -> dict[ProbeSpec, list[ProbeSample]]:
        """What some probes sampled in a stretch of time; of all, where none is named."""
        there = [each for each in list(self._samples) if since <= each.t <= until]
        return {
            spec: [each for each in there if each.probe == name]
            for name, spec in self._specs.items()
            if name in (names or self._specs)
        }

    def last_failure(self, *names: str) -> float:
        """When one of the probes failed last, of all where none is named; before all time if none did."""
        with self._lock:
            return max(
                (t for name, t in self._last_failure.items() if name in (names or self._specs)),
                default=-float("inf"),
            )

    def quiet_for(self, seconds: float, *names: str, since: float) -> None:
        """See that none of the probes failed in the last `seconds`, all of which are after `since`.

        Raises:
            NotYet: one did, or it is not that long ago.
        """
        with self._lock:
            last = {name: self._last_failure.get(name, since) for name in names or tuple(self._specs)}
        # A slot that is under way may still turn out to have failed.
        under_way_s = max(self._specs[name].limit_s for name in last)
        name, t = max(last.items(), key=lambda each: each[1])
        quiet_s = self._recording.clock.now() - max(t, since)
        if quiet_s < seconds + under_way_s:
            raise NotYet(f"probe {name} failed {quiet_s:.1f} s ago")

    def _slots(self, spec: ProbeSpec, probe: Callable[[ProbeSpec, int, float], None]) -> None:
        clock = self._recording.clock
        slots = Slots(clock.now() + 0.1, spec.every_s)
        number = 0
        while not self._stop.wait(max(0.0, slots.due(number) - clock.now())):
            self._pool.submit(probe, spec, number, slots.due(number))
            number += 1

    def _write(self, spec: ProbeSpec, slot: int, due: float) -> None:
        name = f"probe-{slot % _PROBE_OBJECTS}"
        path = resource_path("v1", "configmaps", namespace=SERVING, name=name)
        body = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name, "labels": {PROBE_LABEL: "write"}},
            "data": {"slot": str(slot)},
        }

        def act() -> None:
            query = {"fieldManager": "kubeproof", "force": "true"}
            limit_s = 1.5 * spec.limit_s
            written = self._kube.request(
                "PATCH", path, query=query, body=body, content_type=APPLY_PATCH, timeout_s=limit_s
            )
            if not written.ok:
                raise Failed(f"{written.code} {written.message}")
            read = self._kube.request("GET", path, timeout_s=limit_s)
            if not read.ok or int((read.body.get("data") or {}).get("slot", -1)) < slot:
                raise Failed(f"what was written is not there: {read.code}")

        self._sample(spec, slot, due, act)

    def _addresses(self, spec: ProbeSpec, slot: int, due: float) -> None:
        """Serving and capacity at once: they ask the same question."""
        ready = 0

        def act() -> None:
            nonlocal ready
            query = {"labelSelector": f"kubernetes.io/service-name={PREDICTOR}"}
            answer = self._kube.request("GET", SLICES, query=query, timeout_s=1.5 * spec.limit_s)
            if not answer.ok:
                raise Failed(f"{answer.code} {answer.message}")
            ready = len(ready_addresses(answer.body, self.dead_nodes))

        t, t_end, error = self._timed(act)
        for each, least in ((spec, LEAST_ADDRESSES), (self._specs[CAPACITY.name], self._replicas)):
            few = f"{ready} ready addresses" if not error and ready < least else error
            self._keep(each, slot, due, t, t_end, few)

    def _canary(self, spec: ProbeSpec, slot: int, due: float) -> None:
        name = f"canary-{slot}"
        try:
            self._sample(spec, slot, due, lambda: self._run_canary(name, spec.limit_s))
        finally:
            query = {"propagationPolicy": "Background"}
            try:
                self._kube.request("DELETE", f"{_CANARIES}/{name}", query=query, timeout_s=5.0)
            except InfraFault:
                return

    def _run_canary(self, name: str, limit_s: float) -> None:
        created = self._kube.request("POST", _CANARIES, body=canary(name), timeout_s=1.5 * limit_s)
        if not created.ok:
            raise Failed(f"{created.code} {created.message}")
        query = {"labelSelector": f"canary={name}", "resourceVersion": "0"}

        def ready() -> None:
            answer = self._kube.request("GET", _CANARY_PODS, query=query, timeout_s=limit_s)
            if not answer.ok:
                raise Failed(f"{answer.code} {answer.message}")
            if not any(_is_ready(pod) for pod in answer.body["items"]):
                raise NotYet("no pod is ready")

        try:
            wait_for(ready, timeout_s=1.5 * limit_s, interval_s=0.1)
        except TimedOut as mismatch:
            raise Failed(str(mismatch)) from mismatch

    def _sample(self, spec: ProbeSpec, slot: int, due: float, act: Callable[[], None]) -> None:
        self._keep(spec, slot, due, *self._timed(act))

    def _timed(self, act: Callable[[], None]) -> tuple[float, float, str]:
        clock, error = self._recording.clock, ""
        t = clock.now()
        try:
            act()
        except (InfraFault, Failed) as failure:
            error = str(failure)[:300] or "failed"
        return t, clock.now(), error

    def _keep(self, spec: ProbeSpec, slot: int, due: float, t: float, t_end: float, error: str) -> None:
        sample = ProbeSample(t, t_end, spec.name, slot, round(due, 6), not error, error, self._cluster)
        if spec.failed(sample):
            with self._lock:
                self._last_failure[spec.name] = max(t, self._last_failure.get(spec.name, t))
        self._samples.append(sample)
        self._recording.writer.add(sample)
        self._recording.changes.notify()


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
