"""Holds the self-tests of several providers against each other: one verdict per check, wherever it was won.

What one of them cannot show is left aside. What a check says where it stands alone is not the same as what
it says blocked by another, so statuses are compared as they are, check by check.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from graders.model import Status
from graders.selftest import SolutionRow

ASIDE = frozenset({Status.UNSUPPORTED.value})
"""Statuses that say nothing about a solution."""


@dataclass(frozen=True)
class Difference:
    """A check of a solution that ended differently: its status by provider, `absent` where not judged."""

    solution: str
    check: str
    statuses: Mapping[str, str]

    def __str__(self) -> str:
        said = ", ".join(f"{status} on {provider}" for provider, status in self.statuses.items())
        return f"{self.solution}: {self.check} {said}"


@dataclass(frozen=True)
class Parity:
    """The self-tests of several providers, solution by solution."""

    providers: tuple[str, ...]
    solutions: Mapping[str, Mapping[str, SolutionRow]]
    """By name, then by provider."""

    @property
    def differences(self) -> tuple[Difference, ...]:
        """Every check that ended differently somewhere."""
        return tuple(
            difference
            for name, rows in self.solutions.items()
            for difference in _differences(name, rows, self.providers)
        )

    def compared(self, name: str) -> int:
        """How many checks of a solution were judged on every provider."""
        judged = [_judged(row) for row in self.solutions[name].values()]
        return len(set.intersection(*map(set, judged))) if len(judged) == len(self.providers) else 0

    def markdown(self) -> str:
        """A table for people: a row a solution, a column a provider."""
        head = ["solution", *self.providers, "checks compared", "differences"]
        lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
        differing: dict[str, list[str]] = {}
        for difference in self.differences:
            differing.setdefault(difference.solution, []).append(difference.check)
        for name, rows in self.solutions.items():
            cells = [_cell(rows.get(provider)) for provider in self.providers]
            found = ", ".join(differing.get(name, ())) or "none"
            lines.append("| " + " | ".join([name, *cells, str(self.compared(name)), found]) + " |")
        return "\n".join(lines) + "\n"

    def page(self, lab: str, *, focus: bool) -> str:
        """The table as a page of its own: what was compared, how, and what came of it."""
        compared, differ = sum(map(self.compared, self.solutions)), len(self.differences)
        options = " ".join(["--focus"] * focus + [f"--provider {provider}" for provider in self.providers])
        of_flaws = (
            "Of most flawed solutions these are the checks behind what they must lose.\n" if focus else ""
        )
        return (
            f"# {lab}: {' and '.join(self.providers)} beside each other\n\n"
            "Each solution is graded on each provider; every check that all can show must end the same.\n"
            f"{of_flaws}\n"
            f"Written by `kubeproof selftest {lab} {options} --table FILE`:\n"
            f"{len(self.solutions)} solutions, {compared} checks compared, {differ} different.\n\n"
            f"{self.markdown()}"
        )


def compare(rows: Mapping[str, Sequence[SolutionRow]]) -> Parity:
    """Put the rows of each provider beside each other."""
    solutions: dict[str, dict[str, SolutionRow]] = {}
    for provider, its_rows in rows.items():
        for row in its_rows:
            solutions.setdefault(row.name, {})[provider] = row
    return Parity(tuple(rows), solutions)


def _judged(row: SolutionRow) -> dict[str, str]:
    return {check: status for check, status in row.statuses.items() if status not in ASIDE}


def _differences(name: str, rows: Mapping[str, SolutionRow], providers: Sequence[str]) -> list[Difference]:
    unsupported = {check for row in rows.values() for check, s in row.statuses.items() if s in ASIDE}
    checks = dict.fromkeys(check for row in rows.values() for check in row.statuses)
    found = []
    for check in (check for check in checks if check not in unsupported):
        statuses = {
            provider: rows[provider].statuses.get(check, "absent") if provider in rows else "absent"
            for provider in providers
        }
        if len(set(statuses.values())) > 1:
            found.append(Difference(name, check, statuses))
    return found


def _cell(row: SolutionRow | None) -> str:
    if row is None:
        return "not run"
    if row.percent is None:
        return row.verdict
    lost = ", ".join(row.lost) if len(row.lost) <= 3 else f"{len(row.lost)} criteria"
    return f"loses {lost}" if row.lost else "loses nothing"
