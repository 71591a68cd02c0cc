"""Starts the fleet, its engine, what judges and who promotes, and runs its tracks."""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from graders.admission.engines import engines_named, policy_controllers
from graders.admission.kinds import PolicyKind
from graders.admission.latewatches import LateWatches
from graders.evidence.manifest import TrackResult
from graders.faults import InfraFault
from graders.gitops.promoter import Promoter, PromotionCommand
from graders.gitops.releasemanager import ReleaseManager
from graders.gitops.rights import access_objects
from graders.gitops.seam import EngineSpec, GitOpsEngine
from graders.lab2.engines import SHAPE, TOKEN
from graders.lab2.fleet import cluster_specs, furnish_hub, furnish_spoke
from graders.lab2.images import BROKEN, digest_of
from graders.lab2.layout import POLICIES
from graders.lab2.livefleet import LiveFleet
from graders.lab2.names import (
    ENVIRONMENTS,
    NAMESPACE,
    READY_AFTER_S,
    WEB,
)
from graders.lab2.prepared import PreparedRun
from graders.lab2.schedule import run_schedule
from graders.scenario.calibration import calibrate
from graders.scenario.fleet import LiveCluster
from graders.scenario.podreadiness import HeldWorkload, Readiness
from graders.services.unsealer import Unsealer, read_private
from graders.submissions.rendering import Rendered

_HELD = HeldWorkload(NAMESPACE, WEB, READY_AFTER_S, digest_of(BROKEN))
_KEPT_LOG_BYTES = 4 * 1024 * 1024


def run_fleet(
    prepared: PreparedRun,
    manager: ReleaseManager,
    checkout: Path,
    declared: Mapping[str, Rendered],
    kinds: tuple[PolicyKind, ...],
    for_the_hub: tuple[Mapping[str, Any], ...],
) -> tuple[float, dict[str, TrackResult]]:
    """Start the fleet and run the chosen tracks; gives how slow the machine was, and how each track went.

    Raises:
        BadSubmission: what was handed in does not make a fleet. InfraFault: something of ours failed.
    """
    run, owner = prepared.run, prepared.owner
    block = run.submission.manifest
    engines, stages = engines_named(block.policy_engines), owner.path / "stages.yaml"
    specs = cluster_specs(run.settings, stages, prepared.setup, engines)
    access = access_objects(checkout, SHAPE)
    with ExitStack() as running:
        hub, *others = running.enter_context(run.fleet.start(*specs.values()))
        spokes = dict(zip(ENVIRONMENTS, others, strict=True))
        scale = calibrate(spokes["dev"].kube, "default")
        for environment, live in spokes.items():
            furnish_spoke(live, access[environment], kinds, checkout)
        furnish_hub(hub, prepared.setup, list(spokes.values()), checkout)
        controllers = running.enter_context(
            policy_controllers(prepared.policy_programs, spokes, owner, run.progress)
        )
        running.enter_context(LateWatches(spokes, kinds))
        folder, url = owner.path / "engine", prepared.values.git_url
        spec = EngineSpec(owner, folder, hub, prepared.program, prepared.renderer, url)
        engine = running.enter_context(prepared.setup.running(spec))
        with run.progress.task(f"starting {prepared.setup.title}"):
            engine.start()
        private = read_private(TOKEN.sealing_key.read_bytes())
        for spoke in spokes.values():
            running.enter_context(Unsealer(spoke.kube, private, NAMESPACE))
        readiness = running.enter_context(Readiness(_HELD, spokes, run.recording))
        promoter = _promoter(prepared, manager, spokes, engine, scale)
        if promoter is not None:
            running.enter_context(promoter)
        fleet = LiveFleet(
            hub=hub, spokes=spokes, setup=prepared.setup, engine=engine, manager=manager,
            readiness=readiness, manifest=block, values=prepared.values, hub_objects=for_the_hub,
            declared={name: declared.get(name, Rendered()).objects for name in (*ENVIRONMENTS, POLICIES)},
            scale=scale, recording=run.recording, renderer=prepared.renderer,
            sops=prepared.tools.get("sops"), gitleaks=prepared.tools.get("gitleaks"), kinds=kinds,
            controllers=controllers, promoter=promoter,
        )  # fmt: skip
        try:
            results = run_schedule(fleet, run.selection, run.recording, run.progress)
            # What died unseen may have kept silent where something had to come.
            fleet.check_services()
            if promoter is not None and promoter.problem:
                raise InfraFault(promoter.problem)
            return scale, results
        finally:
            for each in (folder, *owner.path.glob("policies-*")):
                _keep_logs(each, run.recording.writer.folder)


def _promoter(
    prepared: PreparedRun,
    manager: ReleaseManager,
    spokes: Mapping[str, LiveCluster],
    engine: GitOpsEngine,
    scale: float,
) -> Promoter | None:
    """The learner's promotion command, not begun; None where the engine promotes."""
    run, block = prepared.run, prepared.run.submission.manifest
    room = prepared.tool_room
    if not block.command or room is None:
        return None
    timeout_s = block.promises.timeout_s * scale
    command = PromotionCommand(
        block.command, room, run.settings.limits, timeout_s, prepared.values.registry, NAMESPACE, WEB
    )
    folder = run.session.folder / "promotion"
    promoter = Promoter(command, prepared.server, manager, spokes, folder, run.recording)
    promoter.on_push = engine.tell
    return promoter


def _keep_logs(folder: Path, bundle: Path) -> None:
    for log in sorted(folder.glob("*.log")):
        data = log.read_bytes()[-_KEPT_LOG_BYTES:]
        target = bundle / "logs" / log.name
        target.write_text(data.decode("utf-8", "replace"), encoding="utf-8")
