"""The journal of a custom resource's run: the same fields as Chaos Toolkit's, written by its executor."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

Entry = dict[str, Any]
SUCCEEDED, FAILED = "succeeded", "failed"


class ActionFailed(Exception):
    """An action could not be done; its text says why, with file and line where they help."""


@dataclass
class RunJournal:
    """What is written down of one run of `experiment`; any thread may use it."""

    experiment: Any
    executor: str
    say: Callable[[str], None]
    _run: list[Entry] = field(default_factory=list)
    _rollbacks: list[Entry] = field(default_factory=list)
    _states: dict[str, Any] = field(default_factory=lambda: {"before": None, "after": None, "during": []})
    _began: datetime = field(default_factory=lambda: datetime.now(UTC))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def action(self, name: str, provider: Mapping[str, Any]) -> Iterator[list[str]]:
        """One action; the block fills the list with what it did it to.

        Raises:
            ActionFailed: the block did; it is on record.
        """
        with self._activity(self._run, name, provider) as output:
            yield output

    @contextmanager
    def rollback(self, name: str, provider: Mapping[str, Any]) -> Iterator[list[str]]:
        """What takes an action back; as `action`."""
        with self._activity(self._rollbacks, name, provider) as output:
            yield output

    @contextmanager
    def _activity(self, entries: list[Entry], name: str, provider: Mapping[str, Any]) -> Iterator[list[str]]:
        activity = {"type": "action", "name": name, "provider": {"type": "custom-resource", **provider}}
        output: list[str] = []
        entry: Entry = {"activity": activity, "output": output, "start": _stamp(), "status": SUCCEEDED}
        began = datetime.now(UTC)
        with self._lock:
            entries.append(entry)
        self.say(f"action: {name}")
        try:
            yield output
        except ActionFailed as error:
            entry |= {"status": FAILED, "exception": [str(error)]}
            self.say(f"action {name} failed: {error}")
            raise
        finally:
            entry |= {"end": _stamp(), "duration": (datetime.now(UTC) - began).total_seconds()}
            if output:
                self.say(f"{name}: {', '.join(output)}")

    def state(self, when: str, probes: list[Entry]) -> bool:
        """What the probes of the hypothesis said `before`, `during` or `after`; whether it is met."""
        met = bool(probes) and all(each["tolerance_met"] for each in probes)
        found = {"steady_state_met": met, "probes": probes}
        with self._lock:
            if when == "during":
                self._states[when].append(found)
            else:
                self._states[when] = found
        if when != "during" or not met:
            self.say(f"hypothesis {when}: {'met' if met else 'not met'}")
        return met

    @property
    def deviated(self) -> bool:
        """Whether the hypothesis was met before, and not any more later."""
        later = [*self._states["during"], *filter(None, [self._states["after"]])]
        return any(not each["steady_state_met"] for each in later)

    def text(self, status: str) -> str:
        """The journal as it is handed in, of a run that ends now."""
        end = datetime.now(UTC)
        return json.dumps(
            {
                "executor": self.executor,
                "experiment": self.experiment,
                "start": self._began.isoformat(),
                "status": status,
                "deviated": self.deviated,
                "steady_states": self._states,
                "run": self._run,
                "rollbacks": self._rollbacks,
                "end": end.isoformat(),
                "duration": (end - self._began).total_seconds(),
            }
        )


def probe_entry(
    name: str, provider: Mapping[str, Any], began: datetime, output: Any, problem: str, met: bool
) -> Entry:
    """One answer of one probe; with a `problem` it gave none."""
    end = datetime.now(UTC)
    entry: Entry = {
        "activity": {"type": "probe", "name": name, "provider": dict(provider)},
        "output": output,
        "start": began.isoformat(),
        "status": FAILED if problem else SUCCEEDED,
        "end": end.isoformat(),
        "duration": (end - began).total_seconds(),
        "tolerance_met": met and not problem,
    }
    return entry | ({"exception": [problem]} if problem else {})


def _stamp() -> str:
    return datetime.now(UTC).isoformat()
