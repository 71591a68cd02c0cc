"""What a lab's cluster is like, as text that one process can hand to another."""

import json
from dataclasses import asdict
from pathlib import Path

from graders.clusters.provider import ClusterSpec, NodeSpec

_PLAIN = (
    "workers", "durable", "etcd_members", "controller_managers", "node_grace_s", "simulator_per_zone",
)  # fmt: skip
_PATHS = ("audit_policy", "stages")


def spec_text(spec: ClusterSpec) -> str:
    """All of a spec but its name, its witnesses, and what it may begin with."""
    held: dict[str, object] = {name: getattr(spec, name) for name in _PLAIN}
    held["nodes"] = [asdict(node) for node in spec.nodes]
    held["extra_controllers"] = list(spec.extra_controllers)
    held["identities"] = {user: list(groups) for user, groups in spec.identities.items()}
    held |= {name: str(getattr(spec, name) or "") for name in _PATHS}
    return json.dumps(held)


def spec_of(name: str, text: str) -> ClusterSpec:
    """The spec of a cluster that is like that; an empty one is that where no lab says anything."""
    if not text:
        return ClusterSpec(name=name)
    told = json.loads(text)
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
