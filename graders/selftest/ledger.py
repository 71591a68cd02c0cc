"""The ledger: what was proven of each solution of a lab, under which keys.

It stands in the repository, `solutions/<lab>/ledger.json`, so that a machine that has graded nothing knows
what needs no grading. Whoever trusts it grades a sample all the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from graders.evidence.jsonfile import write_json
from graders.faults import CourseError
from graders.gradekey import GradeKey
from graders.selftest.cases import Case
from graders.selftest.rows import SolutionRow, Source

FILE = "ledger.json"
PROVIDER = "embedded"
"""The provider whose grades it tells of: it is the one that every machine has."""


class LedgerEntry(BaseModel):
    """What was proven of one solution.

    `seconds` is how long its grading took, `proven_at` when it was, in UTC, empty where nobody noted it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    record: str
    judge: str
    score: str
    percent: Decimal
    lost: tuple[str, ...]
    seconds: float
    outcomes: Mapping[str, str]
    proven_at: str = ""

    @property
    def key(self) -> GradeKey:
        """The key of that grade."""
        return GradeKey(self.record, self.judge, self.score)

    def row(self, case: Case) -> SolutionRow:
        """The row that this stands for; nothing but a row without a problem has an entry."""
        return SolutionRow(
            case.name, "graded", self.percent, self.lost, self.lost, case.rule, 0.0,
            statuses=self.outcomes, source=Source.LEDGER,
        )  # fmt: skip


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    declared: Literal["kubeproof/ledger/v1"] = Field(alias="schema")
    provider: Literal["embedded"]
    solutions: dict[str, LedgerEntry]


@dataclass(frozen=True)
class Ledger:
    """The entries of a lab, by the names of solutions."""

    path: Path
    entries: Mapping[str, LedgerEntry]

    def proof(self, name: str, key: GradeKey) -> LedgerEntry | None:
        """The entry of a solution, if it was made under that key."""
        entry = self.entries.get(name)
        return entry if entry is not None and entry.key == key else None

    def proven_at(self, name: str) -> str:
        """When a solution was last graded with success; a text that sorts, empty where nobody knows."""
        entry = self.entries.get(name)
        return entry.proven_at if entry is not None else ""

    def expected_s(self, name: str, default: float) -> float:
        """How long grading it took, under whatever key.

        Where that is not known, what the slowest of the lab took; `default` where none is known.
        """
        if seconds := self._seconds(name):
            return seconds
        return max((each.seconds for each in self.entries.values()), default=0.0) or default

    def _seconds(self, name: str) -> float:
        entry = self.entries.get(name)
        return entry.seconds if entry is not None else 0.0

    def with_rows(
        self, rows: Iterable[SolutionRow], keys: Mapping[str, GradeKey], names: Iterable[str]
    ) -> Ledger:
        """The ledger with those rows that are as they should be, and without solutions not in `names`."""
        kept = {name: self.entries[name] for name in names if name in self.entries}
        for row in rows:
            if row.source not in (Source.LIVE, Source.KEPT):
                continue
            if not row.ok or row.percent is None:
                kept.pop(row.name, None)
                continue
            live = row.source is Source.LIVE
            seconds = row.seconds if live else self._seconds(row.name)
            kept[row.name] = LedgerEntry(
                **asdict(keys[row.name]),
                percent=row.percent,
                lost=row.lost,
                seconds=round(seconds, 1),
                outcomes=row.statuses,
                proven_at=_now() if live else self.proven_at(row.name),
            )
        return Ledger(self.path, dict(sorted(kept.items())))

    def write(self) -> None:
        """Write it in its place."""
        entries = {name: entry.model_dump(mode="json") for name, entry in self.entries.items()}
        document: dict[str, Any] = {
            "schema": "kubeproof/ledger/v1", "provider": PROVIDER, "solutions": entries
        }  # fmt: skip
        write_json(self.path, document)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def load_ledger(solutions: Path) -> Ledger:
    """The ledger of the lab whose solutions are in that folder; an empty one where there is none.

    Raises:
        CourseError: the file is no ledger.
    """
    path = solutions / FILE
    if not path.exists():
        return Ledger(path, {})
    try:
        file = _File.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, ValidationError) as error:
        raise CourseError(
            f"this is no ledger: {str(error).splitlines()[0]}",
            file=path,
            fix="remove it, and have it written anew by `kubeproof selftest`",
        ) from error
    return Ledger(path, file.solutions)
