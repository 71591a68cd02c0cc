"""Has pip fetch and unpack the packages that a stranger asks for, or says whose fault it is."""

import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from graders.documents.wording import printable, quote
from graders.faults import BadSubmission, InfraFault
from graders.progress import Progress
from graders.sandbox.requirements import RequiredPackages
from graders.unpack_only import REFUSAL
from graders.wheels import UNPACK_ONLY, PipRun, run_pip, wheels_into

MOST_BYTES = 2 * 1024**3
MOST_PACKAGES = 300
WITHIN_S = 600.0

_BLOCK_BYTES = 4096
"""What a file takes at least; without it, so many empty ones would be free."""

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
    r"WARNING: Retrying \(Retry\(total=\d+, |ConnectionPool\(host='[^']+', port=|Read timed out\. \("
    r"|Could not fetch URL \S+ (?!404 |410 )|HTTP error (?!404 |410 )\d+ while|No space left on device"
    r"|: (?!404 |410 )\d{3} (Client|Server) Error: "
)
"""What pip says when no learner can help it; decides before everything else it says. No name of a package
and no version can look like it: they hold no spaces."""

_LEARNERS = re.compile(
    r"No matching distribution|Could not find a version|ResolutionImpossible|conflicting dependencies"
    r"|DO NOT MATCH THE HASHES|--require-hashes|is not a supported wheel|Invalid wheel|invalid metadata"
    r"|has inconsistent|trying to install outside|Invalid requirement|resolution-too-deep|is invalid"
    r"|requires a different Python|Wheel .* is broken|could not be unpacked|BadZipFile|Invalid version"
    r"|dist-info director|Invalid(Requirement|Specifier|Version|Metadata|Marker|WheelFilename)\b|zlib\.error"
    r"|Unicode(Decode|Encode)Error|RecursionError|MemoryError|File too large|No permission to execute '\w+'|"
    + REFUSAL
)
_SEARCHES = "pip is looking at multiple versions of "
"""pip says so while it tries which versions fit together."""

_WORTH_TELLING = re.compile(r"^(ERROR|THESE PACKAGES|The conflict|.* depends on |\s*Expected|\s*Got)")
_OUR_FILES = re.compile(
    r"; for help visit.*|: for help visit.*|-[rc] \S+ \(line \d+\)( and)? ?|\(from -[rc] [^)]*\)+ ?"
)


@dataclass(frozen=True)
class PackageRequest:
    """What pip is to install, within which bounds."""

    wanted: tuple[RequiredPackages, ...]
    constraints: tuple[RequiredPackages, ...]

    @property
    def requirements_txt(self) -> str:
        """The first of the files that pip reads; none of a learner's own is ever given to it."""
        return _file(self.wanted)

    @property
    def constraints_txt(self) -> str:
        """The second."""
        return _file(replace(each, hashes=frozenset()) for each in self.constraints)


def _file(wanted: Iterable[RequiredPackages]) -> str:
    return "".join(f"{line}\n" for line in sorted({str(each) for each in wanted}))


def fetch(
    wish: PackageRequest, packages: Path, scratch: Path, progress: Progress, *, machine: Sequence[str] = ()
) -> list[str]:
    """Unpack what `wish` asks for and all it needs into `packages`; gives it as `name==version`.

    `machine`, from `wheels_for`, asks for wheels of another Python than this one.

    Raises:
        BadSubmission: it cannot be had as wheels, or is too much. InfraFault: it cannot be fetched.
    """
    requirements, constraints = scratch / "requirements.txt", scratch / "constraints.txt"
    requirements.write_text(wish.requirements_txt, encoding="utf-8")
    constraints.write_text(wish.constraints_txt, encoding="utf-8")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    settings = {name: value for name, value in os.environ.items() if name in _SETTINGS}
    run = run_pip(
        wheels_into(packages, requirements, constraints, scratch, machine=machine),
        "fetching the packages that the submission asks for",
        progress,
        environment={**kept, **settings, "TMPDIR": str(scratch)},
        program=UNPACK_ONLY,
        watch=_limits((scratch, packages)),
    )
    if run.status != 0 or run.stopped:
        raise _fault(run, wish, scratch / "log", _python(machine))
    report: dict[str, Any] = json.loads((scratch / "report.json").read_text("utf-8"))
    return sorted(_installed(report["install"], wish))


def _installed(entries: list[dict[str, Any]], wish: PackageRequest) -> Iterator[str]:
    for entry in entries:
        name, version = entry["metadata"]["name"], entry["metadata"]["version"]
        if entry["is_direct"]:
            raise BadSubmission(
                f"what it asks for needs {quote(name)} from an address of its own, not from the index",
                file=wish.wanted[0].file,
                fix="require packages that need nothing but packages of the index",
            )
        yield f"{name}=={version}"


class _Late(str):
    """The reason for a stop that may be the network's fault."""


def _limits(folders: Sequence[Path]) -> Callable[[int], str]:
    end = time.monotonic() + WITHIN_S

    def watch(collected: int) -> str:
        if collected > MOST_PACKAGES:
            return f"with all they depend on, over {MOST_PACKAGES} packages or versions had to be looked at"
        if sum(_size(folder) for folder in folders) > MOST_BYTES:
            return f"with all they depend on, they take over {MOST_BYTES / 1024**3:g} GiB"
        if time.monotonic() > end:
            return _Late(f"no set of versions that fits together was found within {WITHIN_S:g} s")
        return ""

    return watch


def _size(folder: Path) -> int:
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                size = os.lstat(os.path.join(place, name)).st_size  # noqa: PTH118 - many files, often
            except OSError:
                continue
            total += max(size, _BLOCK_BYTES)
    return total


def _python(machine: Sequence[str]) -> str:
    """The version of Python that packages are fetched for."""
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    return machine[machine.index("--python-version") + 1] if machine else here


def _fault(run: PipRun, wish: PackageRequest, log: Path, python: str) -> BadSubmission | InfraFault:
    """Whose fault it is that pip failed or was stopped."""
    network, searches = _noted(log)
    network = network or next((line for line in run.lines if _NETWORK.search(line)), "")
    late = isinstance(run.stopped, _Late)
    if (network and (late or not run.stopped)) or (late and not searches):
        said = printable(network, longest=300) or f"not done within {WITHIN_S:g} s"
        return InfraFault(
            f"packages of the submission cannot be fetched: {said}",
            fix="check that this machine reaches a Python package index (pip's own settings are used)",
        )
    if run.stopped:
        return BadSubmission(
            run.stopped,
            file=wish.wanted[0].file,
            fix="require less, or pin versions that are known to fit together",
        )
    if not any(_LEARNERS.search(line) for line in run.lines):
        return InfraFault(f"pip failed (exit {run.status}): {_gist(run)}", fix="run `kubeproof doctor`")
    at = _named_in(run, wish.wanted)
    all_of_it = f"-r {at.file}" if at.file.endswith(".txt") else f"'{at.requirement}'"
    return BadSubmission(
        f"cannot be installed from wheels: {_gist(run)}",
        file=at.file,
        line=at.line,
        fix=f"see that `pip install --only-binary :all: {all_of_it}` succeeds with Python {python} on Linux",
    )


def _noted(log: Path) -> tuple[str, bool]:
    """From pip's own log: what it says of the network, if anything; whether it searched for versions.

    An index that refuses or fails shows nowhere else: pip goes on as if the index had no such package.
    """
    network, searches = "", False
    try:
        with log.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                searches = searches or _SEARCHES in line
                network = network or (line.partition(" ")[2].strip() if _NETWORK.search(line) else "")
    except OSError:
        return "", False
    return network, searches


def _gist(run: PipRun) -> str:
    """The lines that say what was wrong, as one."""
    if any(REFUSAL in line for line in run.lines):
        return f"{REFUSAL}, and one of the packages needs what is no wheel"
    telling = [line for line in run.lines if _WORTH_TELLING.match(line)] or list(run.lines[-3:])
    if telling[:1] == ["ERROR: Exception:"]:  # a traceback; its end says what it was
        telling = list(run.lines[-1:])
    text = "; ".join(_OUR_FILES.sub("", line).removeprefix("ERROR: ") for line in telling[:4])
    return printable(text, longest=600)


def _named_in(run: PipRun, wanted: Sequence[RequiredPackages]) -> RequiredPackages:
    """The requirement that pip complains about; the first where it cannot be told."""
    for line in run.lines:
        if _WORTH_TELLING.match(line):
            words = set(re.split(r"[^a-z0-9.-]+", line.lower().replace("_", "-")))
            for each in wanted:
                if each.name in {re.split(r"[=<>!~\[]", word)[0] for word in words}:
                    return each
    return wanted[0]
