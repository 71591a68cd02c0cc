"""Journals: what Chaos Toolkit, or the grader for a custom resource, wrote down of one experiment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

UPHELD, DEVIATED, VOID = "upheld", "deviated", "void"


def outcomes_of(journal: Any) -> frozenset[str]:
    """What may be said of an experiment by its journal.

    Upheld: not deviated, the hypothesis met before and after, every action succeeded. Void: nothing was
    injected. Where some actions succeeded and others did not, either of the others may be said.
    """
    if not isinstance(journal, Mapping):
        return frozenset()
    actions = [each for each in _list(journal.get("run")) if _activity(each).get("type") == "action"]
    succeeded = [each for each in actions if each.get("status") == "succeeded"]
    states = journal.get("steady_states")
    before, after = (_met(states, when) for when in ("before", "after"))
    if not succeeded or before is False:
        return frozenset({VOID})
    if journal.get("deviated") is True or after is False:
        return frozenset({DEVIATED})
    if len(succeeded) == len(actions) and before and after and journal.get("deviated") is False:
        return frozenset({UPHELD})
    return frozenset({DEVIATED, VOID})


def experiment_in(journal: Any) -> Any:
    """The experiment that a journal is of, without what the tool adds to it."""
    found = journal.get("experiment") if isinstance(journal, Mapping) else None
    return {key: value for key, value in found.items() if key != "dry"} if isinstance(found, dict) else found


def _met(states: Any, when: str) -> bool | None:
    state = states.get(when) if isinstance(states, Mapping) else None
    met = state.get("steady_state_met") if isinstance(state, Mapping) else None
    return met if isinstance(met, bool) else None


def _activity(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    found = entry.get("activity")
    return found if isinstance(found, Mapping) else {}


def _list(value: Any) -> list[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []
