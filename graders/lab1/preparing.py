"""What a run of lab 1 needs besides a cluster, had before one starts: nothing that is timed waits for it."""

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from graders.lab1.built import built_submission, go_tools
from graders.lab1.goquality import GoTools
from graders.lab1.incluster.image import OperatorImage, image_for
from graders.lab1.manifest import Lab1Manifest, Language
from graders.model import Submission
from graders.sandbox.environments import ensure_environment
from graders.sandbox.goversion import accept_patches
from graders.sandbox.runtime import Runtime, ensure_runtime
from graders.scenario.learner import sandbox_spec
from graders.scenario.spec import Run
from graders.submissions.manifests import Manifest, load_manifests
from graders.tools.toolchain import pinned_go_version

QUALITY = "quality"
"""The track that looks at the code."""


@dataclass(frozen=True)
class Prepared:
    """`root` is the submission, built; `go` looks at its code, and `image` is its image, where asked for."""

    wanted: Lab1Manifest
    runtime: Runtime
    manifests: tuple[Manifest, ...]
    root: Path
    go: GoTools | None
    image: OperatorImage | None


@contextlib.contextmanager
def prepared(run: Run) -> Iterator[Prepared]:
    """Fetch and build all that `run` takes; the image is there while the block runs.

    Raises:
        BadSubmission: what the submission asks for cannot be had, or its build fails.
        InfraFault: something cannot be fetched, or the sandbox is lost.
    """
    submission, folder = run.submission, run.session.folder
    runtime = ensure_runtime(run.progress)
    if is_in("go", submission):
        for asked in accept_patches(submission.root, pinned_go_version()):
            run.progress.say(f"go.mod asks for Go {asked}: it is built with {pinned_go_version()}")
    if is_in("python", submission):
        runtime = ensure_environment(runtime, submission.root, run.progress)
    wanted: Lab1Manifest = submission.manifest
    limits = run.settings.tool_limits
    tools = sandbox_spec(submission.root, runtime, "build", folder / "build", (), limits)
    root = built_submission(run, wanted.operator, tools)
    looks = QUALITY in run.selection and wanted.operator.language == "go"
    go = go_tools(run, folder / "checked-modules") if looks else None
    with image_for(run) as image:
        yield Prepared(wanted, runtime, manifests_of(submission), root, go, image)


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
