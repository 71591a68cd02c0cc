"""When the workload of lab 3 is up, and what is said where it is not."""

from __future__ import annotations

from typing import Any, cast

import pytest

from graders.kube.client import Answer, ApiRefused, Kube
from graders.lab3.environment import workload
from graders.lab3.environment.workload import DEPLOYMENT, SERVICE, apply_workload


class Cluster:
    """Has the workload with so many replicas, of which so many are ready addresses."""

    def __init__(
        self, replicas: int, ready: int, selector: dict[str, str] | None = None, lacks: str = ""
    ) -> None:
        self.lacks = lacks
        self.replicas = replicas
        self.ready = ready
        self.selector = selector

    def apply(self, data: object) -> Answer:
        del data
        return Answer(200, {})

    def get(self, path: str, **_: object) -> dict[str, Any]:
        if self.lacks and path.endswith(self.lacks):
            raise ApiRefused("GET", path, Answer(404, {"message": f"there is no {self.lacks}"}))
        if path == DEPLOYMENT:
            return {"spec": {"replicas": self.replicas}}
        if path == SERVICE:
            return {"spec": {"selector": self.selector}}
        endpoint = {"conditions": {"ready": True}, "addresses": [f"10.0.0.{at}" for at in range(self.ready)]}
        labels = {"endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"}
        return {"items": [{"metadata": {"labels": labels}, "endpoints": [endpoint]}]}


APP = {"app": "predictor"}


@pytest.mark.parametrize(
    ("cluster", "says"),
    [
        (Cluster(4, 4, APP), ""),
        (Cluster(2, 2, APP), ""),
        (Cluster(8, 8, APP), ""),
        (Cluster(4, 3, APP), "3 of 4 replicas are ready addresses"),
        (Cluster(1, 1, APP), "1 replicas, where 2 to 8 are asked for"),
        (Cluster(9, 9, APP), "9 replicas, where 2 to 8 are asked for"),
        (Cluster(4, 4), "has no selector"),
        (Cluster(4, 4, APP, "models.registry.mod201.dev"), "has no such object"),
        (Cluster(4, 4, APP, "services/predictor"), "has no such object"),
        (Cluster(4, 4, APP, "deployments/predictor"), "has no such object"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_all_of_two_to_eight_replicas_are_ready_addresses_in_time(
    cluster: Cluster, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert workload.UP_WITHIN_S == 30.0
    monkeypatch.setattr(workload, "UP_WITHIN_S", 0.2)
    told = apply_workload(cast(Kube, cluster), (), 1.0)
    assert says in told
    assert bool(told) == bool(says)
    assert not says or told.startswith("within 0.2 s ")
