"""Recording: clusters and sandbox start, the scenario acts, recorders witness; a bundle is left behind.

Nothing here judges: what this module imports is what a record depends on.
"""

import random
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from graders.clusters.provider import NodeSpec, ProviderOptions
from graders.clusters.registry import provider_named
from graders.definition import lab_package
from graders.evidence.health import HarnessHealth
from graders.evidence.manifest import BundleManifest
from graders.evidence.recording import Recording
from graders.evidence.writing import BundleWriter
from graders.faults import InfraFault
from graders.labsettings import LabSettings
from graders.model import Cluster, Submission
from graders.progress import Progress
from graders.sandbox import Limits, sandbox_named
from graders.scenario.fleet import Fleet
from graders.scenario.spec import Recorded, Run, RunSettings, Scenario, Session
from graders.version import version


@dataclass(frozen=True, kw_only=True)
class RecordOptions:
    """How to record.

    `lab_options` are the lab's own options that were given; `hold` is called while the first cluster
    still runs.
    """

    provider: str = "embedded"
    options: ProviderOptions = field(default_factory=ProviderOptions)
    sandbox: str = "bubblewrap"
    seed: int | None = None
    lab_options: Mapping[str, int] = field(default_factory=dict)
    hold: Callable[[Cluster], None] | None = field(default=None, compare=False)


@dataclass(frozen=True)
class RecordRequest:
    """What to record, where it goes, and how; `tracks` None means all of them."""

    lab: LabSettings
    bundle: Path
    how: RecordOptions
    tracks: Collection[str] | None = None


def scenario_of(lab: str) -> Scenario:
    """The scenario of a lab."""
    return cast(Scenario, lab_package(lab).load("scenario"))


@dataclass
class Preparing:
    """Adds up the time in which things are fetched and built, in all attempts: it is not time of grading."""

    seconds: float = 0.0

    def __enter__(self) -> None:
        self._since = time.monotonic()

    def __exit__(self, *_: object) -> None:
        self.seconds += time.monotonic() - self._since


def record(
    request: RecordRequest, submission: Submission, folder: Path, progress: Progress, preparing: Preparing
) -> None:
    """Make everything ready, act, and leave a finished bundle at `request.bundle`.

    `folder` is for scratch; `preparing` takes the time that is none of grading.

    Raises:
        BadSubmission: what was handed in cannot be built, or a cluster refuses it.
        InfraFault: the harness failed.
    """
    lab, how, scenario = request.lab, request.how, scenario_of(request.lab.id)
    provider = provider_named(how.provider, how.options)
    sandbox = sandbox_named(how.sandbox)
    if problem := sandbox.problem():
        raise InfraFault(problem)
    if sandbox.caution:
        progress.say(f"warning: sandbox {sandbox.name!r} confines nothing: learner code runs as you")
    with ExitStack() as ready:
        writer = ready.enter_context(BundleWriter(request.bundle))
        recording = Recording(writer)
        seed = how.seed if how.seed is not None else random.SystemRandom().randrange(2**31)
        run = Run(
            lab=lab.id,
            submission=submission,
            fleet=Fleet(provider, recording, progress, how.hold),
            sandbox=sandbox,
            session=Session(recording, HarnessHealth(recording), folder, seed),
            selection=request.tracks if request.tracks is not None else frozenset(scenario.TRACKS),
            settings=_settings(lab),
            progress=progress,
            options=how.lab_options,
            workers=how.options.workers,
        )
        with preparing:
            acting = ready.enter_context(scenario.prepare(run))
        recording.begin()
        started = time.monotonic()
        with run.session.harness:
            recorded = acting()
        clusters_s = run.fleet.first_start_s
        timing = {
            "prepare": round(preparing.seconds, 3),
            "cluster_start": clusters_s,
            "scenario": round(time.monotonic() - started - clusters_s, 3),
        }
        cautions = filter(None, [sandbox.caution, provider.caution])
        writer.close(_manifest(request, run, recorded, timing, tuple(cautions)))


def _settings(lab: LabSettings) -> RunSettings:
    return RunSettings(
        limits=Limits(**vars(lab.program_limits)),
        tool_limits=Limits(**vars(lab.tool_limits)),
        deadline_s=lab.deadline_s,
        needs=lab.needs,
        nodes=tuple(NodeSpec(node.name, node.zone, node.resources) for node in lab.nodes),
    )


def _manifest(
    request: RecordRequest,
    run: Run,
    recorded: Recorded,
    timing: Mapping[str, float],
    warnings: tuple[str, ...],
) -> BundleManifest:
    recording, seed = run.recording, run.session.seed
    began = recording.clock.wall_start
    clusters = dict(recording.clusters)
    first = next(iter(clusters.values()), None)
    return BundleManifest(
        lab=run.lab,
        run_id=f"{run.lab}-{seed:08x}-{int(began)}",
        created_at=datetime.fromtimestamp(began, UTC).isoformat(timespec="seconds"),
        seed=seed,
        provider=request.how.provider,
        sandbox=run.sandbox.name,
        kubeproof_version=version(),
        submission={"learner_id": run.submission.learner_id, "digest": run.submission.digest},
        tracks=recorded.tracks,
        clusters=clusters,
        actors={**recording.actors, **recorded.actors},
        calibration=recorded.calibration,
        block=recorded.block,
        capabilities=first.capabilities if first is not None else (),
        timing=timing,
        warnings=warnings,
    )
