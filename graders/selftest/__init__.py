"""Tests a rubric with solutions: what is sound must earn all, what is flawed lose exactly what it should.

`cases` are the solutions, `plan` says which of them are graded now; `recordings` keeps what was recorded, and
`ledger` what was proven.
"""

from graders.selftest.cases import Case
from graders.selftest.plan import Trust
from graders.selftest.rows import SolutionRow, Source
from graders.selftest.run import SelfTest, at_once, run_selftest

__all__ = ["Case", "SelfTest", "SolutionRow", "Source", "Trust", "at_once", "run_selftest"]
