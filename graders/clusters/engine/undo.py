"""Undoes what an engine of ours did to the machine, from the journal in its folder: also after a kill -9.

`graders.ownership` calls `undo` once the engine's processes are gone and before it removes the folder.
"""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from graders.clusters.engine import hostnetwork, hostsettings
from graders.ownership import NotUndone
from graders.polling import NotYet, TimedOut, wait_for
from graders.wholefile import write_whole

JOURNAL = "journal.json"
SCHEMA = "kubeproof/engine-journal/v1"
_CGROUP = re.compile(r"^kubeproof-[A-Za-z0-9_]+$")
_CGROUPS_GONE_WITHIN_S = 20.0


class Journal(BaseModel):
    """The machine before the engine started."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    schema_: str = Field(default=SCHEMA, alias="schema", pattern=f"^{SCHEMA}$")
    settings: dict[str, str]
    rules: dict[str, str]
    links: list[str]
    cgroup: str = Field(pattern=_CGROUP.pattern)
    """The name of the cgroup, below the root of each hierarchy, that all containers are in."""


def write_journal(folder: Path, cgroup: str) -> Journal:
    """Record the machine as it is; call it before anything is changed."""
    journal = Journal(
        settings=dict(hostsettings.read()),
        rules=hostnetwork.saved_rules(),
        links=hostnetwork.links(),
        cgroup=cgroup,
    )
    write_whole(folder / JOURNAL, journal.model_dump_json(by_alias=True, indent=2) + "\n", mode=0o600)
    return journal


def undo(folder: Path) -> None:
    """Put the machine back to what the journal in `folder` says; without a journal nothing was changed.

    Raises:
        NotUndone: something of the engine still runs.
    """
    try:
        journal = Journal.model_validate_json((folder / JOURNAL).read_bytes())
    except (OSError, ValidationError, json.JSONDecodeError):
        return
    hostnetwork.remove_rules(journal.rules, journal.links)
    hostnetwork.remove_bridges(journal.links)
    hostsettings.restore(journal.settings)
    try:
        wait_for(lambda: _remove_cgroups(journal.cgroup), timeout_s=_CGROUPS_GONE_WITHIN_S)
    except TimedOut as error:
        raise NotUndone(f"the containers of a Docker engine have not ended: {error}") from error


def _remove_cgroups(name: str) -> None:
    """Remove the cgroup `name` and all below it, in every hierarchy.

    Raises:
        NotYet: something in it is just ending.
    """
    busy = ""
    for root in _hierarchies():
        for folder, _, _ in os.walk(root / name, topdown=False):
            try:
                Path(folder).rmdir()
            except OSError as error:
                busy = str(error)
    if busy:
        raise NotYet(busy)


def _hierarchies() -> Iterator[Path]:
    for line in Path("/proc/self/mountinfo").read_text("utf-8", "replace").splitlines():
        place, _, kind = line.partition(" - ")
        if kind.split()[0] in {"cgroup", "cgroup2"}:
            yield Path(place.split()[4])
