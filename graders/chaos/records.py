"""What runs of experiments leave in a bundle."""

from collections.abc import Mapping
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


@dataclass(frozen=True)
class BaselineLook:
    """What experiments must leave as it was, as digests by path; `when` says after which run of which."""

    FILE: ClassVar[str] = "baselinelooks.jsonl"

    t: float
    experiment: str
    when: str
    digests: Mapping[str, str]
    cluster: str = ""
