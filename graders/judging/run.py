"""Judge a bundle: from a record and a lab's checks to outcomes, with no cluster and no score."""

import contextlib
import dataclasses
import sys
import threading
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from graders.evidence.bundle import Bundle
from graders.faults import Unmet, UsageError
from graders.judging.catalogue import collect_checks, with_required
from graders.judging.check import CheckInfo
from graders.judging.ends import before_running, by_requirement, ended
from graders.judging.facts import Facts
from graders.judging.text import clean
from graders.model import Outcome

# A check's prints and warnings are set aside for the whole process, so one run at a time.
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
    checks = collect_checks(lab, folder=folder)
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
    outcomes = _run(bundle, plan, decided)
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


def _run(bundle: Bundle, plan: Sequence[CheckInfo], decided: Mapping[str, Outcome]) -> dict[str, Outcome]:
    outcomes = dict(decided)
    with _one_at_a_time, _undisturbed():
        for info in plan:
            outcomes[info.id] = by_requirement(info, outcomes) or outcome_of(info, bundle)
    return outcomes


def outcome_of(info: CheckInfo, bundle: Bundle) -> Outcome:
    """Call one check; whatever it raises, but Ctrl-C, is how it ended."""
    facts = Facts()
    given = {"bundle": bundle, "facts": facts}
    error: BaseException | None = None
    started = time.monotonic()
    try:
        result: object = info.call(**{name: given[name] for name in info.takes})
        if result is not None:
            returned = f"{info.function} returned {type(result).__name__}"
            raise TypeError(f"{returned}; a check raises Unmet, or returns None")
    except (Exception, SystemExit) as raised:
        error = raised
        if isinstance(raised, Unmet):
            error = _with_facts(raised, facts)
    try:
        return ended(info, error, facts.recorded(), time.monotonic() - started)
    finally:
        # Its traceback has this frame and the check's: the record would stay until garbage is looked for.
        del error


def _with_facts(unmet: Unmet, facts: Facts) -> Exception:
    """The failure, its facts beside those that the check recorded; facts that are none are a bug of it."""
    try:
        facts.update(unmet.facts)
    except TypeError as mistake:
        return mistake
    return unmet


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Keep what a check prints off the standard output, where a report may go, and its warnings to itself."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(sys.stderr):
        warnings.simplefilter("ignore")
        yield
