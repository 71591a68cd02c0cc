"""Chaos Toolkit in a sandbox, as the experiments' ServiceAccount, with the API server as its only way out."""

import json
import signal
import tempfile
import threading
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

from graders.chaos.account import API_DOOR
from graders.chaos.records import ExperimentRun
from graders.chaos.session import ChaosSession
from graders.chaos.spec import ChaosExperiment, RunMode
from graders.documents import load_document
from graders.escapes import printed_text
from graders.faults import BadSubmission
from graders.kube.addresses import server_address
from graders.sandbox.protocol import MIB, Mount, View
from graders.sandbox.relay import relayed
from graders.sandbox.supervision import SandboxedProcess
from graders.scenario.learner import sandbox_spec

_JOURNALS, _EMPTY = "/run/chaos/journals", "/run/chaos/empty"
_JOURNAL_BYTES = 16 * MIB
_PAUSING = "Pausing after activity"
_LOOK_EVERY_S = 0.05


class ToolkitRunner:
    """Runs experiments of Chaos Toolkit against one cluster."""

    def __init__(self, session: ChaosSession) -> None:
        self._session = session
        self._given, self._account = session.environment, session.account
        self._clock = session.recording.clock
        self._numbers = count(1)
        self._scratch = session.scratch("chaos")

    def run(self, experiment: ChaosExperiment, mode: RunMode, timeout_s: float) -> ExperimentRun:
        """Run an experiment to its end, or for `timeout_s`; what became of it is on record."""
        name = f"chaos-{experiment.id}-{next(self._numbers)}"
        clock, environment = self._clock, self._given
        file, mounts = experiment.file, [Mount(_JOURNALS, writable=True, size_bytes=_JOURNAL_BYTES)]
        if mode.bare:
            file = f"{_EMPTY}/experiment.json"
            mounts.append(Mount(_EMPTY, self._bare(experiment)))
        settings = ("--settings", environment.settings) if environment.settings else ()
        command = (
            "chaos", "--no-version-check", "--no-log-file", *settings,
            "run", "--journal-path", f"{_JOURNALS}/journal.json", *_options(mode), file,
        )  # fmt: skip
        spec = sandbox_spec(
            environment.submission, environment.toolkit, name, self._scratch, command, environment.limits
        )
        spec = replace(
            spec,
            environment=self._environment,
            files=self._account.files,
            doors=(API_DOOR,),
            mounts=(*spec.mounts, *mounts),
        )
        t = clock.now()
        aborted: list[float] = []
        with environment.sandbox.start(spec) as process:
            with relayed(process.doors[API_DOOR], server_address(self._account.server)):
                if mode.first_write is not None:
                    watching = threading.Thread(
                        target=self._abort, args=(process, mode.first_write, aborted), daemon=True
                    )
                    watching.start()
                status = process.wait(timeout_s)
                stopped = status is None
                status = status or process.stop()
            t_end = clock.now()
            said = printed_text(process.log_path.read_bytes())
            journal = self._journal(process)
        run = ExperimentRun(
            t=t,
            t_end=t_end,
            experiment=experiment.id,
            purpose=mode.purpose,
            code=None if stopped else status.code,
            how=f"was stopped after {t_end - t:.1f} s" if stopped else str(status),
            journal=journal,
            aborted=aborted[0] if aborted else None,
            said=said,
        )
        return self._session.keep(name, run)

    def _abort(
        self, process: SandboxedProcess, written: Callable[[], float | None], aborted: list[float]
    ) -> None:
        """SIGTERM, once, half a second into the first pause that begins after the first write."""
        waiting, clock = threading.Event(), self._clock
        pauses: list[float] = []
        first: float | None = None
        while process.exit is None:
            begun = process.log_tail(400).count(_PAUSING)
            pauses += [clock.now()] * (begun - len(pauses))
            first = first if first is not None else written()
            if first is not None and any(t > first for t in pauses):
                waiting.wait(0.5)
                aborted.append(clock.now())
                process.signal(signal.SIGTERM)
                return
            waiting.wait(_LOOK_EVERY_S)

    def _bare(self, experiment: ChaosExperiment) -> Path:
        """A folder with the experiment without all that it does."""
        whole = _whole(self._given.submission, experiment)
        folder = Path(tempfile.mkdtemp(dir=self._scratch))
        folder.chmod(0o755)
        file = folder / "experiment.json"
        file.write_text(json.dumps({**whole, "method": [], "rollbacks": []}), encoding="utf-8")
        file.chmod(0o644)
        return folder

    def _journal(self, process: SandboxedProcess) -> str:
        folder = Path(tempfile.mkdtemp(dir=self._scratch)) / "journals"
        try:
            process.collect(_JOURNALS, folder, most_bytes=_JOURNAL_BYTES)
            return (folder / "journal.json").read_text(encoding="utf-8", errors="replace")
        except (BadSubmission, OSError):
            return ""

    def _environment(self, view: View) -> dict[str, str]:
        within = self._given.pythonpath
        paths = {"PYTHONPATH": f"{view.submission}/{within}"} if within else {}
        return {"KUBECONFIG": f"{view.files}/kubeconfig", **paths}


def expect_toolkit(root: Path, experiment: ChaosExperiment) -> None:
    """See that an experiment can be run.

    Raises:
        BadSubmission: it cannot; says why.
    """
    whole = _whole(root, experiment)
    if not isinstance(whole, dict) or not whole.get("steady-state-hypothesis"):
        raise BadSubmission(
            "has no steady-state-hypothesis",
            file=experiment.file,
            line=1,
            fix="add one: what it does not ask for, nobody notices",
        )


def _options(mode: RunMode) -> tuple[str, ...]:
    """Of `chaos run`."""
    dry = ("--dry", "actions") if mode.dry else ()
    return (*dry, *(("--hypothesis-strategy", "continuously") if mode.continuous else ()))


def _whole(root: Path, experiment: ChaosExperiment) -> Any:
    """What an experiment's file holds, read as strictly as all that was handed in.

    Raises:
        BadSubmission: it is not one document, or costs more to read than it may.
    """
    return load_document(root / experiment.file, shown_as=experiment.file).data
