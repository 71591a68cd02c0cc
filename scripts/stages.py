"""Says whether a stage of tests was proven for the code at hand, and notes that it was.

`tests/proven.json` has, for each stage, the digest of all that it tested when it last passed as a whole: its
tests, the modules they import and run with all that these import, the files those name, and what the lock
pins for them. While the digest is the same, one smoke of the stage is enough.

    python scripts/stages.py check kind     # ends with 0 if it is proven
    python scripts/stages.py note kind      # it passed as a whole
    python scripts/stages.py ready lab2     # ends with 0 if the lab's own programs are in the cache
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from graders.closure import closure_of, modules_below
from graders.definition import lab_package
from graders.distributions import pins_of
from graders.evidence.jsonfile import write_json
from graders.gradekey import LOCK, PROGRAMS
from graders.paths import REPOSITORY
from graders.sourcefile import read_source
from graders.tools import find

PROVEN = REPOSITORY / "tests" / "proven.json"
SCHEMA = "kubeproof/proven/v1"

_COMMAND = ("graders.cli.grade", "graders.recording", "graders.lab1.scenario", "graders.clusters.embedded")
STAGES = {
    "attacks": (("tests/adversarial", "tests/conformance", "tests/e2e/command.py"), _COMMAND),
    "kind": (
        ("tests/kind", "tests/conformance/test_providers.py"),
        (*_COMMAND, "graders.clusters.kind.provider"),
    ),
}
"""For each stage where its tests are, and what they run without importing it."""


def key(stage: str) -> str:
    """The digest of all that a stage tests."""
    places, roots = STAGES[stage]
    known = modules_below("graders")
    tests = sorted({file for place in places for file in _tests_of(REPOSITORY / place)})
    imported = {name for file in tests for name in read_source(file).imports}
    closure = closure_of({*roots, *(known & imported)})
    others = ("labs/lab1/lab.yaml", "labs/lab1/policies", "solutions/lab1/reference")
    tops = {name.partition(".")[0] for name in imported}
    pins = pins_of(closure.outside | tops, LOCK, programs=PROGRAMS)
    return closure.digest(*tests, *(REPOSITORY / name for name in others), lines=pins)


def ready(lab: str) -> bool:
    """Whether the programs of a lab's own are there: it can be graded, and nothing is built first."""
    package = lab_package(lab)
    return not package.definition.tools or all(find(toolset) is not None for toolset in package.load("tools"))


def _tests_of(place: Path) -> Iterator[Path]:
    """The tests of a file or folder, and the modules of tests/ that they import, however far."""
    to_visit = sorted(place.rglob("*.py")) if place.is_dir() else [place]
    found: set[Path] = set()
    while to_visit:
        file = to_visit.pop()
        if file in found:
            continue
        found.add(file)
        for name in read_source(file).imports:
            helper = REPOSITORY.joinpath(*name.split(".")).with_suffix(".py")
            if name.startswith("tests.") and helper.is_file():
                to_visit.append(helper)
    yield from found


def _proven() -> dict[str, str]:
    if not PROVEN.exists():
        return {}
    found: dict[str, str] = json.loads(PROVEN.read_text(encoding="utf-8"))["stages"]
    return found


def main() -> int:
    """Check or note one stage, or ask for a lab; 1 means no, 2 a mistaken command line."""
    verb, stage = sys.argv[1:] if len(sys.argv) == 3 else ("", "")
    if verb == "ready" and stage:
        return 0 if ready(stage) else 1
    if verb not in ("check", "note") or stage not in STAGES:
        print(__doc__, file=sys.stderr)
        return 2
    now = key(stage)
    if verb == "check":
        return 0 if _proven().get(stage) == now else 1
    stages = dict(sorted({**_proven(), stage: now}.items()))
    write_json(PROVEN, {"schema": SCHEMA, "stages": stages})
    return 0


if __name__ == "__main__":
    sys.exit(main())
