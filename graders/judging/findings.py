"""Findings: several mismatches told at once, so that a learner mends them in one go."""

from dataclasses import dataclass
from types import TracebackType
from typing import Self

from graders.faults import Unmet

SHOWN = 3


@dataclass(frozen=True)
class Finding:
    """One mismatch."""

    expected: str
    observed: str
    hint: str


class Findings:
    """Collects mismatches and fails a check once, naming the first few.

    As a context manager it fails at the end of the block; `done` does the same without one::

        with Findings("four pods, numbered from 0", hint="Look at spec.trainer.numNodes.") as found:
            found.equal("number of pods", 4, len(pods))
            for pod in pods:
                found.expect(owned(pod), f"{pod} owned by the job", f"{pod} has no controller")
    """

    def __init__(self, expected: str = "", *, hint: str = "") -> None:
        """Start with none.

        Args:
            expected: what should hold as a whole; empty takes it from the mismatches themselves.
            hint: a next step, where the first mismatch has none of its own.
        """
        self.expected = expected
        self.hint = hint
        self.all: list[Finding] = []

    def expect(self, condition: object, expected: str, observed: str, hint: str = "") -> bool:
        """Note a mismatch unless `condition` is true; says whether it was."""
        if not condition:
            self.all.append(Finding(expected, observed, hint))
        return bool(condition)

    def equal(self, what: str, expected: object, observed: object, hint: str = "") -> bool:
        """Note a mismatch unless both are equal; `what` names the thing compared."""
        return self.expect(expected == observed, f"{what} {expected}", f"{what} {observed}", hint)

    def miss(self, observed: str, expected: str = "", hint: str = "") -> None:
        """Note a mismatch."""
        self.all.append(Finding(expected, observed, hint))

    def done(self) -> None:
        """End of the collecting.

        Raises:
            Unmet: there was a mismatch.
        """
        if self.all:
            raise self._unmet()

    def _unmet(self) -> Unmet:
        shown = self.all[:SHOWN]
        more = len(self.all) - len(shown)
        wanted = list(dict.fromkeys(finding.expected for finding in shown if finding.expected))
        expected = self.expected or "; ".join(wanted)
        observed = "; ".join(dict.fromkeys(finding.observed for finding in shown))
        hint = next((finding.hint for finding in self.all if finding.hint), self.hint)
        return Unmet(expected, observed + (f"; and {more} more" if more else ""), hint=hint)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.done()
        elif isinstance(error, Unmet) and self.all:
            self.miss(error.observed, error.expected, error.hint)
            raise self._unmet() from error
