"""What audits of a cluster leave in a bundle: how its processes were started, and what kube-hunter found."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class CommandLine:
    """How a process of the control plane was started, as the machine has it: the words of its command."""

    FILE: ClassVar[str] = "commandlines.jsonl"

    t: float
    component: str
    words: tuple[str, ...]
    cluster: str = ""


@dataclass(frozen=True)
class HunterRun:
    """A run of kube-hunter, from `t` to `t_end`; `text` is its report in JSON, `how` how it ended.

    `skipped` is one that cannot be had: who grades without a sandbox has no network of its own for it.
    """

    FILE: ClassVar[str] = "hunterruns.jsonl"

    t: float
    t_end: float
    ok: bool
    how: str
    text: str
    cluster: str = ""
    skipped: bool = False
