"""What a run of lab 1 needs besides a cluster, had before one starts: nothing that is timed waits for it."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from graders.lab1.built import built_submission, go_tools
from graders.lab1.goquality import GoTools
from graders.lab1.incluster.image import OperatorImage, image_for
from graders.lab1.manifest import Lab1Manifest, Language
from graders.lab1.worlds import sandbox_spec
from graders.model import Submission
from graders.sandbox.environments import ensure_environment
from graders.sandbox.goversion import accept_patches
from graders.sandbox.runtime import Runtime
from graders.scenario.spec import Plan
from graders.submissions.manifests import Manifest, load_manifests
from graders.tools.toolchain import pinned_go_version

QUALITY = "quality"
"""The track that looks at the code."""


@dataclass(frozen=True)
class Prepared:
    """`root` is the submission, built; `go` looks at its code, and `image` is its image, where asked for."""

    runtime: Runtime
    manifests: tuple[Manifest, ...]
    root: Path
    go: GoTools | None
    image: OperatorImage | None


@contextlib.contextmanager
def prepared(plan: Plan) -> Iterator[Prepared]:
    """Fetch and build all that `plan` takes; the image is there while the block runs.

    Raises:
        BadSubmission: what the submission asks for cannot be had, or its build fails.
        InfraFault: something cannot be fetched, or the sandbox is lost.
    """
    submission = plan.submission
    if is_in("go", submission):
        for asked in accept_patches(submission.root, pinned_go_version()):
            plan.progress.say(f"go.mod asks for Go {asked}: it is built with {pinned_go_version()}")
    if is_in("python", submission):
        plan = replace(plan, runtime=ensure_environment(plan.runtime, submission.root, plan.progress))
    wanted: Lab1Manifest = submission.manifest
    tools = sandbox_spec(plan, "build", plan.folder / "build", (), plan.tool_limits)
    root = built_submission(plan, wanted.operator, tools)
    looks = QUALITY in plan.tracks and wanted.operator.language == "go"
    go = go_tools(plan, plan.folder / "checked-modules") if looks else None
    with image_for(plan) as image:
        yield Prepared(plan.runtime, manifests_of(submission), root, go, image)


def is_in(language: Language, submission: Submission) -> bool:
    """Whether the operator is in that language."""
    wanted: Lab1Manifest = submission.manifest
    return wanted.operator.language == language


def manifests_of(submission: Submission) -> tuple[Manifest, ...]:
    """What is to be installed.

    Raises:
        BadSubmission: names the file and line.
    """
    wanted: Lab1Manifest = submission.manifest
    beside = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    kubectl = shutil.which("kubectl", path=beside)
    return load_manifests(submission.root, wanted.manifests, kubectl=Path(kubectl) if kubectl else None)
