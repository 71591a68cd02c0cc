"""The operator's image: built from the learner's Dockerfile, before any cluster starts.

A Dockerfile that cannot be taken, or a build that fails, costs in-cluster alone: it goes on record.
"""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from graders.evidence.recording import Recording
from graders.faults import BadSubmission, InfraFault
from graders.images.buildspec import BuildLimits
from graders.lab1.built import go_runtime
from graders.lab1.names import IN_CLUSTER
from graders.scenario.spec import Run

BUILD_LOG = "image-build.log"
_LAST_LINES = 12


@dataclass(frozen=True)
class OperatorImage:
    """Names of images in the engine, and what became of the build.

    `reference` is what was built, empty if nothing was; `training` is what jobs of the grader's run in.
    `problem` says how the engine failed, if it did.
    """

    reference: str
    training: str
    mark: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    printed: str = ""
    problem: str = ""

    def record(self, recording: Recording) -> None:
        """Put on record what became of the build."""
        if self.printed:
            (recording.writer.folder / "logs" / BUILD_LOG).write_text(self.printed, encoding="utf-8")
        if self.mark:
            recording.mark(IN_CLUSTER, self.mark, **self.facts)


@contextlib.contextmanager
def image_for(run: Run) -> Iterator[OperatorImage | None]:
    """The submission's image in the engine of `run`, gone when the block ends; None if nobody asks for it.

    Nor is it built where there are no real nodes: its check says so by itself.
    """
    if IN_CLUSTER not in run.selection or not run.fleet.engine:
        yield None
        return
    with contextlib.ExitStack() as stack:
        try:
            image = stack.enter_context(operator_image(run))
        except InfraFault as fault:
            # The engine's trouble is this track's alone.
            image = OperatorImage("", "", problem=str(fault))
        yield image


@contextlib.contextmanager
def operator_image(run: Run) -> Iterator[OperatorImage]:
    """Build the submission's image in the engine of `run`; it is gone when the block ends.

    Raises:
        InfraFault: the engine failed, or what images start from cannot be had.
    """
    # Only here: most gradings build no image, and the engine's library takes long to import.
    from graders.images import bases  # noqa: PLC0415
    from graders.images.buildsession import BuildSession  # noqa: PLC0415
    from graders.images.dockerfile import read_dockerfile  # noqa: PLC0415

    root = run.submission.root
    with contextlib.ExitStack() as stack:
        try:
            dockerfile = read_dockerfile(root, bases.offered())
            bases.have_bases(run.fleet.engine, {*dockerfile.bases, bases.TRAINING}, run.progress)
            there = bases.bases_for(
                root, dockerfile.bases, lambda: go_runtime(run), run.session.folder / "image", run.progress
            )
            session = stack.enter_context(BuildSession(run.fleet.engine, run.progress))
            limits = _limits(run)
            tag, built = session.build(f"{run.submission.lab}-operator", root, dockerfile, there, limits)
        except BadSubmission as no:
            facts: dict[str, object] = {
                "problem": no.problem,
                "file": no.file,
                "line": no.line,
                "fix": no.fix,
            }
            yield OperatorImage("", bases.TRAINING, "image-refused", facts)
            return
        seconds = round(built.seconds, 1)
        if built.problem:
            tail = "\n".join(built.printed.strip().splitlines()[-_LAST_LINES:])
            facts = {"problem": built.problem, "seconds": seconds, "printed": tail}
            yield OperatorImage("", bases.TRAINING, "image-failed", facts, built.printed)
            return
        facts = {"image": tag, "seconds": seconds, "size_bytes": built.size_bytes}
        yield OperatorImage(tag, bases.TRAINING, "image-built", facts, built.printed)


def _limits(run: Run) -> BuildLimits:
    """Those of the lab's other tools, as far as a build has the same."""
    tools = run.settings.tool_limits
    return BuildLimits(
        memory_bytes=tools.memory_bytes,
        pids=tools.pids,
        file_bytes=tools.file_bytes,
        wall_s=tools.wall_s or BuildLimits().wall_s,
    )
