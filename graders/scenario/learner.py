"""A learner's program as a sandbox is asked for it."""

from __future__ import annotations

from pathlib import Path

from graders.sandbox.protocol import Limits, Mount, SandboxSpec
from graders.sandbox.runtime import Runtime


def sandbox_spec(
    submission: Path, runtime: Runtime, name: str, folder: Path, command: tuple[str, ...], limits: Limits
) -> SandboxSpec:
    """A command over the submission, with the learner runtime; `folder` is private to the harness."""
    beneath = runtime.beneath
    return SandboxSpec(
        submission=submission,
        command=command,
        folder=folder,
        venv=runtime.venv,
        python=runtime.python,
        base=runtime.base,
        name=name,
        limits=limits,
        mounts=(Mount(str(beneath), beneath),) if beneath else (),
    )
