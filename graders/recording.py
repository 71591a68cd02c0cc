"""Recording: clusters and sandbox start, the scenario acts, recorders witness; a bundle is left behind.

Nothing here judges: what this module imports is what a record depends on.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
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
from graders.scenario.spec import Run, Scenario
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


def record(request: RecordRequest, submission: Submission, folder: Path, progress: Progress) -> None:
    """Start everything, act, and leave a finished bundle at `request.bundle`; `folder` is for scratch.

    Raises:
        BadSubmission: the cluster refuses what was handed in. InfraFault: the harness failed.
    """
    lab, scenario = request.lab, scenario_of(request.lab.id)
    provider = provider_named(request.provider, request.options)
    sandbox = sandbox_named(request.sandbox)
    if problem := sandbox.problem():
        raise InfraFault(problem)
    if sandbox.caution:
        progress.say(f"warning: sandbox {sandbox.name!r} confines nothing: learner code runs as you")
    runtime = ensure_runtime(progress)
    wanted = request.tracks if request.tracks is not None else frozenset(scenario.TRACKS)
    seed = request.seed if request.seed is not None else random.SystemRandom().randrange(2**31)
    started = time.monotonic()
    with BundleWriter(request.bundle) as writer:
        recording = Recording(writer)
        audit = AuditRecorder(recording)
        spec = ClusterSpec(
            name=lab.id,
            nodes=tuple(NodeSpec(node.name, node.zone, node.resources) for node in lab.nodes),
            on_audit=audit,
            before_controllers=lambda kube: scenario.prepare(kube, submission),
            needs=lab.needs,
            claims=scenario.claims(submission),
        )

        @contextmanager
        def another(name: str, *, workers: int | None = None) -> Iterator[tuple[Cluster, AuditRecorder]]:
            its_audit = AuditRecorder(recording)
            its_spec = replace(spec, name=f"{lab.id}-{name}", on_audit=its_audit)
            if workers is not None:
                its_spec = replace(its_spec, nodes=(), workers=workers)
            with provider.provision(its_spec, progress) as one_more:
                yield one_more, its_audit

        with provider.provision(spec, progress) as cluster:
            check_needs(lab.needs, cluster.capabilities, provider.name)
            up = time.monotonic()
            limits, tool_limits = Limits(**vars(lab.operator_limits)), Limits(**vars(lab.tool_limits))
            recorded = scenario.record(
                Run(
                    submission, cluster, sandbox, runtime, limits, tool_limits, recording, audit, wanted,
                    folder, seed, lab.deadline_s, progress, another if cluster.guest is None else None,
                    provider.several, request.at, request.options.workers,
                )
            )  # fmt: skip
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
            timing={"cluster_start": round(up - started, 3), "scenario": round(acted - up, 3)},
            warnings=tuple(filter(None, [sandbox.caution, provider.caution])),
        )
        writer.close(manifest)
