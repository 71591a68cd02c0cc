"""From a bundle to a report, with no cluster: what grading ends with, and all that judging again is."""

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from graders.evidence.bundle import Bundle
from graders.evidence.manifest import BundleManifest
from graders.faults import InfraFault
from graders.judging import judge
from graders.model import Capability, Fault, GradeReport, Outcome, Rubric, Score, Status, Verdict
from graders.scoring.score import score
from graders.version import version


class JudgedLab(Protocol):
    """All that judging needs to know of a lab."""

    @property
    def id(self) -> str:
        """The lab's slug."""

    @property
    def rubric(self) -> Rubric:
        """What its checks earn."""


def judge_bundle(lab: JudgedLab, folder: Path, *, only: tuple[str, ...] = ()) -> GradeReport:
    """The report that a bundle alone gives, with no cluster.

    Raises:
        UsageError: there is no bundle of this lab at `folder`. InfraFault: records of it are lost, or there
            is an audit log that nobody wrote to.
    """
    started = time.monotonic()
    bundle = Bundle(folder)
    bundle.verify()
    if Capability.AUDIT_LOG in bundle.manifest.capabilities and not bundle.audit:
        raise InfraFault("the API server's audit log is empty: nothing was witnessed")
    outcomes = judge(bundle, lab=lab.id, only=only)
    points = score(lab.rubric, outcomes, capabilities=bundle.manifest.capabilities)
    verdict = Verdict.UNGRADED if points.total is None else Verdict.GRADED
    report = GradeReport(
        lab=lab.id,
        verdict=verdict,
        submission=dict(bundle.manifest.submission),
        outcomes=outcomes,
        score=points,
        provenance=_provenance(lab, bundle.manifest),
        timing=dict(bundle.manifest.timing),
        problem=_why_ungraded(outcomes, points),
        warnings=bundle.manifest.warnings,
    )
    return timed(report, judge=time.monotonic() - started)


def timed(report: GradeReport, **seconds: float) -> GradeReport:
    """The report with more stages in its timing."""
    return replace(report, timing={**report.timing, **{k: round(v, 3) for k, v in seconds.items()}})


def _provenance(lab: JudgedLab, manifest: BundleManifest) -> Mapping[str, Any]:
    return {
        "kubeproof": version(),
        "recorded_by": manifest.kubeproof_version,
        "recorded_at": manifest.created_at,
        "run": manifest.run_id,
        "rubric_version": lab.rubric.version,
        "rubric_sha256": lab.rubric.sha256,
        "provider": manifest.provider,
        "capabilities": list(manifest.capabilities),
        "kubernetes": ", ".join(sorted({each.version for each in manifest.clusters.values()})),
        "sandbox": manifest.sandbox,
        "seed": manifest.seed,
        "scale": manifest.calibration.scale,
        "deadline_s": manifest.deadline_s,
    }


def _why_ungraded(outcomes: tuple[Outcome, ...], points: Score) -> str:
    """In words; a bug of ours is told apart, because trying again would not help it."""
    if points.total is not None:
        return ""
    errors = [outcome for outcome in outcomes if outcome.status is Status.ERROR]
    ours = any(outcome.fault is Fault.GRADER for outcome in errors)
    names = ", ".join(outcome.check_id for outcome in errors)
    return (
        f"grader: a bug of kubeproof kept it from judging {names}"
        if ours
        else (f"the harness could not record what these checks need: {names}")
    )
