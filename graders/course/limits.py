"""What a lab's text says of limits, made from the numbers that are enforced.

`python -m graders.course.limits LAB` puts it between two marks in labs/LAB/README.md.
"""

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from graders.course.course import Lab, load_course
from graders.documents import DocumentLimits
from graders.faults import CourseError
from graders.paths import REPOSITORY
from graders.sandbox.building import HandoverLimits
from graders.sandbox.fetching import MOST_BYTES, MOST_PACKAGES, WITHIN_S
from graders.sandbox.gomodules import MOST_MODULES
from graders.sandbox.goruntime import compiled_already
from graders.sandbox.requirements import MOST_REQUIREMENTS
from graders.sandbox.runtime import LOCK
from graders.submissions.limits import SubmissionLimits
from graders.submissions.manifests import MOST_MANIFESTS
from graders.tools.toolchain import pinned_go_version

BEGIN = "<!-- limits: made by `python -m graders.course.limits`, do not edit -->"
END = "<!-- end of limits -->"


def render(lab: Lab) -> str:
    """The section, in Markdown, without the marks."""
    lines = [*_handed_in(lab.builds), "", *_used(lab)]
    return "\n".join([*lines, "", *_there()] if lab.builds else lines) + "\n"


def updated(readme: str, block: str, *, file: Path) -> str:
    """`readme` with `block` between the marks.

    Raises:
        CourseError: the marks are not there.
    """
    before, begin, rest = readme.partition(f"{BEGIN}\n")
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise CourseError(f"has no place for limits: no {BEGIN} ... {END}", file=file, fix="write both lines")
    return f"{before}{BEGIN}\n\n{block}\n{END}{after}"


def readme_of(lab: Lab) -> Path:
    """The lab's text."""
    return lab.folder / "README.md"


def _handed_in(builds: bool) -> Iterator[str]:
    limits, document, built = SubmissionLimits(), DocumentLimits(), HandoverLimits()
    yield "| what you hand in | at most |"
    yield "|---|---|"
    yield f"| one file | {_size(limits.file_bytes)} |"
    yield f"| its name and path | {limits.name_bytes} bytes, {limits.depth} folders deep |"
    yield f"| all of it | {_size(limits.total_bytes)} in {limits.files:,} files and folders |"
    yield f"| an archive (`.zip`, `.tar`, `.tar.gz`) | {_size(limits.archive_bytes)} packed |"
    yield f"| `submission.yaml`, each manifest | {_size(document.size_bytes)}; {MOST_MANIFESTS} manifests |"
    if not builds:
        return
    yield (
        f"| what `build` leaves | {_size(built.file_bytes)} a file, {_size(built.total_bytes)} in "
        f"{built.files:,} files |"
    )
    yield (
        f"| packages for Python | {MOST_REQUIREMENTS} requirements, {MOST_PACKAGES} packages with all they "
        f"depend on, {_size(MOST_BYTES)}, fetched within {_time(WITHIN_S)} |"
    )
    yield f"| modules for Go | {MOST_MODULES:,} requirements |"


def _used(lab: Lab) -> Iterator[str]:
    yield f"| what runs may use | {' | '.join(lab.limited)} |"
    yield "|---|---|---|"

    def row(name: str, amounts: tuple[str, str]) -> str:
        return f"| {name} | {amounts[0]} | {amounts[1]} |"

    both = (lab.program_limits, lab.tool_limits)
    yield row("memory, with its children", _each(_size(limits.memory_bytes) for limits in both))
    yield row("CPU time", _each(_time(limits.cpu_s) for limits in both))
    yield row("time", _each(_time(limits.wall_s) for limits in both))
    yield row("processes and threads", _each(f"{limits.pids:,}" for limits in both))
    yield row("`/tmp` and `HOME`, each", _each(_size(limits.tmp_bytes) for limits in both))
    yield row("one file that it writes", _each(_size(limits.file_bytes) for limits in both))
    yield row("what it prints", _each(_size(limits.log_bytes) for limits in both))


def _there() -> Iterator[str]:
    go, python = pinned_go_version(), _least_python()
    yield "| what is there | version |"
    yield "|---|---|"
    release = go.rpartition(".")[0]
    yield f"| Go | {go}; whatever patch of {release} your `go.mod` names, it is built with this one |"
    modules = ", ".join(f"{path} {version.removeprefix('v')}" for path, version in compiled_already())
    yield f"| modules for Go, compiled already | {modules}; another patch of these is compiled anew |"
    yield f"| Python | the grader's own, {python} or later |"
    yield f"| packages for Python | {', '.join(_pinned())} |"
    yield (
        "| where others come from | as wheels, the package index that `pip` on the grader's machine uses; "
        "the module proxy that `go` there uses, never a repository itself |"
    )


def _each(amounts: Iterator[str]) -> tuple[str, str]:
    program, tools = amounts
    return program, tools


def _size(size_bytes: int) -> str:
    gibibyte, mebibyte = 1024**3, 1024**2
    whole = size_bytes % gibibyte == 0
    return f"{size_bytes // gibibyte} GiB" if whole else f"{size_bytes // mebibyte} MiB"


def _time(seconds: float) -> str:
    return f"{seconds / 60:g} min" if seconds % 60 == 0 else f"{seconds:g} s"


def _least_python() -> str:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]
    return str(project["requires-python"]).removeprefix(">=")


def _pinned() -> Iterator[str]:
    """The packages that the course names for learners, with their exact versions."""
    wanted = re.findall(r"^([a-z][a-z0-9-]*)", LOCK.with_suffix(".in").read_text("utf-8"), re.MULTILINE)
    pins = dict(re.findall(r"^([a-z][a-z0-9-]*)==(\S+)", LOCK.read_text("utf-8"), re.MULTILINE))
    yield from (f"{name} {pins[name]}" for name in wanted)


def main(names: list[str]) -> None:
    """Rewrite the section in the text of each lab named."""
    for name in names:
        lab = load_course().find_lab(name)
        file = readme_of(lab)
        file.write_text(updated(file.read_text("utf-8"), render(lab), file=file), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
