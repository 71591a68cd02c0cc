"""Executes a notebook in a sandbox without network, and puts it on record as it is then."""

import tempfile
from dataclasses import replace
from pathlib import Path

from graders.faults import BadSubmission
from graders.notebooks.records import WITHIN_S, ExecutedNotebook
from graders.sandbox.protocol import MIB, Mount, Reason
from graders.sandbox.runtime import Runtime
from graders.scenario.learner import ended, sandbox_spec
from graders.scenario.spec import Run

_RUNNER = Path(__file__).with_name("notebookrunner.py")
_PROGRAM, _OUT = "/run/notebook/program", "/run/notebook/out"
_OUT_BYTES = 16 * MIB


def execute(run: Run, runtime: Runtime, file: str) -> None:
    """Execute a notebook at the top of a submission, and record what became of it."""
    folder = run.session.folder / "notebook"
    program = folder / "program"
    program.mkdir(parents=True)
    for path in (folder, program):
        path.chmod(0o755)
    (program / _RUNNER.name).write_bytes(_RUNNER.read_bytes())
    (program / _RUNNER.name).chmod(0o644)
    command = ("python", f"{_PROGRAM}/{_RUNNER.name}", file, f"{_OUT}/{file}")
    spec = sandbox_spec(
        run.submission.root, runtime, "notebook", folder / "sandbox", command, run.settings.tool_limits
    )
    mounts = (Mount(_PROGRAM, program), Mount(_OUT, writable=True, size_bytes=_OUT_BYTES))
    spec = replace(spec, mounts=(*spec.mounts, *mounts))
    text, began = "", run.recording.clock.now()
    with ended(run.sandbox, spec, run.recording, WITHIN_S) as (process, status):
        taken = Path(tempfile.mkdtemp(dir=folder)) / "out"
        try:
            process.collect(_OUT, taken, most_bytes=_OUT_BYTES)
            text = (taken / file).read_text(encoding="utf-8", errors="replace")
        except (BadSubmission, OSError):
            text = ""
        said = process.log_tail(5)
    ended_how = f"had not ended after {WITHIN_S:g} s" if status.reason is Reason.HARNESS else str(status)
    how = f"{ended_how}{f': {said[-400:]}' if said and status.code != 0 else ''}"
    run.recording.writer.add(ExecutedNotebook(began, status.code == 0, how, text))
