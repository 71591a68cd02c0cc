"""Runs linters, type checker and the learner's own tests over a private copy of the submission."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from graders.evidence.recorders import Recording
from graders.evidence.records import ToolRun
from graders.paths import REPOSITORY
from graders.progress import Task
from graders.sandbox.protocol import Sandbox, SandboxSpec, View

PROFILE = REPOSITORY / "labs" / "lab1" / "ruff.toml"
_SKIPPED = frozenset({"tests", "test", "docs", "samples", "deploy", "build", "dist"})

_MYPY = b"[mypy]\nstrict = True\nignore_missing_imports = True\ncache_dir = /tmp/mypy\n"
_COVERAGE = b"[run]\ndata_file = /tmp/coverage\n"
_PYTEST = b"[pytest]\naddopts =\nasyncio_mode = auto\n"


@dataclass(frozen=True)
class Tool:
    """One program: `argv` from where its configuration lies in the sandbox and the packages to look at."""

    name: str
    argv: Callable[[str, tuple[str, ...]], tuple[str, ...]]


def _ruff(files: str, _: tuple[str, ...]) -> tuple[str, ...]:
    return "python", "-m", "ruff", "check", "--no-cache", "--config", f"{files}/ruff.toml", "."


def _mypy(files: str, packages: tuple[str, ...]) -> tuple[str, ...]:
    return "python", "-m", "mypy", "--config-file", f"{files}/mypy.ini", *packages


def _pytest(files: str, packages: tuple[str, ...]) -> tuple[str, ...]:
    settings = ("-q", "-p", "no:cacheprovider", "-c", f"{files}/pytest.ini", "--rootdir=.")
    coverage = (f"--cov-config={files}/coveragerc", "--cov-report=term")
    measured = (f"--cov={package.removesuffix('.py')}" for package in packages)
    return "python", "-m", "pytest", *settings, *coverage, *measured


PYTHON_TOOLS = (Tool("ruff", _ruff), Tool("mypy", _mypy), Tool("pytest", _pytest))


def packages_of(root: Path) -> tuple[str, ...]:
    """The operator's own packages and modules at the top of a submission, its tests left out."""
    folders = [p.parent.name for p in root.glob("*/__init__.py") if p.parent.name not in _SKIPPED]
    modules = [
        p.name for p in root.glob("*.py") if not p.name.startswith("test_") and p.name != "conftest.py"
    ]
    return tuple(sorted(folders + modules))


def run_tools(sandbox: Sandbox, base: SandboxSpec, recording: Recording, task: Task) -> None:
    """Run every tool, one after the other and at low priority, and put the results on record."""
    packages = packages_of(base.submission)
    for tool in PYTHON_TOOLS:
        task.update(detail=f"running {tool.name}")
        recording.writer.add(_run(sandbox, base, tool, packages, recording))


def _run(
    sandbox: Sandbox, base: SandboxSpec, tool: Tool, packages: tuple[str, ...], recording: Recording
) -> ToolRun:
    folder = base.folder / tool.name
    folder.mkdir(parents=True)

    def files(_: View) -> dict[str, bytes]:
        return {
            "ruff.toml": PROFILE.read_bytes(),
            "mypy.ini": _MYPY,
            "coveragerc": _COVERAGE,
            "pytest.ini": _PYTEST,
        }

    # The view's folder of files is not known before the start; a shell-free launcher needs it in argv.
    argv = tool.argv("/run/kubeproof", packages)
    spec = replace(
        base,
        name=tool.name,
        command=("nice", "-n", "15", *argv),
        folder=folder,
        files=files,
        environment={"COVERAGE_FILE": "/tmp/coverage"},  # noqa: S108  (the sandbox's own)
        writable_copy=True,
        api=False,
    )
    started = time.monotonic()
    with sandbox.start(spec) as process:
        status = None
        while status is None:
            status = process.wait(1.0)
        text = process.log_path.read_text("utf-8", "replace")
    return ToolRun(
        t=recording.clock.now(),
        tool=tool.name,
        argv=argv,
        code=status.code,
        duration_s=round(time.monotonic() - started, 3),
        output=text[-20_000:],
        reason=str(status),
    )
