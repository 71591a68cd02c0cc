"""Fetches the Go modules that a submission names, before its sandbox closes.

The go command runs outside the sandbox here, on a go.mod that a stranger wrote: it sees a folder with nothing
but the go.mod and go.sum files, may start no version-control program, and fetches from module proxies only.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from graders.documents.wording import quote
from graders.faults import BadSubmission, InfraFault
from graders.progress import Progress
from graders.sandbox.goruntime import GoRuntime, host_environment

_FETCH_S = 600.0
_PARSE_S = 30.0
MOST_MODULES = 2000
_LINES = 6

_LEARNERS = re.compile(
    r"go\.(mod|sum):\d+|errors parsing go\.(mod|sum)|checksum mismatch|SECURITY ERROR|missing go\.sum"
    r"|malformed|unknown revision|invalid version|requires go >=|updates to go\.(mod|sum) needed"
    r"|\b(404 Not Found|410 Gone)\b"
    r"|not found: module|no matching versions|module declares its path|replacement directory"
    r"|disabled by GOPROXY|GOVCS|unrecognized import path"
)
"""What the go command says when the files are wrong; anything else may be the network's fault."""


def fetch_modules(runtime: GoRuntime, submission: Path, scratch: Path, progress: Progress) -> None:
    """Have every module that go.mod of `submission` requires in the module cache; `scratch` is a new folder.

    Raises:
        BadSubmission: go.mod is missing or wrong, or replaces a module by a folder outside the submission.
        InfraFault: a module cannot be fetched for another reason.
    """
    if not (submission / "go.mod").is_file():
        raise BadSubmission(
            "the operator is in Go and there is no go.mod",
            file="go.mod",
            fix="put go.mod beside submission.yaml",
        )
    scratch.mkdir(parents=True)
    _copy(submission, scratch, PurePosixPath())
    variables = host_environment(runtime)
    described = _described(runtime, scratch, variables)
    for local in _local_replacements(described):
        _copy(submission, scratch, local)
    if len(described.get("Require") or ()) > MOST_MODULES:
        raise BadSubmission(
            f"requires over {MOST_MODULES} modules", file="go.mod", fix="require what you use"
        )
    with progress.task("fetching the submission's Go modules"):
        proxies = _without_direct(_go(runtime, ("env", "GOPROXY"), scratch, variables, _PARSE_S).stdout)
        done = _go(runtime, ("mod", "download"), scratch, {**variables, "GOPROXY": proxies}, _FETCH_S)
    if done.returncode == 0:
        return
    said = _first_lines(done.stderr, scratch)
    if _LEARNERS.search(done.stderr):
        raise BadSubmission(f"its modules cannot be had: {said}", file="go.mod", fix=_fix(runtime))
    raise InfraFault(
        f"Go modules cannot be fetched: {said}", fix="check that this machine reaches a Go module proxy"
    )


def _fix(runtime: GoRuntime) -> str:
    """What to try at home; the go command fetches that very toolchain itself."""
    return f"make `go mod tidy && go build ./...` succeed on your machine with GOTOOLCHAIN={runtime.version}"


def _described(runtime: GoRuntime, folder: Path, variables: Mapping[str, str]) -> dict[str, Any]:
    parsed = _go(runtime, ("mod", "edit", "-json"), folder, variables, _PARSE_S)
    if parsed.returncode != 0:
        raise BadSubmission(
            f"cannot be read: {_first_lines(parsed.stderr, folder)}", file="go.mod", fix=_fix(runtime)
        )
    described: dict[str, Any] = json.loads(parsed.stdout)
    return described


def _local_replacements(described: Mapping[str, Any]) -> Iterator[PurePosixPath]:
    """The folders of the submission that stand for modules, relative to its root."""
    for replacement in described.get("Replace") or ():
        new = replacement["New"]
        if new.get("Version"):
            continue
        written = PurePosixPath(new["Path"])
        parts: list[str] = []
        outside = written.is_absolute() or "\\" in new["Path"]
        for part in written.parts:
            if part == "..":
                outside = outside or not parts
                parts = parts[:-1]
            elif part != ".":
                parts.append(part)
        if outside:
            raise BadSubmission(
                f"replaces {quote(replacement['Old']['Path'])} by {quote(new['Path'])}, which is outside",
                file="go.mod",
                fix="copy that module into your submission, or require a published version of it",
            )
        yield PurePosixPath(*parts)


def _copy(submission: Path, scratch: Path, folder: PurePosixPath) -> None:
    root = submission.resolve()
    for name in ("go.mod", "go.sum"):
        source = submission / folder / name
        if source.is_file() and source.resolve().is_relative_to(root):
            target = scratch / folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)


def _without_direct(proxies: str) -> str:
    """The same proxies, less `direct`: that asks whatever host a go.mod names."""
    kept = [name for name in re.split(r"[,|]", proxies.strip()) if name not in ("", "direct")]
    return ",".join(kept) or "off"


def _go(
    runtime: GoRuntime,
    arguments: tuple[str, ...],
    folder: Path,
    variables: Mapping[str, str],
    timeout_s: float,
) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            [str(runtime.go), *arguments],
            cwd=folder,
            env=dict(variables),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InfraFault(f"go {' '.join(arguments)} did not end well: {error}") from error


def _first_lines(text: str, folder: Path) -> str:
    lines = [line.strip().replace(f"{folder}/", "") for line in text.splitlines()]
    kept = [line for line in lines if line and not line.startswith("go: downloading ")]
    return " / ".join(kept[:_LINES])[:600] or "it said nothing"
