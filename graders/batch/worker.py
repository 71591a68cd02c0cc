"""A worker: grades the submission of one index of a plan, and puts what came of it where the batch looks.

====  ==========================================================================================
exit  means
====  ==========================================================================================
0     what came of it is there: graded or rejected, and no other worker of that index grades again
2     there is no such plan or index, or a submission is not what the plan says: no use to retry
3     the machine, a cluster or the place for objects failed: another worker should try
4     this kubeproof is not the batch's: no index would be graded right
====  ==========================================================================================
"""

import contextlib
import os
import platform
import re
from collections.abc import Iterator, Mapping, MutableMapping
from pathlib import Path

from graders.batch.grading import Grader, NoReport
from graders.batch.intake import HandIn
from graders.batch.objects import ObjectPlace
from graders.batch.packing import BadPack, pack, sha256_of, unpack
from graders.batch.plan import (
    MOST_PACK_BYTES,
    IndexWork,
    Keys,
    ResultMarker,
    assignment_object,
    is_done,
    pack_object,
    read_document,
    results_of,
    submission_object,
)
from graders.batch.work import Work, work_of
from graders.course import Course
from graders.evidence.digest import bundle_digest
from graders.faults import KubeproofError, UsageError
from graders.gradingprocess import grading_processes
from graders.model import Verdict
from graders.progress import Progress
from graders.reports.report_json import load_report

INDEX = "JOB_COMPLETION_INDEX"
"""Where Kubernetes says which index of an Indexed Job a pod is."""

OTHER_CODE = 4

_MOST_PROBLEM = 2000


_PASSED_ON = re.compile(
    r"(HOME|LANG|LC_\w+|PATH|PYTHON\w+|TMPDIR|TZ|KUBEPROOF_\w+|(HTTPS?|NO)_PROXY)", re.IGNORECASE
)
"""What of the environment a grading gets: not the credentials of the place for objects."""


class OtherCode(KubeproofError):
    """The worker's kubeproof, lab or rubric is not the one that the batch was planned with."""


def index_from(environment: Mapping[str, str]) -> int:
    """The index that this worker is of.

    Raises:
        UsageError: nobody says.
    """
    text = environment.get(INDEX, "")
    if not (text.isascii() and text.isdecimal() and len(text) < 8):
        raise UsageError(
            f"{INDEX} is {text!r}, and no index",
            fix=f"run this as a pod of an Indexed Job, or set {INDEX}=0 to work by hand",
        )
    return int(text)


def work_on(
    place: ObjectPlace, plan: str, index: int, course: Course, scratch: Path, progress: Progress
) -> ResultMarker:
    """Do the work of that index, unless it is done; gives what came of it, which then is in the place.

    Raises:
        UsageError: there is no such work, or its submission is not what the plan says.
        OtherCode: this kubeproof would come to another grade.
        InfraFault: the place is out of reach, or the disk full.
    """
    given = read_document(place, assignment_object(plan, index), IndexWork)
    if given is None:
        place.check()
        raise UsageError(
            f"{place.url} has no plan {plan} with index {index}",
            fix="name a --plan that a batch made there",
        )
    done = next(
        (
            found
            for name in place.names(results_of(given.work))
            if is_done(name)
            if (found := _whole(place, name))
        ),
        None,
    )
    if done is not None:
        progress.say(f"{given.learner_id}: graded already, by {done.worker}")
        return done
    work = _fetched(place, given, course, scratch)
    making = scratch / "making"
    making.mkdir()
    try:
        with without_secrets(os.environ), grading_processes(given.provider, progress) as processes:
            grader = Grader(given.lab, given.provider, processes, progress, given.most_s)
            out = grader.run(work, making)
    except NoReport as error:
        marker = _marker(given, Verdict.UNGRADED, str(error))
    else:
        marker = _put(place, given, out, scratch)
    place.put(marker.name, marker.content())
    progress.say(f"{given.learner_id}: {marker.verdict}")
    return marker


@contextlib.contextmanager
def without_secrets(environment: MutableMapping[str, str]) -> Iterator[None]:
    """Have nothing in the environment but what a grading needs, for as long as the block runs."""
    kept = {name: environment.pop(name) for name in list(environment) if not _PASSED_ON.fullmatch(name)}
    try:
        yield
    finally:
        environment.update(kept)


def _fetched(place: ObjectPlace, given: IndexWork, course: Course, scratch: Path) -> Work:
    """The submission, seen to be the one that was handed in, and its grade key to be the batch's."""
    packed, folder = scratch / "submission.tar.gz", scratch / "submission"
    name = submission_object(given.submission)
    if not place.fetch(name, packed, MOST_PACK_BYTES) or sha256_of(packed) != given.packed:
        place.check()
        raise UsageError(
            f"{place.url}/{name} is not what was handed in",
            fix="run the batch again: it sends it anew",
        )
    try:
        unpack(packed, folder, links=True)
    except BadPack as error:
        raise UsageError(
            f"{place.url}/{name} {error}", fix="run the batch again: it sends it anew"
        ) from error
    work = work_of(course.find_lab(given.lab), HandIn(given.learner_id, folder), given.provider)
    if work.digest != given.submission:
        raise OtherCode(f"{name} has the digest {work.digest} here, and {given.submission} where it was sent")
    if differing := given.key.differing(Keys.of(work.key)):
        raise OtherCode(
            f"the {differing} key of {given.lab} is not the batch's: another kubeproof, Python or course"
        )
    return work


def _put(place: ObjectPlace, given: IndexWork, out: Path, scratch: Path) -> ResultMarker:
    """Put a report and its bundle into the place; the marker is the caller's to put."""
    report = load_report(out / "report.json")
    packed = scratch / "result.tar.gz"
    pack(out, packed)
    digest = sha256_of(packed)
    place.put(pack_object(digest), packed)
    bundle = out / "bundle"
    recorded = bundle_digest(bundle) if (bundle / "manifest.json").is_file() else None
    return _marker(given, Verdict(report["verdict"]), str(report["problem"])).model_copy(
        update={"pack": digest, "pack_bytes": packed.stat().st_size, "bundle_digest": recorded}
    )


def _marker(given: IndexWork, verdict: Verdict, problem: str) -> ResultMarker:
    return ResultMarker(
        work=given.work,
        key=given.key,
        verdict=verdict,
        problem=problem[:_MOST_PROBLEM],
        worker=f"{platform.node()}, process {os.getpid()}"[:300],
    )


def _whole(place: ObjectPlace, name: str) -> ResultMarker | None:
    """A marker that is what its name says, and whose pack is there."""
    marker = read_document(place, name, ResultMarker)
    if marker is None or marker.name != name or (marker.pack and not place.has(pack_object(marker.pack))):
        return None
    return marker
