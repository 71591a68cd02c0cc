"""Private Python environments: for submissions that need packages which the course's environment lacks.

Such an environment lies in the cache, named by its content, and stands on the course's: its own packages
come first, the course's after them. A stranger chose what is in it. A wheel can bring files that Python
runs at each start, and can replace the interpreter, so nothing in it is ever run outside a sandbox: it is
made by the interpreter below it, and filled by our own pip, which only unpacks.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from graders.documents.wording import printable
from graders.faults import BadSubmission, InfraFault
from graders.once import one_at_a_time, remove_tree, scratch_folder, write_atomically
from graders.paths import cache_folder
from graders.progress import Progress
from graders.sandbox.requirements import RUNNING, TESTING, Wanted, read_requirements, satisfied
from graders.sandbox.runtime import LOCK, TYPE_CACHE, Runtime, make_venv
from graders.wheels import PipRun, run_pip, wheels_into

MOST_BYTES = 2 * 1024**3
MOST_PACKAGES = 300
WITHIN_S = 600.0

_STAMP = "complete.json"
_SCHEMA = "kubeproof/environment/v1"
_SETTINGS = frozenset(
    f"PIP_{name}"
    for name in (
        "INDEX_URL", "EXTRA_INDEX_URL", "FIND_LINKS", "NO_INDEX", "TRUSTED_HOST", "CERT", "CLIENT_CERT",
        "PROXY", "CACHE_DIR", "NO_CACHE_DIR", "TIMEOUT", "DEFAULT_TIMEOUT", "RETRIES", "CONFIG_FILE",
        "KEYRING_PROVIDER",
    )
)  # fmt: skip
"""pip's variables that say where to look. Others, which could allow builds, are not handed on."""

_NETWORK = re.compile(
    r"Retrying \(Retry|ConnectionPool|ConnectionError|NewConnection|Read timed out|ReadTimeout"
    r"|name resolution|HTTP error (5\d\d|429)|\b(5\d\d|429) (Server|Client) Error|SSLError|No space left"
    r"|ProxyError|No module named pip"
)
"""What pip says when no learner can help it; decides before everything else it says."""

_LEARNERS = re.compile(
    r"No matching distribution|Could not find a version|ResolutionImpossible|conflicting dependencies"
    r"|DO NOT MATCH THE HASHES|--require-hashes|is not a supported wheel|Invalid wheel|invalid metadata"
    r"|has inconsistent|trying to install outside|Invalid requirement|resolution-too-deep|is invalid"
    r"|requires a different Python|Wheel .* is broken|could not be unpacked|BadZipFile|Invalid version"
    r"|dist-info director"
)
_WORTH_TELLING = re.compile(r"^(ERROR|THESE PACKAGES|The conflict|.* depends on |\s*Expected|\s*Got)")
_OUR_FILES = re.compile(
    r"; for help visit.*|: for help visit.*|-[rc] \S+ \(line \d+\)( and)? ?|\(from -[rc] [^)]*\)+ ?"
)
_FIX = "see that `pip install --only-binary :all: -r requirements.txt` succeeds on a Linux machine"


@dataclass(frozen=True)
class _Wish:
    """What pip is to install, within which bounds."""

    wanted: tuple[Wanted, ...]
    constraints: tuple[Wanted, ...]

    @property
    def requirements_txt(self) -> str:
        return _file(self.wanted)

    @property
    def constraints_txt(self) -> str:
        return _file(replace(each, hashes=frozenset()) for each in self.constraints)


def _file(wanted: Iterable[Wanted]) -> str:
    return "".join(f"{line}\n" for line in sorted({str(each) for each in wanted}))


def check_requirements(root: Path) -> None:
    """See that the requirements of the submission at `root` can be read.

    Raises:
        BadSubmission: names file and line.
    """
    for name in (RUNNING, TESTING):
        read_requirements(root, name)


def ensure_environment(course: Runtime, root: Path, progress: Progress) -> Runtime:
    """The environment for the submission at `root`: the course's where that has all it asks for.

    Otherwise a private one from the cache, made once for all that ask for the same. Packages that only
    tests need are added to it; whatever else they need is the course's.

    Raises:
        BadSubmission: a requirement cannot be read, or cannot be had as a wheel.
        InfraFault: the index cannot be reached, or the machine cannot make environments.
    """
    wish = _wish(root)
    if wish is None:
        return course
    text = f"{course.venv.name}\n{wish.requirements_txt}\n{wish.constraints_txt}"
    key = hashlib.sha256(text.encode()).hexdigest()[:24]
    venv = cache_folder().resolve() / "environments" / key
    private = Runtime(venv, venv / "bin" / "python", course.base, course.lock_sha256, beneath=course.venv)
    if not _is_complete(venv):
        with one_at_a_time(venv.with_name(f"{key}.lock"), "environment of a submission", progress):
            if not _is_complete(venv):
                _make(private, wish, progress)
    return private


def _wish(root: Path) -> _Wish | None:
    """What has to be installed; None if the course's environment has it all."""
    running, testing = (read_requirements(root, name) for name in (RUNNING, TESTING))
    bounds = (*running.constraints, *testing.constraints)
    fulfilled = satisfied((*running.wanted, *testing.wanted), bounds, _course_pins())
    # What runs is resolved as a whole, by what its author wrote. A test tool that is there is good enough.
    missing = [each for each in running.wanted if each not in fulfilled]
    extra = [each for each in testing.wanted if each not in fulfilled]
    wanted = [*(running.wanted if missing else ()), *extra]
    return _Wish(tuple(wanted), bounds) if missing or extra else None


@cache
def _course_pins() -> tuple[Wanted, ...]:
    return read_requirements(LOCK.parent, LOCK.name, most_bytes=2**20).wanted


def _is_complete(venv: Path) -> bool:
    return (venv / _STAMP).is_file()


def _make(private: Runtime, wish: _Wish, progress: Progress) -> None:
    venv, course = private.venv, private.beneath
    assert course is not None
    remove_tree(venv)
    try:
        make_venv(venv)
        (packages,) = venv.glob("lib/python3.*/site-packages")
        (course_packages,) = course.glob("lib/python3.*/site-packages")
        with scratch_folder(venv.parent / "scratch" / venv.name) as scratch:
            _fill(packages, scratch, wish, progress)
        # Packages first, this after them: the name sorts last, should there be others.
        (packages / "~course.pth").write_text(f"{course_packages}\n", encoding="utf-8")
        _borrow(course, venv)
        stamp = {"schema": _SCHEMA, "requirements": wish.requirements_txt.splitlines()}
        write_atomically(venv / _STAMP, json.dumps(stamp) + "\n")
    finally:
        if not _is_complete(venv):
            remove_tree(venv)


def _borrow(course: Path, venv: Path) -> None:
    """Show the course's ruff and its cache of types where the tools look for them."""
    (venv / "bin" / "ruff").symlink_to(course / "bin" / "ruff")
    types = venv / TYPE_CACHE
    types.parent.mkdir(parents=True, exist_ok=True)
    types.symlink_to(course / TYPE_CACHE)


def _fill(packages: Path, scratch: Path, wish: _Wish, progress: Progress) -> None:
    requirements, constraints = scratch / "requirements.txt", scratch / "constraints.txt"
    requirements.write_text(wish.requirements_txt, encoding="utf-8")
    constraints.write_text(wish.constraints_txt, encoding="utf-8")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    settings = {name: value for name, value in os.environ.items() if name in _SETTINGS}
    run = run_pip(
        wheels_into(packages, requirements, constraints),
        "fetching the packages that the submission asks for",
        progress,
        environment={**kept, **settings, "TMPDIR": str(scratch)},
        watch=_limits((scratch, packages)),
    )
    _judge(run, wish)


def _limits(folders: Sequence[Path]) -> Callable[[int], str]:
    end = time.monotonic() + WITHIN_S

    def watch(collected: int) -> str:
        if collected > MOST_PACKAGES:
            return f"with all they depend on, they are over {MOST_PACKAGES} packages"
        if sum(_size(folder) for folder in folders) > MOST_BYTES:
            return f"with all they depend on, they take over {MOST_BYTES / 1024**3:g} GiB"
        if time.monotonic() > end:
            return f"no set of versions that fits together was found within {WITHIN_S:g} s"
        return ""

    return watch


def _size(folder: Path) -> int:
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(place, name)).st_size  # noqa: PTH118 - many files, often
            except OSError:
                continue
    return total


def _judge(run: PipRun, wish: _Wish) -> None:
    if run.status == 0 and not run.stopped:
        return
    said = "\n".join(run.lines)
    if _NETWORK.search(said):
        raise InfraFault(
            f"packages of the submission cannot be fetched: {_gist(run)}",
            fix="check that this machine reaches a Python package index (pip's own settings are used)",
        )
    if run.stopped:
        first = wish.wanted[0]
        raise BadSubmission(
            run.stopped, file=first.file, fix="require less, or pin versions that are known to fit together"
        )
    if not _LEARNERS.search(said):
        raise InfraFault(f"pip failed (exit {run.status}): {_gist(run)}", fix="run `kubeproof doctor`")
    at = _named_in(run, wish.wanted)
    raise BadSubmission(
        f"cannot be installed from wheels: {_gist(run)}", file=at.file, line=at.line, fix=_FIX
    )


def _gist(run: PipRun) -> str:
    """The lines that say what was wrong, as one."""
    telling = [line for line in run.lines if _WORTH_TELLING.match(line)] or list(run.lines[-3:])
    text = "; ".join(_OUR_FILES.sub("", line).removeprefix("ERROR: ") for line in telling[:4])
    return printable(text, longest=600)


def _named_in(run: PipRun, wanted: Sequence[Wanted]) -> Wanted:
    """The requirement that pip complains about; the first where it cannot be told."""
    for line in run.lines:
        if _WORTH_TELLING.match(line):
            words = set(re.split(r"[^a-z0-9.-]+", line.lower().replace("_", "-")))
            for each in wanted:
                if each.name in {re.split(r"[=<>!~\[]", word)[0] for word in words}:
                    return each
    return wanted[0]
