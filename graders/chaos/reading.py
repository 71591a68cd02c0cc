"""Reads journals: what Chaos Toolkit, or an executor of a custom resource, wrote down of a run. Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from graders.chaos.records import ExperimentRun
from graders.documents.fields import instant
from graders.kube.nesting import read_json

UPHELD, DEVIATED, VOID = "upheld", "deviated", "void"


def outcomes_of(journal: Any) -> frozenset[str]:
    """What may be said of an experiment by its journal.

    Upheld: not deviated, the hypothesis met before and after, every action succeeded. Void: nothing was
    injected, as in a dry run, whose actions are said to have succeeded. Where some actions succeeded and
    others did not, either of the others may be said.
    """
    if not isinstance(journal, Mapping):
        return frozenset()
    actions = _actions(journal)
    succeeded = [each for each in actions if each.get("status") == "succeeded"]
    before, after = (met(journal, when) for when in ("before", "after"))
    if not succeeded or before is False or _left_out_actions(journal):
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


def times_of(journal: Any) -> tuple[datetime, datetime] | None:
    """When a run began and ended; None where its journal does not say."""
    try:
        return instant(journal["start"]), instant(journal["end"])
    except (KeyError, TypeError, ValueError):
        return None


def _left_out_actions(journal: Mapping[str, Any]) -> bool:
    """Whether it is of a run that did nothing (`--dry actions`)."""
    experiment = journal.get("experiment")
    return isinstance(experiment, Mapping) and experiment.get("dry") in ("actions", "activities")


def journal_of(run: ExperimentRun) -> Mapping[str, Any]:
    """What the tool wrote of a run; empty where it wrote nothing that can be read."""
    try:
        found = read_json(run.journal.encode()) if run.journal else {}
    except ValueError:
        return {}
    return found if isinstance(found, Mapping) else {}


def met(journal: Mapping[str, Any], when: str) -> bool | None:
    """Whether the hypothesis held `before` or `after`; None where the journal does not say."""
    states = journal.get("steady_states")
    state = states.get(when) if isinstance(states, Mapping) else None
    found = state.get("steady_state_met") if isinstance(state, Mapping) else None
    return found if isinstance(found, bool) else None


def met_before(run: ExperimentRun) -> bool | None:
    """Whether the hypothesis held when a run began; None where its journal does not say."""
    return met(journal_of(run), "before")


def failed_actions(run: ExperimentRun) -> list[str] | None:
    """The actions of a run that did not succeed; None where there was none at all."""
    actions = _actions(journal_of(run))
    if not actions:
        return None
    return [str(_activity(each).get("name")) for each in actions if each.get("status") != "succeeded"]


def why_failed(run: ExperimentRun) -> str:
    """What the journal says of the first activity that did not succeed."""
    for each in _entries(journal_of(run)):
        if each.get("status") != "succeeded":
            told = each.get("exception")
            if isinstance(told, list) and told:
                # One piece is a message, several are the lines of a traceback.
                return str(told[-1]).strip()
    return ""


def _actions(journal: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [each for each in _entries(journal) if _activity(each).get("type") == "action"]


def _entries(journal: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    run = journal.get("run")
    return [each for each in run if isinstance(each, Mapping)] if isinstance(run, list) else []


def _activity(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    found = entry.get("activity")
    return found if isinstance(found, Mapping) else {}
