"""One build as it is ordered: from what, under which bounds, and what the engine is told of them."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from graders.images.context import INSTRUCTIONS

MIB = 1024 * 1024


@dataclass(frozen=True)
class BuildLimits:
    """What one build may take.

    `disk_bytes` is all that it writes, `image_bytes` what its image holds; both beyond the base image. `cpus`
    counts processors.
    """

    memory_bytes: int = 3072 * MIB
    cpus: float = 2.0
    pids: int = 512
    file_bytes: int = 1024 * MIB
    wall_s: float = 600.0
    disk_bytes: int = 3072 * MIB
    image_bytes: int = 1024 * MIB
    printed_bytes: int = 4 * MIB


@dataclass(frozen=True)
class BuildSpec:
    """What to build: `label` is the build's own, `tag` names its image, `base_bytes` is the largest base."""

    context: Path
    tag: str
    label: str
    base_bytes: int = 0
    limits: BuildLimits = field(default_factory=BuildLimits)


@dataclass(frozen=True)
class BuiltImage:
    """How a build ended; `problem` is empty when there is an image, and the learner's otherwise."""

    id: str
    size_bytes: int
    seconds: float
    printed: str
    problem: str = ""


def settings_of(spec: BuildSpec) -> dict[str, str]:
    """What the engine is told: no network, nothing pulled, nothing cached, and the bounds it knows."""
    limits = spec.limits
    bounds = {"fsize": limits.file_bytes, "core": 0, "nofile": 4096}
    return {
        "t": spec.tag,
        "dockerfile": INSTRUCTIONS,
        "networkmode": "none",
        "nocache": "1",
        "rm": "1",
        "forcerm": "1",
        "memory": str(limits.memory_bytes),
        "memswap": str(limits.memory_bytes),
        "cpuperiod": "100000",
        "cpuquota": str(int(limits.cpus * 100000)),
        "cpushares": "512",
        "shmsize": str(64 * MIB),
        "ulimits": json.dumps([{"Name": n, "Soft": most, "Hard": most} for n, most in bounds.items()]),
    }
