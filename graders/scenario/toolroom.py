"""Where a learner's own programs run: in the sandbox, with the tools of the trade on their PATH."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from graders.faults import BadSubmission
from graders.progress import Progress
from graders.sandbox.protocol import Limits, Mount, Sandbox, SandboxSpec, View
from graders.sandbox.runtime import Runtime
from graders.scenario.learner import sandbox_spec
from graders.tools import Toolset, ensure

_TOOLS = "/tools"
_MANIFEST = "submission.yaml"
_NO_PROGRAMS = (".md", ".yaml", ".yml", ".json")
_GIT = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_COUNT": "1",
    "GIT_CONFIG_KEY_0": "safe.directory",
    "GIT_CONFIG_VALUE_0": "*",
}
"""The folder that a copy lies in is not the learner's own, which git would hold against it."""


@dataclass(frozen=True)
class ToolRoom:
    """A sandbox, the learner runtime in it, and programs by their names."""

    sandbox: Sandbox
    runtime: Runtime
    programs: Mapping[str, Path]

    def spec(
        self, clone: Path, name: str, folder: Path, command: tuple[str, ...], limits: Limits
    ) -> SandboxSpec:
        """A command in a copy of a clone that it may change; `folder` is new, and private to the harness."""
        folder.mkdir()
        mounts = tuple(
            Mount(f"{_TOOLS}/{called}", program.resolve().parent) for called, program in self.programs.items()
        )
        spec = sandbox_spec(clone, self.runtime, name, folder, command, limits)

        def environment(view: View) -> dict[str, str]:
            tools = [view.mounts[mount.target] for mount in mounts]
            path = ":".join([*tools, f"{self.runtime.venv}/bin", "/usr/bin", "/bin"])
            return {"PATH": path, "HOME": view.home, **_GIT}

        return replace(spec, mounts=(*spec.mounts, *mounts), environment=environment, writable_copy=True)


def check_program(root: Path, argv: Sequence[str]) -> None:
    """See that a program of the submission's own is there and can be executed; others are found on PATH.

    Raises:
        BadSubmission: it is not; names it.
    """
    if not argv or "/" not in argv[0] or argv[0].startswith("/"):
        return
    program = root / argv[0]
    if not program.is_file():
        raise BadSubmission(
            f"there is no {argv[0]}, which submission.yaml has run",
            file=_MANIFEST,
            fix="put the program there",
        )
    if not program.stat().st_mode & 0o100:
        raise BadSubmission(
            "may not be executed", file=argv[0],
            fix=f"chmod +x {argv[0]}, or name what runs it, as in [python3, {argv[0]}]",
        )  # fmt: skip


def tools_named(root: Path, belt: Mapping[str, Toolset], progress: Progress) -> dict[str, Path]:
    """Those tools of a belt that a file of the submission says the name of, and where they are.

    Raises:
        InfraFault: one cannot be had.
    """
    wanted = set(named_in(root, belt))
    return {name: ensure(toolset, progress).path(name) for name, toolset in belt.items() if name in wanted}


def named_in(root: Path, names: Collection[str]) -> Iterator[str]:
    """Names of programs, as often as they are said; a policy's group or a namespace is not the program."""
    word = re.compile(rb"(?<![\w./-])(" + b"|".join(name.encode() for name in names) + rb")(?![\w./-])")
    for path in root.rglob("*"):
        if path.is_file() and (path.name == _MANIFEST or path.suffix not in _NO_PROGRAMS):
            for found in word.findall(path.read_bytes()):
                yield found.decode()
