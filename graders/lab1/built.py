"""What operator processes run from: the submission, or what its build made of it."""

from pathlib import Path

from graders.lab1.goquality import GoTools
from graders.lab1.manifest import Operator
from graders.sandbox.building import Build, build_submission
from graders.sandbox.gomodules import fetch_modules
from graders.sandbox.goruntime import GoRuntime, ensure_go_runtime
from graders.sandbox.protocol import SandboxSpec
from graders.sandbox.staticcheck import ensure_staticcheck
from graders.scenario.spec import Run
from graders.tools.toolchain import ensure_toolchain


def built_submission(run: Run, operator: Operator, tools: SandboxSpec) -> Path:
    """The folder to start the operator in; a build runs once, under the limits of `tools`.

    Raises:
        BadSubmission: the build fails, or go.mod names modules that cannot be had.
        InfraFault: the toolchain or a module cannot be fetched, or the sandbox is lost.
    """
    if not operator.build:
        return run.submission.root
    go = go_runtime(run) if operator.language == "go" else None
    if go is not None:
        fetch_modules(go, run.submission.root, run.session.folder / "modules", run.progress)
    with run.progress.task("building the operator"):
        return build_submission(run.sandbox, Build(operator.build, tools, go), run.session.folder / "built")


def go_runtime(run: Run) -> GoRuntime:
    """The Go toolchain with its caches, made when the first submission in Go comes.

    Raises:
        InfraFault: something of it cannot be fetched or built.
    """
    return ensure_go_runtime(ensure_toolchain(run.progress), run.progress)


def go_tools(run: Run, scratch: Path) -> GoTools:
    """What judges code in Go, with the submission's modules at hand; `scratch` is a new folder.

    Raises:
        BadSubmission: go.mod names modules that cannot be had.
        InfraFault: something cannot be fetched or built.
    """
    go = go_runtime(run)
    fetch_modules(go, run.submission.root, scratch, run.progress)
    return GoTools(go, ensure_staticcheck(go, run.progress))
