"""What a run of an experiment leaves in a bundle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class ExperimentRun:
    """One run of an experiment, from `t` to `t_end`; `purpose` says how, such as `hypothesis-healthy`.

    `journal` is what the tool wrote, empty where it wrote none. `aborted` is when it was sent SIGTERM.
    """

    FILE: ClassVar[str] = "experimentruns.jsonl"

    t: float
    t_end: float
    experiment: str
    purpose: str
    code: int | None
    how: str
    journal: str = ""
    aborted: float | None = None
    said: str = ""
    cluster: str = ""
