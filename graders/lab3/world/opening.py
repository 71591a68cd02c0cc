"""Opens a lane: the workload is brought up, watched, written to and backed up."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from graders.lab3.names import LEDGER_SALT, NEIGHBOUR, SERVING
from graders.lab3.records import LedgerKey
from graders.lab3.world.backups import Backups, BackupSchedule
from graders.lab3.world.lane import Lane
from graders.lab3.world.ledger import LedgerRefused
from graders.lab3.world.prober import Prober
from graders.lab3.world.scripts import Scripts
from graders.lab3.world.setting import LaneSetting, WorkloadMissing
from graders.lab3.world.workload import apply_workload
from graders.recovery.seals import SECRET_BYTES, run_key


@contextmanager
def open_lane(setting: LaneSetting) -> Iterator[Lane]:
    """Bring the workload up, and watch and write to it while the block runs.

    Raises:
        WorkloadMissing: it does not come up; says why. InfraFault: the cluster does not answer.
    """
    recording, live, scale = setting.recording, setting.live, setting.scale
    setting.task.update(detail="bringing up the workload")
    secret, run_id = secrets.token_bytes(SECRET_BYTES), f"{live.name}-{secrets.token_hex(8)}"
    recording.writer.add(LedgerKey(recording.clock.now(), secret.hex(), run_id, live.name))

    def key_of(ledger: str) -> bytes:
        return run_key(LEDGER_SALT, secret, run_id, ledger)

    with ExitStack() as running:
        ledgers = running.enter_context(ExitStack())
        problem = apply_workload(live.kube, setting.manifests, scale)
        try:
            ledger = None if problem else ledgers.enter_context(setting.new_ledger(SERVING, key_of(SERVING)))
        except LedgerRefused as refused:
            ledger, problem = None, f"beside it nobody else can write: {refused.problem}"
        recording.mark(setting.track, "workload", problem=problem, scale=scale, cluster=live.name)
        if ledger is None:
            raise WorkloadMissing(problem)
        replicas = _replicas(setting)
        backups = Backups(setting.folder / f"backups-{live.name}")
        backups.folder.mkdir(parents=True)
        backups.folder.chmod(0o755)
        scripts = Scripts(setting.kit, recording, live.cluster, setting.control)
        prober = running.enter_context(
            Prober(recording, live.kube, live.name, replicas=replicas, scale=scale)
        )
        schedule = running.enter_context(
            BackupSchedule(scripts, recording, setting.wanted.dr, backups, scale)
        )
        neighbour = None
        if setting.with_neighbour:
            live.kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NEIGHBOUR}})
            neighbour = running.enter_context(setting.new_ledger(NEIGHBOUR, key_of(NEIGHBOUR), NEIGHBOUR))
        yield Lane(setting, prober, scripts, schedule, ledger, ledgers, key_of, neighbour)


def _replicas(setting: LaneSetting) -> int:
    deployment = next(
        each.data for each in setting.manifests if (each.kind, each.name) == ("Deployment", "predictor")
    )
    return int(deployment["spec"].get("replicas", 1))
