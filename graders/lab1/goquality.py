"""Runs vet, staticcheck and the learner's own tests over a private copy of a submission in Go."""

import re
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from graders.evidence.recording import Recording
from graders.evidence.records import ToolRun
from graders.lab1.quality import witnessed
from graders.progress import Task
from graders.sandbox.goruntime import LAYER, GoRuntime
from graders.sandbox.protocol import Sandbox, SandboxSpec, View
from graders.sandbox.staticcheck import Staticcheck

_SILENCER = re.compile(r"^\s*//lint:file-ignore\b")
_OUR_PACKAGES = "go list -f '{{if ne .Name \"main\"}}{{.ImportPath}}{{end}}' ./..."

_CHECKS = "all,-ST1000,-ST1003,-ST1016,-ST1020,-ST1021,-ST1022"
"""staticcheck's own default, said here so that a staticcheck.conf in the submission says nothing."""

_TESTS = f"""
packages=$({_OUR_PACKAGES} | paste -sd, -)
go test $RACE -vet=off -count=1 -coverprofile="$HOME/cover" -coverpkg="${{packages:-./...}}" ./...
code=$?
go tool cover -func="$HOME/cover" | tail -n 1
exit $code
"""


@dataclass(frozen=True)
class GoTools:
    """What judging code in Go takes."""

    go: GoRuntime
    staticcheck: Staticcheck


@dataclass(frozen=True)
class _Tool:
    """One program: what the report calls it, the shell text that runs it, and whether it wants cgo."""

    name: str
    argv: tuple[str, ...]
    script: str
    cgo: bool = False


def run_go_tools(
    sandbox: Sandbox, base: SandboxSpec, tools: GoTools, recording: Recording, task: Task
) -> None:
    """Run every tool, one after the other and at low priority, and put the results on record."""
    for tool in _tools(tools):
        task.update(detail=f"running {tool.name}")
        spec = _spec(base, tools, tool)
        spec.folder.mkdir(parents=True)
        recording.writer.add(witnessed(sandbox, spec, tool.argv, recording))
    silenced = "\n".join(file_silencers(base.submission))
    recording.writer.add(ToolRun(recording.clock.now(), "silencers", (), 0, 0.0, silenced[:20_000]))


def file_silencers(root: Path) -> Iterator[str]:
    """Lines of Go files that switch staticcheck off for the whole file, as `file:line: comment`."""
    for path in sorted(root.rglob("*.go")):
        if not path.is_file():
            continue
        for number, line in enumerate(path.read_text("utf-8", "replace").splitlines(), start=1):
            if _SILENCER.search(line):
                yield f"{path.relative_to(root)}:{number}: {line.strip()[:100]}"


def _tools(tools: GoTools) -> tuple[_Tool, ...]:
    # The race detector needs a C compiler: without one on this machine, nobody's tests run under it.
    race = shutil.which("cc") is not None
    check = (str(tools.staticcheck.program), "-checks", _CHECKS, "./...")
    tested = ("go", "test", *(("-race",) if race else ()), "-cover", "./...")
    return (
        _Tool("go-vet", ("go", "vet", "./..."), "exec go vet ./..."),
        _Tool("staticcheck", ("staticcheck", *check[1:]), f"exec {shlex.join(check)}"),
        _Tool("go-test", tested, f"RACE={'-race' if race else ''}\n{_TESTS}", cgo=race),
    )


def _spec(base: SandboxSpec, tools: GoTools, tool: _Tool) -> SandboxSpec:
    go, facts = tools.go, tools.staticcheck.facts

    def environment(view: View) -> dict[str, str]:
        own = go.environment(view, base.venv, cgo=tool.cgo)
        return {**own, "STATICCHECK_CACHE": f"{view.home}/staticcheck", "FILES": view.files}

    layers = 'exec nice -n 15 python -I "$FILES/golayer.py" ' + shlex.quote(str(go.builds)) + ' "$GOCACHE"'
    if tool.name == "staticcheck":
        known = f'{shlex.quote(str(facts))} "$STATICCHECK_CACHE"'
        layers += f' python -I "$FILES/golayer.py" {known}'
    return replace(
        base,
        name=tool.name,
        folder=base.folder / tool.name,
        command=("sh", "-c", f"{layers} sh -c {shlex.quote(tool.script)}"),
        files=lambda _: {LAYER.name: LAYER.read_bytes()},
        environment=environment,
        mounts=(*base.mounts, *go.mounts, tools.staticcheck.mount),
        # The race detector reserves terabytes and uses little of them.
        limits=replace(base.limits, data_bytes=None),
        writable_copy=True,
        doors=(),
    )
