"""Recording: clusters and sandbox start, the scenario acts, recorders witness; a bundle is left behind.

Nothing here judges: what this module imports is what a record depends on.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import cast

from graders.clusters.provider import ClusterSpec, NodeSpec, ProviderOptions, check_needs
from graders.clusters.registry import provider_named
from graders.course.files import LabSettings
from graders.evidence.bundle import BundleManifest, BundleWriter
from graders.evidence.recorders import AuditRecorder, Recording
from graders.faults import InfraFault
from graders.model import Cluster, Submission
from graders.progress import Progress
from graders.sandbox import Limits, sandbox_named
from graders.sandbox.runtime import ensure_runtime
from graders.scenario.spec import Plan, Run, Scenario
from graders.version import version


@dataclass(frozen=True)
class RecordRequest:
    """What to record, and how.

    `tracks` None means all of them. `at` picks one disturbance of a series. `bundle` is where the record
    goes; `hold` is called while the cluster still runs.
    """

    lab: LabSettings
    bundle: Path
    provider: str
    options: ProviderOptions
    sandbox: str
    tracks: Collection[str] | None = None
    seed: int | None = None
    at: int | None = None
    hold: Callable[[Cluster], None] | None = field(default=None, compare=False)


def scenario_of(lab: str) -> Scenario:
    """The scenario module of a lab."""
    return cast(Scenario, import_module(f"graders.{lab}.scenario"))


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
    """Make everything ready, start it, act, and leave a finished bundle at `request.bundle`.

    `folder` is for scratch; `preparing` takes the time that is none of grading.

    Raises:
        BadSubmission: what was handed in cannot be built, or the cluster refuses it.
        InfraFault: the harness failed.
    """
    lab, scenario = request.lab, scenario_of(request.lab.id)
    provider = provider_named(request.provider, request.options)
    sandbox = sandbox_named(request.sandbox)
    if problem := sandbox.problem():
        raise InfraFault(problem)
    if sandbox.caution:
        progress.say(f"warning: sandbox {sandbox.name!r} confines nothing: learner code runs as you")
    wanted = request.tracks if request.tracks is not None else frozenset(scenario.TRACKS)
    seed = request.seed if request.seed is not None else random.SystemRandom().randrange(2**31)
    spec = ClusterSpec(
        name=lab.id,
        nodes=tuple(NodeSpec(node.name, node.zone, node.resources) for node in lab.nodes),
        before_controllers=lambda kube: scenario.install_early(kube, submission),
        needs=lab.needs,
        claims=scenario.claims(submission),
    )
    with ExitStack() as ready:
        with preparing:
            engine = ready.enter_context(provider.ready(spec, progress))
            plan = Plan(
                submission=submission,
                sandbox=sandbox,
                runtime=ensure_runtime(progress),
                limits=Limits(**vars(lab.operator_limits)),
                tool_limits=Limits(**vars(lab.tool_limits)),
                tracks=wanted,
                folder=folder,
                seed=seed,
                deadline_s=lab.deadline_s,
                progress=progress,
                engine=engine,
                several=provider.several,
                at=request.at,
                workers=request.options.workers,
            )
            acting = ready.enter_context(scenario.prepare(plan))
        started = time.monotonic()
        writer = ready.enter_context(BundleWriter(request.bundle))
        recording = Recording(writer)

        @contextmanager
        def another(name: str, *, workers: int | None = None) -> Iterator[tuple[Cluster, AuditRecorder]]:
            its_audit = AuditRecorder(recording)
            its_spec = replace(spec, name=f"{lab.id}-{name}", on_audit=its_audit)
            if workers is not None:
                its_spec = replace(its_spec, nodes=(), workers=workers)
            with provider.provision(its_spec, progress) as one_more:
                yield one_more, its_audit

        audit = AuditRecorder(recording)
        with provider.provision(replace(spec, on_audit=audit), progress) as cluster:
            check_needs(lab.needs, cluster.capabilities, provider.name)
            up = time.monotonic()
            more = another if cluster.guest is None else None
            recorded = acting(Run.of(plan, cluster, recording, audit, more))
            acted = time.monotonic()
            if request.hold is not None:
                request.hold(cluster)
        manifest = BundleManifest(
            lab=lab.id,
            run_id=f"{lab.id}-{seed:08x}-{int(recording.clock.wall_start)}",
            created_at=datetime.fromtimestamp(recording.clock.wall_start, UTC).isoformat(timespec="seconds"),
            seed=seed,
            provider=request.provider,
            capabilities=tuple(sorted(cluster.capabilities)),
            sandbox=sandbox.name,
            kubernetes_version=cluster.version,
            kubeproof_version=version(),
            scale=recorded.scale,
            deadline_s=recorded.deadline_s,
            operator=recorded.operator,
            submission={
                "learner_id": submission.learner_id,
                "digest": submission.digest,
                **recorded.submission,
            },
            tracks=recorded.tracks,
            timing={
                "prepare": round(preparing.seconds, 3),
                "cluster_start": round(up - started, 3),
                "scenario": round(acted - up, 3),
            },
            warnings=tuple(filter(None, [sandbox.caution, provider.caution])),
        )
        writer.close(manifest)
