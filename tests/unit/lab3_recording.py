"""The recorded run of lab 3's reference that checks are tested against, and how to change it.

The archive `bundles/lab3-reference.tar.xz` holds one bundle of a full grading, without what no check reads.
When its schema, the scenario or the reference changes, make it anew from a grading that earned every point:

    kubeproof grade lab3 solutions/lab3/reference --out /tmp/again
    python -m tests.unit.lab3_recording /tmp/again/bundle
"""

from __future__ import annotations

import copy
import io
import json
import sys
import tarfile
from functools import cache
from pathlib import Path
from typing import Any

from graders.evidence.bundle import Bundle
from graders.lab3.names import DR_USER

ARCHIVE = Path(__file__).parent / "bundles" / "lab3-reference.tar.xz"
_UNREAD = ("harness", "health", "waits", "watchbreaks", "processes", "requests")

Record = dict[str, Any]


class Recording:
    """A bundle as plain data, to be changed and written again; a part is a file of records by its stem."""

    def __init__(self, manifest: Record, parts: dict[str, list[Record]]) -> None:
        self.manifest = manifest
        self.parts = parts

    def held(self, folder: Path) -> Bundle:
        """Written to `folder`, and read again."""
        folder.mkdir(parents=True)
        for name, records in self.parts.items():
            lines = "".join(json.dumps(record) + "\n" for record in records)
            (folder / f"{name}.jsonl").write_text(lines, encoding="utf-8")
        counts = {f"{name}.jsonl": len(records) for name, records in self.parts.items()}
        manifest = {**self.manifest, "records": counts}
        (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
        return Bundle(folder)


def reference() -> Recording:
    """The reference's record, to be changed at will."""
    return copy.deepcopy(_read())


@cache
def _read() -> Recording:
    parts: dict[str, list[Record]] = {}
    manifest: Record = {}
    with tarfile.open(ARCHIVE) as archive:
        for member in archive:
            content = archive.extractfile(member)
            assert content is not None
            if member.name == "manifest.json":
                manifest = json.load(content)
            else:
                parts[member.name.removesuffix(".jsonl")] = [json.loads(line) for line in content]
    return Recording(manifest, parts)


def _kept(name: str, record: Record) -> bool:
    """What some check reads: of requests those of learners alone."""
    return name != "audit" or record["user"] == DR_USER or ":chaos:" in record["user"]


def make(bundle: Path) -> None:
    """Pack the archive anew from a bundle."""
    with tarfile.open(ARCHIVE, "w:xz") as archive:
        for path in sorted(bundle.glob("*.json*")):
            data = path.read_bytes()
            if path.suffix == ".jsonl":
                if path.stem in _UNREAD:
                    continue
                records = [json.loads(line) for line in data.splitlines()]
                kept = (record for record in records if _kept(path.stem, record))
                data = "".join(json.dumps(record, separators=(",", ":")) + "\n" for record in kept).encode()
            member = tarfile.TarInfo(path.name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


if __name__ == "__main__":
    make(Path(sys.argv[1]))
