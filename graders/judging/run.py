"""Judge a bundle: from a record and a lab's checks to outcomes, with no cluster and no score."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sys
import threading
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from graders.evidence.bundle import Bundle
from graders.faults import KubeproofError, UsageError
from graders.judging.catalogue import FIXTURES, checks_folder, collect_checks, modules, with_required
from graders.judging.check import CheckInfo
from graders.judging.ends import before_running
from graders.judging.text import clean
from graders.model import Outcome

# Whatever a check does not need costs time at each start, or sets state of the whole process that an
# enclosing pytest (our own tests) or the harness's threads live by.
# fmt: off
UNUSED_PLUGINS = (
    "assertion", "cacheprovider", "capture", "debugging", "doctest", "faulthandler",
    "freeze_support", "junitxml", "legacypath", "logging", "monkeypatch", "pastebin", "recwarn",
    "setuponly", "setupplan", "skipping", "stepwise", "subtests", "terminal", "threadexception",
    "tmpdir", "unittest", "unraisableexception", "warnings",
)
# fmt: on

# pytest lives by state of the process (environment, warning filters), so one run at a time.
_one_at_a_time = threading.Lock()


def judge(
    bundle: Bundle, *, lab: str, only: Iterable[str] = (), folder: Path | None = None
) -> tuple[Outcome, ...]:
    """Judge `bundle` by the checks of `lab`.

    A check whose tracks the bundle does not have is left out: nobody asked for that record. A track
    that failed makes its checks an ERROR of infrastructure; a missing capability makes UNSUPPORTED.

    Args:
        bundle: the record.
        lab: the lab's slug.
        only: checks to give the outcomes of; those they require are judged with them, but not given.
            Empty: every check that the bundle has the record for.
        folder: where the checks are, unless in the lab's own folder.

    Returns:
        Outcomes in the order of judging: requirements first.

    Raises:
        UsageError: the bundle is of another lab, has no record for a check in `only`, or there is no
            such check.
        CourseError: the lab's checks contradict themselves.
        KeyboardInterrupt: somebody pressed Ctrl-C.
    """
    if bundle.manifest.lab != lab:
        raise UsageError(
            f"this bundle records lab {clean(bundle.manifest.lab, 50)!r}, not {lab!r}",
            file=bundle.folder / "manifest.json",
            fix=f"judge it as lab {clean(bundle.manifest.lab, 50)!r}, or name a bundle of {lab!r}",
        )
    where = folder or checks_folder(lab)
    checks = collect_checks(lab, folder=where)
    asked = frozenset(only)
    decided: dict[str, Outcome] = {}
    plan: list[CheckInfo] = []
    for info in with_required(checks, asked):
        outcome = before_running(info, bundle)
        if outcome is not None:
            decided[info.id] = outcome
        elif missing := _missing_tracks(checks, info, bundle):
            if info.id in asked:
                raise _no_record(info, missing, bundle)
        else:
            plan.append(info)
    outcomes = _run(bundle, plan, where, decided)
    return tuple(
        dataclasses.replace(outcomes[info.id], tracks=info.tracks)
        for info in checks
        if info.id in outcomes and (not asked or info.id in asked)
    )


def _missing_tracks(checks: Sequence[CheckInfo], info: CheckInfo, bundle: Bundle) -> list[str]:
    """Tracks that `info` or a check it requires reads, and that nobody recorded."""
    present = frozenset(bundle.manifest.capabilities)
    needed = [
        track
        for required in with_required(checks, [info.id])
        if {need.value for need in required.needs} <= present
        for track in required.tracks
    ]
    return sorted({track for track in needed if track not in bundle.manifest.tracks})


def _no_record(info: CheckInfo, missing: Sequence[str], bundle: Bundle) -> UsageError:
    return UsageError(
        f"this bundle has no record to judge {info.id!r} by: track {', '.join(missing)} was not run",
        file=bundle.folder,
        fix=f"grade the submission again with --only {info.id}, or in full",
    )


def _run(
    bundle: Bundle, plan: Sequence[CheckInfo], folder: Path, decided: dict[str, Outcome]
) -> dict[str, Outcome]:
    if not plan:
        return decided
    # Only here: pytest takes a fifth of a second to import, and whoever lists checks needs none of it.
    import pytest  # noqa: PLC0415

    from graders.judging.plugin import Judging  # noqa: PLC0415

    sources = modules(folder)
    judging = Judging(bundle, plan, sources, decided)
    shared = [module for path, module in sources.items() if path.stem == FIXTURES]
    files = [str(path) for path in sources if path.stem != FIXTURES]
    options = [
        f"--rootdir={folder.resolve()}",
        f"--confcutdir={folder.resolve()}",
        f"-c{os.devnull}",
        "--noconftest",
        "--disable-plugin-autoload",
        "-opython_functions=check_*",
        "-opython_classes=",
        *(f"-pno:{name}" for name in UNUSED_PLUGINS),
    ]
    with _one_at_a_time, _undisturbed():
        pytest.main([*options, *files], plugins=[judging, *shared])
    if isinstance(judging.broken, KubeproofError) or type(judging.broken) is KeyboardInterrupt:
        raise judging.broken
    lost = [info.id for info in plan if info.id not in judging.outcomes]
    if judging.broken is not None or lost:
        raise RuntimeError(f"judging broke off: {judging.broken!r}; not judged: {lost}") from judging.broken
    return judging.outcomes


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Keep an enclosing pytest's settings out, and checks' prints and warnings off the standard output."""
    set_aside = {name: value for name, value in os.environ.items() if name.startswith("PYTEST_")}
    for name in set_aside:
        del os.environ[name]
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(sys.stderr):
            warnings.simplefilter("ignore")
            yield
    finally:
        for name in [name for name in os.environ if name.startswith("PYTEST_")]:
            del os.environ[name]
        os.environ.update(set_aside)
