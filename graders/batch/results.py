"""Where the results of a batch lie, and what a store keeps of them; one folder for each grading."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from graders.batch.work import Work
from graders.evidence.digest import bundle_digest
from graders.evidence.jsonfile import write_json
from graders.faults import UsageError
from graders.model import GradeReport, Verdict
from graders.once import remove_tree
from graders.reports.report_json import load_report
from graders.store import NewGrade
from graders.version import version

_BUNDLE = "bundle"
_REPORT = "report.json"
_KEY = "key.json"
_MAKING = ".grading"


@dataclass(frozen=True)
class Results:
    """The results of one lab's gradings on one provider, below `folder`. Any thread may use it."""

    lab: str
    folder: Path
    provider: str

    def forget_unfinished(self) -> None:
        """Remove what gradings of a killed batch were making."""
        for making in self.folder.glob(f"*/{_MAKING}"):
            remove_tree(making)

    def making(self, work: Work) -> Path:
        """A new empty folder for what is not whole yet."""
        making = self._home(work) / _MAKING
        remove_tree(making)
        making.mkdir(parents=True)
        return making

    def drop(self, work: Work) -> None:
        """Remove what `making` gave."""
        remove_tree(self._home(work) / _MAKING)

    def keep(self, work: Work, out: Path) -> NewGrade:
        """Put `out`, a report and perhaps its bundle, in its place; what else `making` gave is removed.

        Raises:
            UsageError: there is no report in it; then nothing has changed.
        """
        load_report(out / _REPORT)
        write_json(out / _KEY, asdict(work.key))
        place = next(each for each in self._places(work) if not each.exists())
        out.rename(place)
        self.drop(work)
        return _new_grade(work, place)

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

    def told(self, work: Work, verdict: Verdict, problem: str) -> NewGrade:
        """The grade of what came to no report."""
        learner = work.hand_in.learner_id
        provenance = {"provider": self.provider, "kubeproof": version()}
        submission = {"learner_id": learner, "digest": work.digest}
        return NewGrade.of(
            GradeReport(self.lab, verdict, submission, (), None, provenance, problem=problem),
            learner_id=learner,
            key=work.key,
            submission=work.digest,
            submitted_at=work.hand_in.submitted_at,
        )

    def _home(self, work: Work) -> Path:
        return self.folder / work.hand_in.learner_id

    def _places(self, work: Work) -> Iterator[Path]:
        """Folders for results: earlier ones of the same hand-in keep theirs."""
        number = 0
        while True:
            number += 1
            yield self._home(work) / f"{_short(work)}-{number}"


def _new_grade(work: Work, place: Path) -> NewGrade:
    """What the report in `place` says, with the digest of the bundle beside it.

    Raises:
        UsageError: there is no report.
    """
    document: dict[str, Any] = load_report(place / _REPORT)
    document = json.loads((place / _REPORT).read_text(encoding="utf-8"), parse_float=Decimal)
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
