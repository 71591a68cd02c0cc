"""What a lab's cluster is like, as text that one process can hand to another."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from graders.clusters.provider import ClusterSpec, NodeSpec

_PLAIN = (
    "workers", "durable", "etcd_members", "controller_managers", "node_grace_s", "simulator_per_zone",
)  # fmt: skip
_PATHS = ("audit_policy", "stages")


def world_of(spec: ClusterSpec) -> str:
    """All of a spec but its name, its witnesses, and what it may begin with."""
    world: dict[str, object] = {name: getattr(spec, name) for name in _PLAIN}
    world["nodes"] = [asdict(node) for node in spec.nodes]
    world["extra_controllers"] = list(spec.extra_controllers)
    world["identities"] = {user: list(groups) for user, groups in spec.identities.items()}
    world |= {name: str(getattr(spec, name) or "") for name in _PATHS}
    return json.dumps(world)


def spec_of(name: str, world: str) -> ClusterSpec:
    """The spec of a cluster that is like that; an empty world is the one where no lab says anything."""
    if not world:
        return ClusterSpec(name=name)
    told = json.loads(world)
    return ClusterSpec(
        name=name,
        nodes=tuple(NodeSpec(**node) for node in told["nodes"]),
        extra_controllers=tuple(told["extra_controllers"]),
        identities={user: tuple(groups) for user, groups in told["identities"].items()},
        audit_policy=_path(told["audit_policy"]),
        stages=_path(told["stages"]),
        **{each: told[each] for each in _PLAIN},
    )


def _path(told: str) -> Path | None:
    return Path(told) if told else None
