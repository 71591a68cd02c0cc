"""Grading, from a submission to a report: the straight line through everything else.

submission ─▶ cluster + sandbox ─▶ scenario acts, recorders witness ─▶ bundle ─▶ checks ─▶ rubric ─▶ report
"""

from __future__ import annotations

import random
import shutil
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import cast

from graders.clusters.provider import ClusterSpec, NodeSpec, ProviderOptions, check_needs
from graders.clusters.registry import provider_named
from graders.course import Lab
from graders.evidence.bundle import BundleManifest, BundleWriter
from graders.evidence.recorders import AuditRecorder, Recording
from graders.faults import BadSubmission, CourseError, InfraFault, UsageError
from graders.judgement import judge_bundle, timed, version
from graders.judging import tracks_for
from graders.model import Cluster, Fault, GradeReport, Outcome, Status, Submission, Verdict
from graders.ownership import OwnedFolder, sweep
from graders.progress import Progress
from graders.sandbox import Limits, sandbox_named
from graders.sandbox.runtime import ensure_runtime
from graders.scenario.spec import Run, Scenario
from graders.submissions import load_submission

ATTEMPTS = 2
"""A fault of infrastructure gets one more try, on a fresh cluster."""


@dataclass(frozen=True)
class GradeRequest:
    """What to grade, and how.

    `at` picks one disturbance of a series. `out` takes the bundle; `hold` is called while the cluster
    still runs.
    """

    lab: Lab
    submission: Path
    out: Path
    provider: str = "embedded"
    options: ProviderOptions = field(default_factory=ProviderOptions)
    sandbox: str = "bubblewrap"
    only: tuple[str, ...] = ()
    seed: int | None = None
    at: int | None = None
    learner_id: str = ""
    hold: Callable[[Cluster], None] | None = field(default=None, compare=False)


def grade(request: GradeRequest, progress: Progress) -> GradeReport:
    """Record, judge and score one submission; every ending but Ctrl-C and a course error is a report.

    Raises:
        UsageError: the request cannot be meant. CourseError: the course contradicts itself.
    """
    sweep(progress.say)
    started = time.monotonic()
    try:
        with _replaced(request.out / "bundle"), OwnedFolder("grade", request.lab.id) as scratch:
            submission = load_submission(
                request.submission,
                lab=request.lab.id,
                block=scenario_of(request.lab).BLOCK,
                learner_id=request.learner_id,
                scratch=scratch.path,
            )
            scenario_of(request.lab).examine(submission)
            for attempt in range(1, ATTEMPTS + 1):
                report = _attempt(request, submission, scratch.path / f"attempt-{attempt}", progress)
                if report.verdict is not Verdict.UNGRADED or report.problem.startswith("grader:"):
                    break
                if attempt < ATTEMPTS:
                    progress.say(f"{report.problem}\ntrying once more on a fresh cluster")
    except BadSubmission as error:
        report = ended(request, Verdict.REJECTED, str(error))
    except (UsageError, CourseError):
        raise
    except InfraFault as error:
        report = ended(request, Verdict.UNGRADED, str(error))
    except Exception as error:  # the one place that turns a bug of ours into "not graded"
        detail = Outcome("grading", status=Status.ERROR, fault=Fault.GRADER, detail=traceback.format_exc())
        report = ended(request, Verdict.UNGRADED, f"grader: {error!r}", outcomes=(detail,))
    return timed(report, total=time.monotonic() - started)


@contextmanager
def _replaced(bundle: Path) -> Iterator[None]:
    """Have the bundle of an earlier grading out of the way.

    It comes back when the request cannot be meant: then its report stays, too. In all other cases it goes.
    """
    earlier = bundle.with_name(".bundle-before")
    shutil.rmtree(earlier, ignore_errors=True)
    if bundle.exists():
        bundle.rename(earlier)
    try:
        yield
    except (UsageError, CourseError):
        if earlier.exists():
            shutil.rmtree(bundle, ignore_errors=True)
            earlier.rename(bundle)
        raise
    finally:
        shutil.rmtree(earlier, ignore_errors=True)


def scenario_of(lab: Lab) -> Scenario:
    """The scenario module of a lab."""
    return cast(Scenario, import_module(f"graders.{lab.id}.scenario"))


def ended(
    request: GradeRequest, verdict: Verdict, problem: str, outcomes: tuple[Outcome, ...] = ()
) -> GradeReport:
    """The report of a grading that came to no bundle."""
    provenance = {"provider": request.provider, "sandbox": request.sandbox, "kubeproof": version()}
    submission = {"learner_id": request.learner_id, "digest": ""}
    return GradeReport(request.lab.id, verdict, submission, outcomes, None, provenance, problem=problem)


def _attempt(request: GradeRequest, submission: Submission, folder: Path, progress: Progress) -> GradeReport:
    """One recording on one cluster, judged.

    Raises:
        BadSubmission: the cluster refuses what was handed in.
    """
    folder.mkdir()
    shutil.rmtree(request.out / "bundle", ignore_errors=True)
    try:
        bundle = _record(request, submission, folder, progress)
    except InfraFault as error:
        return ended(request, Verdict.UNGRADED, str(error))
    with progress.task("judging"):
        return judge_bundle(request.lab, bundle, only=request.only)


def _record(request: GradeRequest, submission: Submission, folder: Path, progress: Progress) -> Path:
    """Start everything, act, and leave a finished bundle behind; gives its folder."""
    lab, scenario = request.lab, scenario_of(request.lab)
    provider = provider_named(request.provider, request.options)
    sandbox = sandbox_named(request.sandbox)
    if problem := sandbox.problem():
        raise InfraFault(problem)
    if sandbox.caution:
        progress.say(f"warning: sandbox {sandbox.name!r} confines nothing: learner code runs as you")
    runtime = ensure_runtime(progress)
    wanted = tracks_for(lab.id, request.only) if request.only else frozenset(scenario.TRACKS)
    seed = request.seed if request.seed is not None else random.SystemRandom().randrange(2**31)
    started = time.monotonic()
    with BundleWriter(request.out / "bundle") as writer:
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
    return request.out / "bundle"
