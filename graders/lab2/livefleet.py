"""The fleet while it lives: its clusters, its engine, what judges and who promotes, and its tracks."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from graders.admission.engines import engines_named, policy_controllers
from graders.admission.kinds import PolicyKind
from graders.admission.latewatches import LateWatches
from graders.evidence.manifest import TrackResult
from graders.faults import BadSubmission, InfraFault
from graders.lab2 import manifests
from graders.lab2.engines import EngineSpec, GitOpsEngine
from graders.lab2.fleet import cluster_specs, furnish_hub, furnish_spoke
from graders.lab2.layout import POLICIES
from graders.lab2.names import (
    ENVIRONMENTS,
    NAMESPACE,
)
from graders.lab2.prepared import PreparedRun
from graders.lab2.promoter import Promoter, PromotionCommand
from graders.lab2.readiness import Readiness
from graders.lab2.releasemanager import ReleaseManager
from graders.lab2.schedule import run_schedule
from graders.lab2.sealing import SEALING_KEY
from graders.lab2.stage import Stage
from graders.scenario.calibration import calibrate
from graders.scenario.fleet import LiveCluster
from graders.services.unsealer import Unsealer, read_private
from graders.submissions.rendering import Rendered, render

_KEPT_LOG_BYTES = 4 * 1024 * 1024


def run_fleet(
    prepared: PreparedRun,
    manager: ReleaseManager,
    checkout: Path,
    declared: Mapping[str, Rendered],
    kinds: tuple[PolicyKind, ...],
) -> tuple[float, dict[str, TrackResult]]:
    """Start the fleet and run the chosen tracks; gives how slow the machine was, and how each track went.

    Raises:
        BadSubmission: what was handed in does not make a fleet. InfraFault: something of ours failed.
    """
    run, owner = prepared.run, prepared.owner
    block = run.submission.manifest
    engines, stages = engines_named(block.policy_engines), owner.path / "stages.yaml"
    specs = cluster_specs(run.settings.nodes, stages, prepared.setup, engines, run.progress)
    access = manifests.access_objects(checkout)
    hub_objects = _hub_objects(prepared, checkout)
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
        private = read_private(SEALING_KEY.read_bytes())
        for spoke in spokes.values():
            running.enter_context(Unsealer(spoke.kube, private, NAMESPACE))
        readiness = running.enter_context(Readiness(spokes, run.recording))
        promoter = _promoter(prepared, manager, spokes, engine, scale)
        if promoter is not None:
            running.enter_context(promoter)
        stage = Stage(
            hub=hub, spokes=spokes, setup=prepared.setup, engine=engine, manager=manager,
            readiness=readiness, manifest=block, values=prepared.values, hub_objects=tuple(hub_objects),
            declared={name: declared.get(name, Rendered()).objects for name in (*ENVIRONMENTS, POLICIES)},
            scale=scale, recording=run.recording, renderer=prepared.renderer,
            sops=prepared.tools.get("sops"), gitleaks=prepared.tools.get("gitleaks"), kinds=kinds,
            controllers=controllers, promoter=promoter,
        )  # fmt: skip
        try:
            results = run_schedule(stage, run.selection, run.recording, run.progress)
            # What died unseen may have kept silent where something had to come.
            stage.check_services()
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
    command = PromotionCommand(block.command, room, run.settings.limits, timeout_s, prepared.values.registry)
    folder = run.session.folder / "promotion"
    promoter = Promoter(command, prepared.server, manager, spokes, folder, run.recording)
    promoter.on_push = engine.tell
    return promoter


def _hub_objects(prepared: PreparedRun, checkout: Path) -> list[dict[str, object]]:
    engine = prepared.run.submission.manifest.engine
    if manifests.hub_kustomization(checkout) is None:
        return manifests.hub_objects(checkout, engine)
    out = render(prepared.renderer, checkout, manifests.HUB_FOLDER)
    if out.error:
        raise BadSubmission(f"kustomize refuses it: {out.error}", file=manifests.HUB_FOLDER, fix="mend it")
    for each in out.objects:
        manifests.check_hub_object(each, engine)
    return [dict(each) for each in out.objects]


def _keep_logs(folder: Path, bundle: Path) -> None:
    for log in sorted(folder.glob("*.log")):
        data = log.read_bytes()[-_KEPT_LOG_BYTES:]
        target = bundle / "logs" / log.name
        target.write_text(data.decode("utf-8", "replace"), encoding="utf-8")
