"""Brings results home from a place for objects, and believes none that is not what its worker put there."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from graders.batch.objects import ObjectPlace
from graders.batch.packing import BadPack, sha256_of, unpack
from graders.batch.plan import (
    MOST_PACK_BYTES,
    RESULTS,
    Keys,
    ResultMarker,
    is_done,
    pack_object,
    read_document,
    results_of,
)
from graders.batch.results import Results
from graders.batch.work import Work
from graders.evidence.digest import bundle_digest
from graders.faults import InfraFault, UsageError
from graders.model import Verdict
from graders.progress import Progress
from graders.reports.report_json import load_report
from graders.store import NewGrade


@dataclass
class Collector:
    """Collects the results of `works`, by their ids; each is given once."""

    place: ObjectPlace
    results: Results
    works: Mapping[str, Work]
    progress: Progress
    _left: set[str] = field(init=False)

    def __post_init__(self) -> None:
        self._left = set(self.works)

    @property
    def left(self) -> list[str]:
        """Whose results were not collected, in the order of the works."""
        return [one for one in self.works if one in self._left]

    def whose(self, work: str) -> str:
        """The learner of a work, or its name where an earlier batch asked for it."""
        return self.works[work].hand_in.learner_id if work in self.works else work

    def ready(self, *, also_open: bool) -> Iterator[NewGrade]:
        """What is there of what was not collected; `also_open`: of what could not be graded too.

        Raises:
            InfraFault: the place is out of reach.
        """
        found: dict[str, list[str]] = {}
        for work, name in self._markers():
            if also_open or is_done(name):
                found.setdefault(work, []).append(name)
        for work, names in found.items():
            yield from self._first(work, names)

    def one(self, work: str) -> Iterator[NewGrade]:
        """The result of a work, if one is there that is whole and was not given."""
        if work in self._left:
            # What is done counts before what could not be graded: its name sorts first.
            yield from self._first(work, self.place.names(results_of(work)))
        if work in self._left:
            # A listing of what went is as empty as one of what never was.
            self.place.check()

    def ungraded(self, work: str, problem: str) -> Iterator[NewGrade]:
        """That a work is ungraded because of `problem`, if no result of it was given."""
        if work in self._left:
            self._left.discard(work)
            yield self.results.told(self.works[work], Verdict.UNGRADED, problem)

    def set_aside_open(self) -> None:
        """Remove what says of works not collected that they could not be graded: they are tried again."""
        for _, name in self._markers():
            if not is_done(name):
                self.place.remove(name)

    def _markers(self) -> list[tuple[str, str]]:
        """Works not collected, each with the name of a result of it."""
        found = [(name.split("/")[1], name) for name in self.place.names(RESULTS)]
        return [(work, name) for work, name in found if work in self._left]

    def _first(self, work: str, names: list[str]) -> Iterator[NewGrade]:
        """The first of these results that is whole; those before it are told, and removed."""
        for name in names:
            try:
                grade = self._taken(self.works[work], name)
            except _NotWhole as error:
                learner = self.works[work].hand_in.learner_id
                self.progress.say(f"{learner}: the result {self.place.url}/{name} {error}: not taken")
                self.place.remove(name)
                self.results.drop(self.works[work])
                continue
            self._left.discard(work)
            yield grade
            return

    def _taken(self, work: Work, name: str) -> NewGrade:
        marker = read_document(self.place, name, ResultMarker)
        if marker is None or marker.name != name:
            raise _NotWhole("is not what its worker wrote")
        if differing := marker.key.differing(Keys.of(work.key)):
            raise _NotWhole(f"has another {differing} key")
        if marker.pack is None:
            if marker.done:
                raise _NotWhole("has a verdict without a report")
            return self.results.told(work, Verdict.UNGRADED, marker.problem)
        making = self.results.making(work)
        packed, out = making / "result.tar.gz", making / "out"
        there = self.place.fetch(pack_object(marker.pack), packed, MOST_PACK_BYTES)
        if not there or sha256_of(packed) != marker.pack:
            # Removed, so that the next worker's pack can stand there.
            self.place.remove(pack_object(marker.pack))
            raise _NotWhole("has a pack that does not have the digest its worker noted")
        try:
            unpack(packed, out)
            report = load_report(out / "report.json")
            recorded = _recorded(out)
        except (BadPack, UsageError, InfraFault) as error:
            raise _NotWhole(f"has a pack that {error}") from error
        digest = str(report["submission"].get("digest", "") or work.digest)
        if (report["lab"], report["verdict"], digest) != (self.results.lab, marker.verdict, work.digest):
            raise _NotWhole("has the report of something else")
        if recorded != marker.bundle_digest:
            raise _NotWhole("has another bundle than its worker noted")
        packed.unlink()
        return self.results.keep(work, out)


def _recorded(out: Path) -> str | None:
    """The digest of the bundle in `out`, as its worker had it.

    Raises:
        InfraFault: it holds what is no file.
    """
    return bundle_digest(out / "bundle") if (out / "bundle" / "manifest.json").is_file() else None


class _NotWhole(Exception):
    """What is wrong with a result."""
