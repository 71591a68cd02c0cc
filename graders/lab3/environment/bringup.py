"""Brings a lane up: the workload runs, and is watched, written to and backed up."""

import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from graders.lab3.environment.context import LaneContext
from graders.lab3.environment.lane import Lane
from graders.lab3.environment.workload import apply_workload
from graders.lab3.names import CANARIES, LEDGER_SALT, NEIGHBOUR, PREDICTOR, PROBE_LABEL, SERVING
from graders.recovery.records import LedgerKey
from graders.recovery.seals import SECRET_BYTES, run_key
from graders.runbooks.schedule import BackupSchedule
from graders.runbooks.scripts import Scripts
from graders.runbooks.sealed import SealedBackups
from graders.scenario.lanes import NothingToShow
from graders.scenario.recordledger import LedgerRefused
from graders.scenario.steadystate import ProbedWorkload, SteadyStateProber


@contextmanager
def bring_up(context: LaneContext) -> Iterator[Lane]:
    """Bring the workload up, and watch and write to it while the block runs.

    Raises:
        NothingToShow: it does not come up; says why. InfraFault: the cluster does not answer.
    """
    recording, live, scale = context.recording, context.live, context.scale
    context.task.update(detail="bringing up the workload")
    secret, run_id = secrets.token_bytes(SECRET_BYTES), f"{live.name}-{secrets.token_hex(8)}"
    recording.writer.add(LedgerKey(recording.clock.now(), secret.hex(), run_id, live.name))

    def key_of(ledger: str) -> bytes:
        return run_key(LEDGER_SALT, secret, run_id, ledger)

    with ExitStack() as running:
        ledgers = running.enter_context(ExitStack())
        problem = apply_workload(live.kube, context.manifests, scale)
        try:
            ledger = None if problem else ledgers.enter_context(context.new_ledger(SERVING, key_of(SERVING)))
        except LedgerRefused as refused:
            ledger, problem = None, f"beside it nobody else can write: {refused.problem}"
        recording.mark(context.track, "workload", problem=problem, scale=scale, cluster=live.name)
        if ledger is None:
            raise NothingToShow(problem)
        workload = ProbedWorkload(SERVING, PREDICTOR, _replicas(context), CANARIES, PROBE_LABEL)
        backups = SealedBackups(context.folder / f"backups-{live.name}")
        backups.folder.mkdir(parents=True)
        backups.folder.chmod(0o755)
        recovery = context.wanted.dr
        scripts = Scripts(context.environment, recording, live.cluster, context.control)
        prober = running.enter_context(SteadyStateProber(recording, live.kube, live.name, workload, scale))
        schedule = running.enter_context(
            BackupSchedule(scripts, recording, recovery.backup, recovery.every_s, backups, scale)
        )
        neighbour = None
        if context.with_neighbour:
            live.kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NEIGHBOUR}})
            neighbour = running.enter_context(context.new_ledger(NEIGHBOUR, key_of(NEIGHBOUR), NEIGHBOUR))
        yield Lane(context, prober, scripts, schedule, ledger, ledgers, key_of, neighbour)


def _replicas(context: LaneContext) -> int:
    deployment = next(
        each.data for each in context.manifests if (each.kind, each.name) == ("Deployment", PREDICTOR)
    )
    return int(deployment["spec"].get("replicas", 1))
