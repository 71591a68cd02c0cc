"""Looks at reports that were handed in, and grades some of them again.

Each is looked at from the cheapest to the dearest: the file itself, its signature, the submission it names,
the record it stands on, and at last a grading of our own.
"""

import random
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from graders.attestation.envelope import ForgedError
from graders.attestation.signing import check_signature
from graders.course import Lab
from graders.definition import lab_package
from graders.faults import BadSubmission, InfraFault, KubeproofError, UsageError
from graders.gradingprocess import GradingProcesses, grading_processes
from graders.judgement import judge_bundle
from graders.ownership import OwnedFolder
from graders.progress import Progress
from graders.reports import load_report
from graders.reports.registry import SIGNATURE
from graders.reports.report_json import report_document
from graders.reports.text import one_line
from graders.submissions import load_submission
from graders.verification.commits import checked_out, is_repository
from graders.verification.comparing import differences, points, remarks
from graders.verification.findings import Judgement, VerifiedReport
from graders.verification.handins import HandedIn

Report = Mapping[str, Any]

_NO_RECORD = (
    KubeproofError, OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError,
)  # fmt: skip
"""What comes of reading records that are none: they are somebody else's, so nothing about them is certain."""

_LOG_LINES = 3
_REPORT_BYTES = 32 * 2**20
"""No report of ours is as large: each text in one has a limit."""


@dataclass(frozen=True, kw_only=True)
class VerifyRequest:
    """What to verify, and how; `out` takes the new gradings, a folder for each learner.

    `sample` is how many are graded again, all where it is None. Where submissions are repositories, `ref` is
    the commit that was handed in, unless a signature names it, and `within` the submission's folder in it.
    """

    lab: Lab
    hand_ins: Sequence[HandedIn]
    out: Path
    provider: str
    sample: int | None = None
    seed: int = 0
    key: Ed25519PublicKey | None = None
    ref: str = "HEAD"
    within: str = "."
    tolerance: Decimal = Decimal(0)
    jobs: int = 1


@dataclass(frozen=True)
class _Looked:
    """A report that nothing speaks against so far: what it is about, and what it says."""

    hand_in: HandedIn
    finding: VerifiedReport
    report: Report
    submission: Path


def verify(request: VerifyRequest, progress: Progress) -> tuple[VerifiedReport, ...]:
    """Look at every report, and grade a sample of those that nothing speaks against; in order of learner.

    Raises:
        InfraFault: the machine fails. UsageError: the request cannot be meant.
    """
    with OwnedFolder("verify", request.lab.id) as scratch:
        looked = [
            _look(request, hand_in, scratch.path / f"{at}") for at, hand_in in enumerate(request.hand_ins)
        ]
        whole = [each for each in looked if isinstance(each, _Looked)]
        chosen = _sample(whole, request)
        findings = {each.learner: each for each in looked if isinstance(each, VerifiedReport)}
        findings |= {each.hand_in.learner: each.finding for each in whole}
        if chosen:
            progress.say(f"grading {len(chosen)} of {len(request.hand_ins)} again (--seed {request.seed})")
            findings |= {each.learner: each for each in _graded_again(request, chosen, progress)}
    return tuple(findings[learner] for learner in sorted(findings))


def _look(request: VerifyRequest, hand_in: HandedIn, scratch: Path) -> _Looked | VerifiedReport:
    """All that can be told without a cluster."""
    learner, ref = hand_in.learner, request.ref
    try:
        path = hand_in.results / "report.json"
        if (size := path.stat().st_size) > _REPORT_BYTES:
            raise UsageError(f"it has {size:,} bytes")
        report = load_report(path)
        if report["lab"] != request.lab.id:
            raise UsageError(f"this is a report of lab {report['lab']!r}")
    except UsageError as error:
        told = f"it is no report of {request.lab.id} by kubeproof: {error.problem}"
        return VerifiedReport(learner, Judgement.UNREADABLE, (told,))
    base = VerifiedReport(learner, Judgement.CONSISTENT, claimed=points(report))
    if request.key is not None:
        try:
            statement = check_signature(hand_in.results, SIGNATURE, request.key)
        except ForgedError as error:
            return replace(base, judgement=Judgement.FORGED, told=(str(error),))
        ref = statement.context.get("commit", ref)
    try:
        submission, digest = _submission(request, hand_in, ref, scratch)
    except (UsageError, InfraFault) as error:
        return replace(base, judgement=Judgement.UNVERIFIED, told=(str(error).replace("\n", " "),))
    named = str(report["submission"].get("digest") or "")
    if named and digest and named != digest:
        told = f"it is about another submission ({named[:19]}…) than what was handed in ({digest[:19]}…)"
        return replace(base, judgement=Judgement.OTHER_SUBMISSION, told=(told,))
    if (hand_in.results / "bundle" / "manifest.json").is_file():
        base = _judged_again(request, hand_in, report, base, digest)
    return base if base.judgement is not Judgement.CONSISTENT else _Looked(hand_in, base, report, submission)


def _submission(request: VerifyRequest, hand_in: HandedIn, ref: str, scratch: Path) -> tuple[Path, str]:
    """Where the submission is, and its digest; that is empty for one that is rejected.

    Raises:
        UsageError: it is not there. InfraFault: it cannot be copied.
    """
    if hand_in.submission is None:
        raise UsageError("no submission of this learner was found")
    found = hand_in.submission
    if is_repository(found):
        files = scratch / "commit"
        checked_out(found, ref, files)
        found = files / request.within
        if not found.resolve().is_relative_to(files.resolve()):
            raise UsageError("is a link that leads out of the repository", file=request.within)
    scratch.mkdir(exist_ok=True)
    block = lab_package(request.lab.id).load("block")
    try:
        return found, load_submission(found, lab=request.lab.id, block=block, scratch=scratch).digest
    except BadSubmission:
        return found, ""


def _judged_again(
    request: VerifyRequest, hand_in: HandedIn, report: Report, base: VerifiedReport, digest: str
) -> VerifiedReport:
    """What the record that was handed in says today, with no cluster: it may be forged itself."""
    try:
        found = report_document(judge_bundle(request.lab, hand_in.results / "bundle"))
    except _NO_RECORD as error:
        told = (str(error) or type(error).__name__).splitlines()[0][:200]
        return replace(base, told=(f"its record cannot be judged: {told}",))
    if found["verdict"] == "ungraded" != report["verdict"]:
        # Broken on purpose, or by a copy: only a new grading can tell.
        return replace(base, told=(f"its record cannot be judged: {one_line(found['problem'])}",))
    recorded = str(found["submission"].get("digest") or "")
    if digest and recorded != digest:
        told = "its record is of another submission than what was handed in"
        return replace(base, judgement=Judgement.OTHER_SUBMISSION, told=(told,))
    if told_apart := differences(report, found):
        why = tuple(f"its own record says otherwise: {each}" for each in told_apart)
        return replace(base, judgement=Judgement.DIFFERS, told=(*why, *remarks(report, found)))
    return base


def _sample(looked: Sequence[_Looked], request: VerifyRequest) -> list[_Looked]:
    if request.sample is None or request.sample >= len(looked):
        return list(looked)
    places = random.Random(request.seed).sample(range(len(looked)), request.sample)  # noqa: S311 - repeatable
    return [looked[place] for place in sorted(places)]


def _graded_again(
    request: VerifyRequest, chosen: Sequence[_Looked], progress: Progress
) -> Iterable[VerifiedReport]:
    request.out.mkdir(parents=True, exist_ok=True)
    with (
        grading_processes(request.provider, progress) as processes,
        ThreadPoolExecutor(max_workers=max(request.jobs, 1)) as pool,
    ):
        return list(pool.map(lambda each: _again(request, each, processes, progress), chosen))


def _again(
    request: VerifyRequest, looked: _Looked, processes: GradingProcesses, progress: Progress
) -> VerifiedReport:
    learner = looked.hand_in.learner
    out, log = request.out / learner, request.out / f"{learner}.log"
    how = ["--provider", request.provider, "--learner", learner, "--out", str(out)]
    with progress.task(f"grading {learner}"):
        processes.run([*how, "--", request.lab.id, str(looked.submission)], log)
    try:
        found = load_report(out / "report.json")
    except UsageError:
        last = log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LOG_LINES:]
        return replace(looked.finding, judgement=Judgement.UNVERIFIED,
                       told=(f"the new grading came to nothing: {' '.join(last)[:300]}",))  # fmt: skip
    compared = replace(looked.finding, found=points(found))
    if "ungraded" in (found["verdict"], looked.report["verdict"]):
        whose = "new grading" if found["verdict"] == "ungraded" else "report itself"
        return replace(compared, judgement=Judgement.UNVERIFIED, told=(f"the {whose} is not graded",))
    told = differences(looked.report, found, request.tolerance)
    if told:
        return replace(compared, judgement=Judgement.DIFFERS, told=(*told, *remarks(looked.report, found)))
    return replace(compared, judgement=Judgement.CONFIRMED, told=looked.finding.told)
