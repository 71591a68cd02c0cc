"""The operator's image: built from the learner's Dockerfile, before anything is timed.

A Dockerfile that cannot be taken, or a build that fails, costs in-cluster alone: it goes on record.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from graders.faults import BadSubmission
from graders.images.order import BuildLimits
from graders.lab1.built import go_runtime
from graders.lab1.story import IN_CLUSTER
from graders.scenario.spec import Run

BUILD_LOG = "image-build.log"
_LAST_LINES = 12


@dataclass(frozen=True)
class OperatorImage:
    """Names of images in the engine.

    `reference` is what was built, empty if nothing was; `training` is what jobs of the grader's run in.
    """

    reference: str
    training: str


@contextlib.contextmanager
def operator_image(run: Run, host: str) -> Iterator[OperatorImage]:
    """Build the submission's image in the engine at `host`; it is gone when the block ends.

    Raises:
        InfraFault: the engine failed, or what images start from cannot be had.
    """
    # Only here: most gradings build no image, and the engine's library takes long to import.
    from graders.images import bases  # noqa: PLC0415
    from graders.images.dockerfile import read_dockerfile  # noqa: PLC0415
    from graders.images.workshop import Workshop  # noqa: PLC0415

    def mark(name: str, **data: Any) -> None:
        run.recording.mark(IN_CLUSTER, name, **data)

    root, none = run.submission.root, OperatorImage("", bases.TRAINING)
    with contextlib.ExitStack() as stack:
        try:
            dockerfile = read_dockerfile(root, bases.offered())
            bases.have_bases(host, {*dockerfile.bases, bases.TRAINING}, run.progress)
            there = bases.bases_for(
                root, dockerfile.bases, lambda: go_runtime(run), run.folder / "image", run.progress
            )
            shop = stack.enter_context(Workshop(host, run.progress))
            limits = _limits(run)
            tag, built = shop.build(f"{run.submission.lab}-operator", root, dockerfile, there, limits)
        except BadSubmission as refused:
            mark(
                "image-refused",
                problem=refused.problem,
                file=refused.file,
                line=refused.line,
                fix=refused.fix,
            )
            yield none
            return
        (run.recording.writer.folder / "logs" / BUILD_LOG).write_text(built.printed, encoding="utf-8")
        seconds = round(built.seconds, 1)
        if built.problem:
            tail = "\n".join(built.printed.strip().splitlines()[-_LAST_LINES:])
            mark("image-failed", problem=built.problem, seconds=seconds, printed=tail)
            yield none
            return
        mark("image-built", image=tag, seconds=seconds, size_bytes=built.size_bytes)
        yield replace(none, reference=tag)


def _limits(run: Run) -> BuildLimits:
    """Those of the lab's other tools, as far as a build has the same."""
    tools = run.tool_limits
    return BuildLimits(
        memory_bytes=tools.memory_bytes,
        pids=tools.pids,
        file_bytes=tools.file_bytes,
        wall_s=tools.wall_s or BuildLimits().wall_s,
    )
