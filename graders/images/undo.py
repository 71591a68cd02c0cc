"""Removes from an engine what a build left there, from the journal in its folder: also after a kill -9.

`graders.ownership` calls `undo` before it removes the folder.
"""

import contextlib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from graders.faults import InfraFault
from graders.wholefile import write_whole

JOURNAL = "journal.json"
SCHEMA = "kubeproof/images-journal/v1"
_PASSES = 10


class _Journal(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    schema_: str = Field(default=SCHEMA, alias="schema", pattern=f"^{SCHEMA}$")
    host: str
    label: str


def write_journal(folder: Path, host: str, label: str) -> None:
    """Write down where things are made and how they are labelled, before any is."""
    journal = _Journal(host=host, label=label)
    write_whole(folder / JOURNAL, journal.model_dump_json(by_alias=True, indent=2) + "\n", mode=0o600)


def undo(folder: Path) -> None:
    """Remove all that carries the label; an engine that is gone took it along."""
    # Only here: the engine's library takes long to import, and most runs have nothing to undo.
    from graders.images.engine import BuildEngine  # noqa: PLC0415

    try:
        journal = _Journal.model_validate_json((folder / JOURNAL).read_bytes())
    except (OSError, ValidationError):
        return
    with contextlib.suppress(InfraFault), BuildEngine(journal.host) as engine:
        for container in engine.containers(journal.label):
            engine.remove_container(container["Id"])
        for _ in range(_PASSES):
            images = engine.images(journal.label)
            if not images:
                break
            # Newest first: an image goes once nothing is built on it, and takes what only it needed along.
            for image in sorted(images, key=lambda each: -int(each["Created"])):
                engine.remove_image(image["Id"])
