"""What operator processes run from: the submission, or what its build made of it."""

from __future__ import annotations

from pathlib import Path

from graders.lab1.goquality import GoTools
from graders.lab1.manifest import Operator
from graders.sandbox.building import Build, build_submission
from graders.sandbox.gomodules import fetch_modules
from graders.sandbox.goruntime import GoRuntime, ensure_go_runtime
from graders.sandbox.protocol import SandboxSpec
from graders.sandbox.staticcheck import ensure_staticcheck
from graders.scenario.spec import Plan
from graders.tools.toolchain import ensure_toolchain


def built_submission(plan: Plan, operator: Operator, tools: SandboxSpec) -> Path:
    """The folder to start the operator in; a build runs once, under the limits of `tools`.

    Raises:
        BadSubmission: the build fails, or go.mod names modules that cannot be had.
        InfraFault: the toolchain or a module cannot be fetched, or the sandbox is lost.
    """
    if not operator.build:
        return plan.submission.root
    go = go_runtime(plan) if operator.language == "go" else None
    if go is not None:
        fetch_modules(go, plan.submission.root, plan.folder / "modules", plan.progress)
    with plan.progress.task("building the operator"):
        return build_submission(plan.sandbox, Build(operator.build, tools, go), plan.folder / "built")


def go_runtime(plan: Plan) -> GoRuntime:
    """The Go toolchain with its caches, made when the first submission in Go comes.

    Raises:
        InfraFault: something of it cannot be fetched or built.
    """
    return ensure_go_runtime(ensure_toolchain(plan.progress), plan.progress)


def go_tools(plan: Plan, scratch: Path) -> GoTools:
    """What judges code in Go, with the submission's modules at hand; `scratch` is a new folder.

    Raises:
        BadSubmission: go.mod names modules that cannot be had.
        InfraFault: something cannot be fetched or built.
    """
    go = go_runtime(plan)
    fetch_modules(go, plan.submission.root, scratch, plan.progress)
    return GoTools(go, ensure_staticcheck(go, plan.progress))
