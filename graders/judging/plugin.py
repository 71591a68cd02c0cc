"""The pytest plugin that runs checks: pytest collects and calls them, this turns ends into outcomes."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType

import pytest

from graders.evidence.bundle import Bundle
from graders.faults import CourseError, Unmet
from graders.judging.check import CheckInfo, info_of
from graders.judging.ends import Stopped, by_requirement, ended, joined, part_of
from graders.judging.facts import Facts
from graders.model import Outcome

FACTS = pytest.StashKey[Facts]()


class Judging:
    """Runs the checks of a plan over a bundle and keeps their outcomes.

    `decided` holds, by check, what was clear before: no capability, no sound record.
    """

    def __init__(
        self,
        bundle: Bundle,
        plan: Sequence[CheckInfo],
        sources: Mapping[Path, ModuleType],
        decided: Mapping[str, Outcome],
    ) -> None:
        self._bundle = bundle
        self._order = {info.id: place for place, info in enumerate(plan)}
        self._sources = sources
        self._decided = dict(decided)
        self._parts: dict[str, list[Outcome]] = {}
        self._running: tuple[BaseException | None, float] = (None, 0.0)
        self.broken: BaseException | None = None
        """Why the run as a whole did not come to its end."""

    @property
    def outcomes(self) -> dict[str, Outcome]:
        """What is known by now, by check; a parametrised check has the gravest of its parts."""
        return {**self._decided, **{name: joined(parts) for name, parts in self._parts.items()}}

    @pytest.fixture(scope="session")
    def bundle(self) -> Bundle:
        """The record to judge."""
        return self._bundle

    @pytest.fixture
    def facts(self, request: pytest.FixtureRequest) -> Facts:
        """Where a check records what it measured."""
        recorded: Facts = request.node.stash[FACTS]
        return recorded

    @pytest.hookimpl(tryfirst=True)
    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        """Leave whatever lies beside the checks, or in a folder above, where it is."""
        return True if collection_path.is_file() and collection_path not in self._sources else None

    def pytest_pycollect_makemodule(self, module_path: Path, parent: pytest.Collector) -> pytest.Module:
        """Use the module that is imported already: what runs is what was cross-checked."""
        module = pytest.Module.from_parent(parent, path=module_path)
        module.obj = self._sources[module_path]
        return module

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Keep what is planned, in the order of the plan, each where it was written only."""
        items[:] = sorted(
            (item for item in items if _is_own(item) and _check(item).id in self._order),
            key=lambda item: self._order[_check(item).id],
        )

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A check that pytest cannot collect is a mistake of the course."""
        if report.failed:
            self.broken = self.broken or CourseError(
                f"a check cannot be collected: {report.longrepr}",
                file=report.nodeid,
                fix="a check takes only fixtures: bundle, facts and those of the lab's fixtures.py",
            )

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """A check is not run where one that it requires did not pass."""
        item.stash[FACTS] = Facts()
        outcome = by_requirement(_check(item), self.outcomes)
        if outcome is not None:
            raise Stopped(outcome)

    @pytest.hookimpl(tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> bool:
        """Call the check; one that returns something believes that it could fail that way."""
        names = inspect.signature(pyfuncitem.obj).parameters
        result = pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names})
        if result is not None:
            returned = f"{pyfuncitem.name} returned {type(result).__name__}"
            raise TypeError(f"{returned}; a check raises Unmet, or returns None")
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> pytest.TestReport:
        """Keep how each phase ended; after the last one, that is the check's outcome."""
        error, duration_s = self._running
        self._running = (error or (call.excinfo.value if call.excinfo else None), duration_s + call.duration)
        if call.when == "teardown":
            self._finish(item, *self._running)
            self._running = (None, 0.0)
        return pytest.TestReport(
            item.nodeid,
            item.location,
            keywords={},
            outcome="failed" if call.excinfo else "passed",
            longrepr=None,
            when="call" if call.when == "collect" else call.when,
        )

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Keep what stopped the run, to raise it where judging was asked for."""
        self.broken = self.broken or excinfo.value

    def pytest_internalerror(self, excinfo: pytest.ExceptionInfo[BaseException]) -> bool:
        """Keep what broke the run; True keeps pytest from printing it."""
        self.broken = self.broken or excinfo.value
        return True

    def _finish(self, item: pytest.Item, error: BaseException | None, duration_s: float) -> None:
        info, facts = _check(item), item.stash[FACTS]
        if isinstance(error, Unmet):
            facts.update(error.facts)
        outcome = ended(info, error, facts.recorded(), duration_s)
        part = item.callspec.id if isinstance(item, pytest.Function) and hasattr(item, "callspec") else ""
        self._parts.setdefault(info.id, []).append(part_of(outcome, part) if part else outcome)


def _is_own(item: pytest.Item) -> bool:
    return isinstance(item, pytest.Function) and item.function.__module__ == item.module.__name__


def _check(item: pytest.Item) -> CheckInfo:
    info = info_of(getattr(item, "function", None))
    if info is None:
        raise TypeError(f"{item.nodeid} is not a check")
    return info
