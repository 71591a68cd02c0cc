"""The operator's code: typed, linted, tested."""

from __future__ import annotations

import re

from graders.evidence.bundle import Bundle
from graders.evidence.records import ToolRun
from graders.faults import InfraFault
from graders.judging import Facts, Findings, check

COVERAGE_PERCENT = 70
_TOTAL = re.compile(r"^TOTAL\s.*?\b(\d{1,3})(?:\.\d+)?%\s*$", re.MULTILINE)
_PASSED = re.compile(r"(\d+) passed")


@check(
    "code-quality",
    tracks=("quality",),
    hint="Run ruff, mypy --strict and pytest --cov as the lab text shows.",
)
def check_code_quality(bundle: Bundle, facts: Facts) -> None:
    """The code passes mypy --strict and ruff, and its own tests pass and cover at least 70 %."""
    runs = {run.tool: run for run in bundle.tools}
    language = bundle.manifest.submission.get("language")
    with Findings() as found:
        if not found.expect(
            language == "python", "a submission in Python", f"language {language!r}, which is not judged yet"
        ):
            return
        for tool in ("ruff", "mypy", "pytest"):
            if tool not in runs:
                raise InfraFault(f"{tool} was not run")
            run = runs[tool]
            facts[f"{tool}_exit_code"] = run.code
            found.expect(run.code == 0, f"{tool} to pass", f"{tool} {run.reason}: {_end_of(run)}")
        silenced = runs["silencers"].output if "silencers" in runs else ""
        found.expect(not silenced, "no comment that switches a tool off for a whole file", silenced[:300])
        output = runs["pytest"].output
        passed = _PASSED.search(output)
        found.expect(passed, "tests of its own", "pytest passed none")
        total = _TOTAL.findall(output)
        percent = int(total[-1]) if total else 0
        facts["coverage_percent"] = percent
        found.expect(
            percent >= COVERAGE_PERCENT,
            f"tests that cover at least {COVERAGE_PERCENT} % of the operator",
            f"they cover {percent} %",
        )


def _end_of(run: ToolRun) -> str:
    lines = [line for line in run.output.splitlines() if line.strip()]
    return " / ".join(lines[-4:])[:600] or "it printed nothing"
