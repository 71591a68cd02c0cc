"""What all runs of experiments against one cluster share, and how a run is put on record."""

from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from graders.chaos.account import ChaosAccount
from graders.chaos.records import ExperimentRun
from graders.chaos.spec import ChaosEnvironment
from graders.evidence.recording import Recording

_SAID_CHARS = 2000


@dataclass(frozen=True)
class ChaosSession:
    """Experiments against `cluster`, as `account`; `scale` stretches times, `dice` chooses among pods."""

    environment: ChaosEnvironment
    recording: Recording
    account: ChaosAccount
    cluster: str
    dice: Random
    scale: float

    def scratch(self, kind: str) -> Path:
        """A new folder for what runs of a kind leave, private to the harness."""
        folder = self.environment.folder / f"{kind}-{self.cluster}"
        folder.mkdir(parents=True)
        return folder

    def keep(self, name: str, run: ExperimentRun) -> ExperimentRun:
        """Put a run on record, and what it printed as a log; gives the record, with the end of that."""
        log = self.recording.writer.folder / "logs" / f"{name}.log"
        log.write_text(run.said, encoding="utf-8")
        kept = replace(run, said=run.said[-_SAID_CHARS:], cluster=self.cluster)
        self.recording.writer.add(kept)
        return kept
