"""How a solution did, held against what it must lose."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any

from graders.selftest.cases import STARTER, STARTER_BELOW, Case


class Source(StrEnum):
    """What a row is read from."""

    LIVE = "graded"
    KEPT = "kept record"
    LEDGER = "ledger"
    NONE = "nothing"


@dataclass(frozen=True)
class SolutionRow:
    """How one solution did; `problem` is empty when it lost what it should and nothing else."""

    name: str
    verdict: str
    percent: Decimal | None
    expected: tuple[str, ...]
    lost: tuple[str, ...]
    rule: str
    seconds: float
    problem: str = ""
    statuses: Mapping[str, str] = field(default_factory=dict)
    """How each check that was judged ended, by its id."""
    source: Source = Source.LIVE
    flaw_alone: bool = False
    """Whether only the checks behind what it must lose were run."""
    unproven: bool = False
    """Whether nothing is known of it: there was no time to grade it, and the ledger does not vouch for it."""

    @property
    def ok(self) -> bool:
        """Whether it is shown that it loses what it should."""
        return not self.problem and not self.unproven


def row_of(
    case: Case, report: Mapping[str, Any], seconds: float, source: Source = Source.LIVE
) -> SolutionRow:
    """What a report says of a solution; `report` is report.json with decimals."""
    lost = tuple(
        criterion["id"]
        for criterion in report["criteria"]
        if not criterion["planned"]
        and criterion["earned"] is not None
        and criterion["earned"] < criterion["points"]
    )
    percent = Decimal(report["percent"]) if report["percent"] is not None else None
    expected = case.expected(report["provenance"].get("capabilities", ()))
    return SolutionRow(
        case.name, report["verdict"], percent, expected, lost, case.rule, seconds,
        _problem(case, report, expected, lost, percent),
        {outcome["check"]: outcome["status"] for outcome in report["outcomes"]},
        source,
        bool(case.only),
    )  # fmt: skip


def _problem(
    case: Case,
    report: Mapping[str, Any],
    expected: tuple[str, ...],
    lost: tuple[str, ...],
    percent: Decimal | None,
) -> str:
    if report["verdict"] != "graded" or percent is None:
        return f"{report['verdict']}: {report['problem']}"[:400]
    if case.name == STARTER:
        return "" if percent < STARTER_BELOW else f"{percent} % is not below {STARTER_BELOW} %"
    surplus, missing = sorted(set(lost) - set(expected)), sorted(set(expected) - set(lost))
    words = []
    if surplus:
        words.append(f"surplus loss of {', '.join(surplus)}")
    if missing:
        words.append(f"did not lose {', '.join(missing)}")
    return "; ".join(words)
