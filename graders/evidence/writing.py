"""Writing an evidence bundle, record by record."""

import dataclasses
import json
import threading
from functools import cache
from pathlib import Path
from typing import IO, Any, Self

from graders.evidence.jsonfile import write_json
from graders.evidence.manifest import BundleManifest
from graders.evidence.records import Record
from graders.kube.nesting import MOST_DEPTH, shallow

_JSON = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)


class BundleWriter:
    """Appends records to a bundle folder; safe to call from any thread."""

    def __init__(self, folder: Path) -> None:
        """Make `folder`; a file is there from the first record of its type on."""
        (folder / "logs").mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._lock = threading.Lock()
        self._files: dict[str, IO[str]] = {}
        self._records: dict[str, int] = {}
        self._closed = False

    def add(self, record: Record) -> None:
        """Append one record to the file of its type; records that come after `close` are dropped."""
        line = _line(record)
        with self._lock:
            if not self._closed:
                self._file(record.FILE).write(line + "\n")
                self._records[record.FILE] += 1

    def close(self, manifest: BundleManifest) -> None:
        """Write the manifest last, with the number of records: a folder without one is not a bundle."""
        self._close_files()
        whole = dataclasses.replace(manifest, records=self._records)
        write_json(self.folder / "manifest.json", dataclasses.asdict(whole))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """What was not closed with a manifest is left without one."""
        self._close_files()

    def _file(self, name: str) -> IO[str]:
        if name not in self._files:
            # A learner's text may hold lone surrogates, which UTF-8 has no place for.
            path = self.folder / name
            self._files[name] = path.open("w", encoding="utf-8", errors="replace")
            self._records[name] = 0
        return self._files[name]

    def _close_files(self) -> None:
        with self._lock:
            self._closed = True
            for file in self._files.values():
                file.close()
            self._files.clear()


def _line(record: Record) -> str:
    """A record as JSON, with null for what is nested deeper than anybody needs.

    Text with few opening brackets is not nested deep, so most records need no walk through their values.
    """
    fields = _plain(record)
    try:
        text = _JSON.encode(fields)
    except (RecursionError, TypeError):
        return _JSON.encode(shallow(fields))
    return text if text.count("{") + text.count("[") <= MOST_DEPTH else _JSON.encode(shallow(fields))


def _plain(record: Record) -> dict[str, Any]:
    """The fields of a record; nested values are JSON already, so no deep copy is needed."""
    return {name: getattr(record, name) for name in _field_names(type(record))}


@cache
def _field_names(kind: type) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(kind))
