"""The operator's code: typed, linted, tested."""

import re
from dataclasses import dataclass

from graders.evidence.bundle import Bundle
from graders.evidence.records import ToolRun
from graders.faults import InfraFault
from graders.judging import Facts, Findings, check

COVERAGE_PERCENT = 70
_TOTAL = re.compile(r"^TOTAL\s.*?\b(\d{1,3})(?:\.\d+)?%\s*$", re.MULTILINE)
_PASSED = re.compile(r"(\d+) passed")
_GO_TOTAL = re.compile(r"^total:\s.*?\b(\d{1,3})(?:\.\d+)?%\s*$", re.MULTILINE)
_GO_PASSED = re.compile(r"^ok\s+\S+\s+(?!.*\[no tests to run\])\S", re.MULTILINE)


@dataclass(frozen=True)
class _Profile:
    """How code in one language is judged: its tools, which of them runs the tests, and what that prints."""

    tools: tuple[str, ...]
    tests: str
    passed: re.Pattern[str]
    total: re.Pattern[str]


_PROFILES = {
    "python": _Profile(("ruff", "mypy", "pytest"), "pytest", _PASSED, _TOTAL),
    "go": _Profile(("go-vet", "staticcheck", "go-test"), "go-test", _GO_PASSED, _GO_TOTAL),
}


@check(
    "code-quality",
    tracks=("quality",),
    hint="Run the linters and your tests as the lab text shows: ruff, mypy --strict and pytest --cov; in Go "
    "go vet, staticcheck and go test -race -cover.",
)
def check_code_quality(bundle: Bundle, facts: Facts) -> None:
    """The linters of its language find nothing, and its own tests pass and cover at least 70 % of it."""
    runs = {run.tool: run for run in bundle.tools}
    language = bundle.manifest.block.get("language")
    profile = _PROFILES.get(str(language))
    with Findings() as found:
        if not found.expect(
            profile, "a submission in Python or Go", f"language {language!r}, which is not judged"
        ):
            return
        assert profile is not None
        for tool in profile.tools:
            if tool not in runs:
                raise InfraFault(f"{tool} was not run")
            run = runs[tool]
            facts[f"{tool.replace('-', '_')}_exit_code"] = run.code
            found.expect(run.code == 0, f"{tool} to pass", f"{tool} {run.reason}: {_end_of(run)}")
        silenced = runs["silencers"].output if "silencers" in runs else ""
        found.expect(not silenced, "no comment that switches a tool off for a whole file", silenced[:300])
        output = runs[profile.tests].output
        found.expect(profile.passed.search(output), "tests of its own", f"{profile.tests} passed none")
        total = profile.total.findall(output)
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
