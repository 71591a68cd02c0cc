"""The tools that a learner's programs may call: those alone that the hand-in names are made ready."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from graders.lab2.toolsets import CONFTEST, COSIGN, GATOR, GITLEAKS, KYVERNO_CLI, SOPS
from graders.progress import Progress
from graders.tools import Toolset, ensure

BELT: Mapping[str, Toolset] = {
    "cosign": COSIGN, "conftest": CONFTEST, "gator": GATOR, "gitleaks": GITLEAKS, "kyverno": KYVERNO_CLI,
    "sops": SOPS,
}  # fmt: skip
"""By the names under which they are called; each is a minute or more to build, once for a machine."""
_NO_PROGRAMS = (".md", ".yaml", ".yml", ".json")


def tools_named(root: Path, progress: Progress) -> dict[str, Path]:
    """Those tools that a file of the submission says the name of, and where they are.

    Raises:
        InfraFault: one cannot be had.
    """
    wanted = set(_named(root))
    return {name: ensure(toolset, progress).path(name) for name, toolset in BELT.items() if name in wanted}


def _named(root: Path) -> Iterator[str]:
    """Their names, as often as they are said; a policy's group or a namespace is not the program."""
    word = re.compile(rb"(?<![\w./-])(" + b"|".join(name.encode() for name in BELT) + rb")(?![\w./-])")
    for path in root.rglob("*"):
        if path.is_file() and (path.name == "submission.yaml" or path.suffix not in _NO_PROGRAMS):
            for found in word.findall(path.read_bytes()):
                yield found.decode()
