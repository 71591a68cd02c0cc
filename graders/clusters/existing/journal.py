"""What a run makes in somebody's cluster, written down before it is made: one line for each object."""

import contextlib
import json
import os
import threading
from dataclasses import asdict, dataclass
from pathlib import Path

from graders.wholefile import write_whole

SCHEMA = "kubeproof/guest/v1"

_HEAD = "guest.json"
_MADE = "made.jsonl"
KUBECONFIG = "kubeconfig"


@dataclass(frozen=True)
class Head:
    """Whose objects these are: `run` is the value of their label, `cluster` the uid of kube-system there."""

    run: str
    context: str
    server: str
    cluster: str


class GuestJournal:
    """The notes in an owned folder; safe to use from many threads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._noted: dict[str, None] = {}

    def open(self, head: Head) -> None:
        """Begin; from now on the folder tells what is to be taken away."""
        write_whole(self.folder / _HEAD, json.dumps({"schema": SCHEMA, **asdict(head)}))

    def note(self, path: str) -> None:
        """Write down the path of an object that is about to be made."""
        with self._lock:
            if path in self._noted:
                return
            self._noted[path] = None
            with (self.folder / _MADE).open("a", encoding="utf-8") as made:
                made.write(json.dumps(path) + "\n")
                made.flush()
                os.fsync(made.fileno())

    def has(self, path: str) -> bool:
        """Whether an object was noted."""
        return path in self._noted

    def close(self) -> None:
        """All that was noted is gone again."""
        (self.folder / _HEAD).unlink(missing_ok=True)


def read_journal(folder: Path) -> tuple[Head, tuple[str, ...]] | None:
    """What a run that may be dead noted, in order; None where nothing is left to be taken away."""
    try:
        data = json.loads((folder / _HEAD).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(data, dict) or data.pop("schema", None) != SCHEMA:
        return None
    paths: dict[str, None] = {}
    with contextlib.suppress(FileNotFoundError):
        for line in (folder / _MADE).read_text("utf-8").splitlines():
            # The last line may be half of one: then the object was not made yet.
            with contextlib.suppress(ValueError):
                paths[str(json.loads(line))] = None
    return Head(**data), tuple(paths)
