"""A learner's program as a sandbox is asked for it, and one that runs once, to its end."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from graders.escapes import printed_text
from graders.evidence.recording import Recording
from graders.evidence.records import ProcessEvent
from graders.sandbox.protocol import ExitStatus, Limits, Mount, Sandbox, SandboxSpec
from graders.sandbox.relay import relayed
from graders.sandbox.runtime import Runtime
from graders.sandbox.supervision import SandboxedProcess


def sandbox_spec(
    submission: Path, runtime: Runtime, name: str, folder: Path, command: tuple[str, ...], limits: Limits
) -> SandboxSpec:
    """A command over the submission, with the learner runtime; `folder` is private to the harness."""
    beneath = runtime.beneath
    return SandboxSpec(
        submission=submission,
        command=command,
        folder=folder,
        venv=runtime.venv,
        python=runtime.python,
        base=runtime.base,
        name=name,
        limits=limits,
        mounts=(Mount(str(beneath), beneath),) if beneath else (),
    )


@contextlib.contextmanager
def ended(
    sandbox: Sandbox,
    spec: SandboxSpec,
    recording: Recording,
    timeout_s: float,
    doors: Mapping[str, tuple[str, int]] | None = None,
) -> Iterator[tuple[SandboxedProcess, ExitStatus]]:
    """Run a program until it ends, or for `timeout_s`; within the block its mounts can be collected.

    `doors` says for doors of `spec` to which server of the harness's, host and port, they lead. What it
    printed, its start and its end go on record under the name of `spec`.

    Raises:
        BadSubmission, InfraFault: as `Sandbox.start`.
    """
    clock = recording.clock

    def note(event: str, **data: object) -> None:
        recording.writer.add(ProcessEvent(clock.now(), spec.name, event, data))
        recording.changes.notify()

    with sandbox.start(spec) as process, contextlib.ExitStack() as leading:
        for door, server in (doors or {}).items():
            leading.enter_context(relayed(process.doors[door], server))
        note("started", pid=process.pid)
        status = process.wait(timeout_s)
        late = status is None
        status = status or process.stop()
        note(
            "stopped" if late else "exited", status=str(status), reason=status.reason.value, code=status.code
        )
        log = recording.writer.folder / "logs" / f"{spec.name}.log"
        log.write_text(printed_text(process.log_path.read_bytes()), encoding="utf-8")
        yield process, status
