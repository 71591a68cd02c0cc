"""Runs linters, type checker and the learner's own tests over a private copy of the submission."""

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from graders.escapes import printed_text
from graders.evidence.recording import Recording
from graders.evidence.records import ToolRun
from graders.paths import REPOSITORY
from graders.progress import Task
from graders.sandbox.protocol import Sandbox, SandboxSpec, View
from graders.sandbox.runtime import TYPE_CACHE

PROFILE = REPOSITORY / "labs" / "lab1" / "ruff.toml"
_SKIPPED = frozenset({"tests", "test", "docs", "samples", "deploy", "build", "dist"})

_MYPY = b"[mypy]\nstrict = True\nignore_missing_imports = True\n"
_COVERAGE = b"[run]\n"
_PYTEST = b"[pytest]\naddopts =\nasyncio_mode = auto\n"

_SILENCERS = re.compile(
    r"#\s*(mypy:\s*(ignore-errors|disable)|ruff:\s*noqa|flake8:\s*noqa|type:\s*ignore\s*$)"
)
"""Comments that switch a tool off for a whole file; those for one line and one rule are anybody's right."""


@dataclass(frozen=True)
class Tool:
    """One program as a shell line; `$FILES` is where its configuration lies, `"$@"` the packages.

    What judges the code is the course's own, and does not look for its modules beside that code (`-I`): a
    package or file of the learner's could have its name. Tests are the learner's in any case.
    """

    name: str
    line: str
    arguments: Callable[[tuple[str, ...]], tuple[str, ...]]


PYTHON_TOOLS = (
    Tool("ruff", 'python -I -m ruff check --no-cache --config "$FILES/ruff.toml" .', lambda _: ()),
    Tool(
        "mypy",
        'python -I -m mypy --python-executable "$LEARNERS" --config-file "$FILES/mypy.ini"'
        ' --cache-dir "$HOME/mypy" "$@"',
        lambda packages: packages,
    ),
    Tool(
        "pytest",
        'python -m pytest -q -p no:cacheprovider -c "$FILES/pytest.ini" --rootdir=.'
        ' --cov-config="$FILES/coveragerc" --cov-report=term "$@"',
        lambda packages: tuple(f"--cov={package.removesuffix('.py')}" for package in packages),
    ),
)


def packages_of(root: Path) -> tuple[str, ...]:
    """The operator's own packages and modules at the top of a submission, its tests left out."""
    folders = [p.parent.name for p in root.glob("*/__init__.py") if p.parent.name not in _SKIPPED]
    modules = [
        p.name for p in root.glob("*.py") if not p.name.startswith("test_") and p.name != "conftest.py"
    ]
    return tuple(sorted(folders + modules))


def run_tools(sandbox: Sandbox, base: SandboxSpec, course: Path, recording: Recording, task: Task) -> None:
    """Run every tool, one after the other and at low priority, and put the results on record.

    `base` has the learner's environment, `course` is the course's.
    """
    for tool in PYTHON_TOOLS:
        task.update(detail=f"running {tool.name}")
        recording.writer.add(_run(sandbox, base, course, tool, recording))
    silenced = "\n".join(silencers(base.submission))
    recording.writer.add(ToolRun(recording.clock.now(), "silencers", (), 0, 0.0, silenced[:20_000]))


def silencers(root: Path) -> Iterator[str]:
    """Lines of Python files that switch a tool off for the whole file, as `file:line: comment`."""
    for path in sorted(root.rglob("*.py")):
        for number, line in enumerate(path.read_text("utf-8", "replace").splitlines(), start=1):
            if line.lstrip().startswith("#") and _SILENCERS.search(line):
                yield f"{path.relative_to(root)}:{number}: {line.strip()[:100]}"


def _run(sandbox: Sandbox, base: SandboxSpec, course: Path, tool: Tool, recording: Recording) -> ToolRun:
    folder = base.folder / tool.name
    folder.mkdir(parents=True)

    def files(_: View) -> dict[str, bytes]:
        return {
            "ruff.toml": PROFILE.read_bytes(),
            "mypy.ini": _MYPY,
            "coveragerc": _COVERAGE,
            "pytest.ini": _PYTEST,
        }

    def environment(view: View) -> dict[str, str]:
        return {
            "FILES": view.files,
            "COVERAGE_FILE": f"{view.home}/coverage",
            "TYPES": str(course / TYPE_CACHE),
            "TOOLS": str(course / "bin"),
            "LEARNERS": str(base.python),
        }

    arguments = tool.arguments(packages_of(base.submission))
    # A warm cache of the libraries' types saves ten seconds; a copy, because mypy writes into it.
    before = 'cp -r "$TYPES" "$HOME/mypy" 2>/dev/null; ' if tool.name == "mypy" else ""
    before += 'PATH="$TOOLS:$PATH"; ' if tool.name != "pytest" else ""
    spec = replace(
        base,
        name=tool.name,
        command=("sh", "-c", f"{before}exec nice -n 15 {tool.line}", tool.name, *arguments),
        folder=folder,
        files=files,
        environment=environment,
        writable_copy=True,
        doors=(),
    )
    argv = (*tool.line.replace(' "$@"', "").split(), *arguments)
    return witnessed(sandbox, spec, argv, recording)


def witnessed(sandbox: Sandbox, spec: SandboxSpec, argv: tuple[str, ...], recording: Recording) -> ToolRun:
    """Run one tool to its end; `argv` is what the report calls it by."""
    started = time.monotonic()
    with sandbox.start(spec) as process:
        status = None
        while status is None:
            status = process.wait(1.0)
        text = printed_text(process.log_path.read_bytes())
    return ToolRun(
        t=recording.clock.now(),
        tool=spec.name,
        argv=argv,
        code=status.code,
        duration_s=round(time.monotonic() - started, 3),
        output=text[-20_000:],
        reason=str(status),
    )
