"""Prometheus metrics. Counters move when a status write has succeeded, and by what it changed."""

from __future__ import annotations

from collections.abc import Iterable

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from .job import Key
from .transitions import Transitions

_LATENCY_BUCKETS_S = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800)


class Metrics:
    """The operator's own metrics, in a registry of the caller's choice."""

    def __init__(self, registry: CollectorRegistry = prometheus_client.REGISTRY) -> None:
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = registry
        self._created = _counter(registry, "created", "Jobs whose first status was written.")
        self._successful = _counter(registry, "successful", "Jobs that completed.")
        self._failed = _counter(registry, "failed", "Jobs that failed.")
        self._restarted = _counter(registry, "restarted", "Pods re-created after a failure.")
        self._active = Gauge(
            "mltrainingjob_jobs_active",
            "Jobs that are neither complete nor failed.",
            registry=registry,
        )
        self._latency = Histogram(
            "mltrainingjob_start_latency_seconds",
            "Time from a job's start to the first time it was running.",
            buckets=_LATENCY_BUCKETS_S,
            registry=registry,
        )
        self._active_keys: set[Key] = set()

    def record(self, key: Key, happened: Transitions) -> None:
        """Count what a successful status write changed."""
        namespace = key.namespace
        self._created.labels(namespace).inc()
        if happened.complete:
            self._successful.labels(namespace).inc()
        if happened.failed:
            self._failed.labels(namespace).inc()
        if happened.restarts > 0:
            self._restarted.labels(namespace).inc(happened.restarts)
        if happened.start_latency_s is not None:
            self._latency.observe(max(0.0, happened.start_latency_s))

    def saw(self, key: Key, *, active: bool) -> None:
        """Note what a read said about one job."""
        (self._active_keys.add if active else self._active_keys.discard)(key)
        self._active.set(len(self._active_keys))

    def saw_all(self, active: Iterable[Key]) -> None:
        """Note what a read said about all jobs."""
        self._active_keys = set(active)
        self._active.set(len(self._active_keys))


def _counter(registry: CollectorRegistry, what: str, text: str) -> Counter:
    return Counter(f"mltrainingjob_jobs_{what}", text, ["namespace"], registry=registry)
