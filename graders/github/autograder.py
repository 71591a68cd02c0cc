"""Grades a submission where Classroom 50 runs it; `kubeproof classroom50 bundle` puts this file in a bundle.

It needs nothing but Python's standard library: it unpacks kubeproof, which lies beside it, has it installed,
grades the checkout it is started in, and leaves result.json there. It ends with 0 when there is a result;
with anything else Classroom 50 shows an error, and no score.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
SETTINGS, SOURCE = "kubeproof.json", "kubeproof.tar.gz"
RESULT, BODY = "result.json", "release-body.md"


def main() -> int:
    """Grade the checkout in the working directory; gives the exit code."""
    checkout = Path.cwd()
    # Whoever hands in may have put one there: it says nothing.
    for name in (RESULT, BODY):
        _remove(checkout / name)
    settings = json.loads((HERE / SETTINGS).read_text(encoding="utf-8"))
    place = Path(tempfile.mkdtemp(prefix="kubeproof-", dir=os.environ.get("RUNNER_TEMP") or None))
    source = _unpacked(HERE / SOURCE, str(settings["sha256"]), place / "source")
    install: tuple[list[str | Path], ...] = (
        ["sh", source / "scripts" / "prepare-runner.sh", settings["lab"], source / settings["course"]],
        ["make", f"--directory={source}", "--no-print-directory", "setup", f"args={settings['lab']}"],
    )
    for command in install:
        if subprocess.run(command, check=False, env={**os.environ, **_course(settings, source)}).returncode:
            print("::error title=kubeproof::it could not be installed; this is no zero", flush=True)
            return 3
    out = place / "out"
    _grade(settings, source, checkout, out)
    # The commands below read files of ours alone; they may know what the runner says of the submission.
    kubeproof = source / ".venv" / "bin" / "kubeproof"
    environment = {**os.environ, **_course(settings, source)}
    write = [kubeproof, "classroom50", "result", out, "--lab", settings["lab"], "--to", checkout / RESULT]
    code = subprocess.run(write, check=False, env=environment).returncode
    summary = out / "summary.md"
    if code == 0 and summary.is_file():
        shutil.copyfile(summary, checkout / BODY)
    return code


def _grade(settings: Mapping[str, Any], source: Path, checkout: Path, out: Path) -> None:
    """Run learner code, with nothing of this environment but what is named, so with no token of the job's."""
    kept = {name: os.environ[name] for name in ("HOME", "PATH") if name in os.environ}
    environment = {**kept, "LANG": "C.UTF-8", **_course(settings, source)}
    learner = os.environ.get("OWNER") or os.environ.get("USERNAME") or ""
    options = ["--out", out, "--provider", settings["provider"], "--learner", learner]
    program = source / ".venv" / "bin" / "kubeproof"
    command = [program, "grade", *options, "--", settings["lab"], settings["submission"]]
    # What a learner wrote may look like a command to the runner; it takes none until it hears this word.
    word = secrets.token_hex(16)
    print(f"::stop-commands::{word}", flush=True)
    subprocess.run(command, check=False, cwd=checkout, env=environment, stdin=subprocess.DEVNULL)
    print(f"::{word}::", flush=True)


def _course(settings: Mapping[str, Any], source: Path) -> dict[str, str]:
    return {"KUBEPROOF_COURSE": str(source / settings["course"])} if settings["course"] else {}


def _unpacked(archive: Path, sha256: str, folder: Path) -> Path:
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != sha256:
        raise SystemExit(f"kubeproof: {archive.name} is not the one that was bundled: make the bundle anew")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    return folder


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main())
