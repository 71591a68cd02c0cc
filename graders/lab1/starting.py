"""Why an operator does not run: what was handed in, how its process ended and what it printed last; pure."""

import re
from collections.abc import Mapping
from typing import Any

from graders.evidence.bundle import Bundle
from graders.lab1.names import HANDED_IN, RUN

_CANNOT_START = re.compile(r"^cannot start .*\n  fix: (.+)$", re.MULTILINE)
_NO_MODULE = re.compile(r"No module named '?([A-Za-z_][\w.]*)'?")

_NO_NAMESPACE = "unable to find leader election namespace"
_ITS_NAMESPACE = (
    'It runs outside the cluster: give the manager LeaderElectionNamespace: os.Getenv("POD_NAMESPACE").'
)

_LIMITS: Mapping[str, str] = {
    "log": "It prints far too much, and is stopped for it: print a line for each thing that happens, at "
    "level info, and nothing in a loop.",
    "memory": "It uses too much memory, and is stopped for it: keep no copies of what the API server has.",
    "cpu": "It uses too much CPU time, and is stopped for it: wait for events, and do not poll in a loop.",
    "pids": "It starts too many processes and threads, and is stopped for it: use a pool of a few.",
}
"""For a reason why a sandbox ended a process, what to do."""

_ENDED = "Its process ended by itself: mend what it printed last; the whole log is in bundle/logs."
_BY_HAND = "Start it by hand with KUBECONFIG set; the whole log is in bundle/logs."


def why_not_ready(bundle: Bundle, said: str) -> str:
    """The next step for an operator that never read a job; `said` is what it printed last."""
    if unstartable := _CANNOT_START.search(said):
        return unstartable[1]
    if limit := stopped_for(bundle):
        return limit
    if _NO_NAMESPACE in said:
        return _ITS_NAMESPACE
    names = _NO_MODULE.findall(said)
    if names and (found := _about_module(names[-1], _brought(bundle))):
        return found
    return _ENDED if _ends(bundle) and said.strip() else _BY_HAND


def without_fix(said: str) -> str:
    """What it printed, less the fix that `why_not_ready` gives."""
    found = _CANNOT_START.search(said)
    return said.replace(f"\n  fix: {found[1]}", "") if found else said


def stopped_for(bundle: Bundle, before: float = float("inf")) -> str:
    """What to do about the limit that the operator last broke; empty if it broke none before then."""
    reasons = [reason for t, reason in _ends(bundle) if t <= before]
    return _LIMITS.get(reasons[-1], "") if reasons else ""


def ended_by_itself(bundle: Bundle, before: float) -> str:
    """What to do about a process that ended by itself before then; empty if none did."""
    return _ENDED if any(t <= before for t, _ in _ends(bundle)) else ""


def _ends(bundle: Bundle) -> list[tuple[float, str]]:
    return [(p.t, str(p.data.get("reason", ""))) for p in bundle.processes if p.event == "exited"]


def _brought(bundle: Bundle) -> Mapping[str, Any]:
    marks = (mark.data for mark in bundle.marks if (mark.track, mark.name) == (RUN, HANDED_IN))
    return next(marks, {})


def _about_module(name: str, brought: Mapping[str, Any]) -> str:
    """What to do about a module that Python did not find; empty where nobody noted what was handed in."""
    if not brought:
        return ""
    top = name.partition(".")[0]
    if top in brought["modules"]:
        return f"{top} is handed in, and {name} not found in it: see that every file is, with that spelling."
    if top in brought["src"]:
        return (
            f"{top} lies in src/, where Python does not look: set PYTHONPATH to src in operator.environment."
        )
    if brought["read"]:
        return f"{brought['read']} was read, and names no package with {name}: add the one that has it."
    unread = ", ".join(brought["unread"])
    instead = f"{unread}: not read for packages; " if unread else "there is no requirements.txt: "
    return f"{instead}name the package that brings {name} in requirements.txt."
