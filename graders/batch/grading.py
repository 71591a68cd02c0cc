"""One hand-in, graded in a process of its own: from what lies somewhere to what a store keeps."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from graders.batch.intake import HandIn
from graders.course import Lab
from graders.evidence.digest import bundle_digest
from graders.evidence.jsonfile import write_json
from graders.faults import BadSubmission, UsageError
from graders.gradekey import GradeKey, grade_key
from graders.gradingprocess import GradingProcesses
from graders.model import GradeReport, Verdict
from graders.once import remove_tree
from graders.progress import Progress
from graders.reports.report_json import load_report
from graders.store import NewGrade
from graders.submissions.load import digest_of
from graders.version import version

MOST_S = 3600.0
"""No grading takes longer, unless something hangs that no limit of its own ends."""

_BUNDLE = "bundle"
_LOG = "grading.log"
_KEY = "key.json"
_MAKING = ".grading"
_TAIL_BYTES = 4096
_WORDS = 300


@dataclass(frozen=True)
class Work:
    """A hand-in that may have to be graded: what it is, and what its grade depends on."""

    hand_in: HandIn
    digest: str
    key: GradeKey


def work_of(lab: Lab, hand_in: HandIn, provider: str) -> Work:
    """What a hand-in is, by digest; one that is refused as it is counts by its bytes.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        digest = digest_of(hand_in.path) if not hand_in.rejected else _refused(hand_in.problem.encode())
    except BadSubmission:
        digest = _refused(*_pieces(hand_in.path))
    return Work(hand_in, digest, grade_key(lab, lab.rubric, digest, provider))


@dataclass(frozen=True)
class Grader:
    """Grades hand-ins of one lab; `results` has a folder for each learner. Any thread may use it."""

    lab: Lab
    results: Path
    provider: str
    processes: GradingProcesses
    progress: Progress
    most_s: float = MOST_S

    def forget_unfinished(self) -> None:
        """Remove what gradings of a killed batch were making."""
        for making in self.results.glob(f"*/{_MAKING}"):
            remove_tree(making)

    def left_behind(self, work: Work) -> NewGrade | None:
        """The grade of a grading that ended, but was killed or lost its store before it was kept."""
        for place in sorted(self._home(work).glob(f"{_short(work)}-*")):
            try:
                noted = json.loads((place / _KEY).read_text(encoding="utf-8"))
                if noted == asdict(work.key):
                    return _new_grade(work, place)
            except (OSError, ValueError, UsageError):
                continue
        return None

    def grade(self, work: Work) -> NewGrade:
        """Grade one hand-in; its results are in a new folder of its learner's when this returns.

        Raises:
            InterruptedError: gradings are being ended.
        """
        hand_in, home = work.hand_in, self._home(work)
        if hand_in.problem:
            return self._told(work, Verdict.REJECTED, hand_in.problem)
        making, out = home / _MAKING, home / _MAKING / "out"
        remove_tree(making)
        making.mkdir(parents=True)
        log = making / _LOG
        try:
            with self.progress.task(hand_in.learner_id) as task:
                self.processes.run(
                    [
                        *(self.lab.id, str(hand_in.path), "--out", str(out)),
                        *("--provider", self.provider, "--learner", hand_in.learner_id),
                    ],
                    log,
                    most_s=self.most_s,
                    meanwhile=lambda: task.update(detail=_last_line(log)),
                )
            load_report(out / "report.json")
        except TimeoutError as error:
            return self._told(work, Verdict.UNGRADED, f"the harness hung: {error}")
        except UsageError:
            told = f"the grading left no report; the last it said: {_last_line(log)}"
            return self._told(work, Verdict.UNGRADED, told)
        write_json(out / _KEY, asdict(work.key))
        log.rename(out / _LOG)
        place = next(each for each in _places(home, work) if not each.exists())
        out.rename(place)
        remove_tree(making)
        return _new_grade(work, place)

    def _home(self, work: Work) -> Path:
        return self.results / work.hand_in.learner_id

    def _told(self, work: Work, verdict: Verdict, problem: str) -> NewGrade:
        """The grade of what came to no report."""
        learner = work.hand_in.learner_id
        provenance = {"provider": self.provider, "kubeproof": version()}
        submission = {"learner_id": learner, "digest": work.digest}
        return NewGrade.of(
            GradeReport(self.lab.id, verdict, submission, (), None, provenance, problem=problem),
            learner_id=learner,
            key=work.key,
            submission=work.digest,
            submitted_at=work.hand_in.submitted_at,
        )


def _new_grade(work: Work, place: Path) -> NewGrade:
    """What the report in `place` says, with the digest of the bundle beside it.

    Raises:
        UsageError: there is no report.
    """
    document: dict[str, Any] = load_report(place / "report.json")
    document = json.loads((place / "report.json").read_text(encoding="utf-8"), parse_float=Decimal)
    bundle = place / _BUNDLE if (place / _BUNDLE / "manifest.json").is_file() else None
    return NewGrade(
        learner_id=work.hand_in.learner_id,
        lab=str(document["lab"]),
        submission=work.digest,
        key=work.key,
        verdict=Verdict(document["verdict"]),
        problem=str(document["problem"]),
        total=_number(document["total"]),
        possible=_number(document["possible"]),
        percent=_number(document["percent"]),
        report=document,
        provider=str(document["provenance"].get("provider", "")),
        submitted_at=work.hand_in.submitted_at,
        bundle=bundle,
        bundle_digest=bundle_digest(bundle) if bundle else None,
    )


def _number(value: object) -> Decimal | None:
    return None if value is None else Decimal(str(value))


def _short(work: Work) -> str:
    return work.digest.rpartition(":")[2][:12]


def _places(home: Path, work: Work) -> Iterator[Path]:
    """Folders for results: earlier ones of the same hand-in keep theirs."""
    number = 0
    while True:
        number += 1
        yield home / f"{_short(work)}-{number}"


def _last_line(log: Path) -> str:
    """The last thing that a grading said."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
        lines = [line for line in file.read().decode("utf-8", "replace").splitlines() if line.strip()]
    return lines[-1].strip()[:_WORDS] if lines else ""


def _refused(*pieces: bytes) -> str:
    return "refused:" + hashlib.sha256(b"\0".join(pieces)).hexdigest()


def _pieces(path: Path) -> Iterator[bytes]:
    """Names and digests of the files that lie there, as they are: nothing is understood, or followed."""
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        yield str(file.relative_to(path.parent)).encode("utf-8", "surrogateescape")
        if file.is_file() and not file.is_symlink():
            with file.open("rb") as stream:
                yield hashlib.file_digest(stream, "sha256").digest()
