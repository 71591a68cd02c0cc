"""The recorded run of lab 3's reference that checks are tested against, and how to change it.

The archive `bundles/lab3-reference.tar.xz` holds what a grading of the reference recorded, without what no
check reads. When its schema, the scenario or the reference changes, make it anew from a grading that earned
every point:

    kubeproof grade lab3 solutions/lab3/reference --out /tmp/again
    python -m tests.unit.lab3_recording /tmp/again/bundle
"""

from __future__ import annotations

import atexit
import copy
import io
import json
import marshal
import shutil
import sys
import tarfile
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import graders.audits.records
import graders.chaos.records
import graders.clusterctl.records
import graders.evidence.handedin
import graders.notebooks.records
import graders.recovery.records
from graders.evidence.bundle import Bundle
from graders.evidence.records import AuditEvent, Mark, WatchEvent
from graders.lab3.names import DR_USER

ARCHIVE = Path(__file__).parent / "bundles" / "lab3-reference.tar.xz"
_UNREAD = ("harness", "health", "waits", "watchbreaks", "processes", "requests")

Record = dict[str, Any]

_ROOMS = (
    graders.audits.records, graders.chaos.records, graders.clusterctl.records, graders.evidence.handedin,
    graders.notebooks.records, graders.recovery.records,
)  # fmt: skip
_OWN = (
    each
    for room in _ROOMS
    for each in vars(room).values()
    if isinstance(each, type) and isinstance(getattr(each, "FILE", None), str)
)
_KINDS: tuple[Any, ...] = (AuditEvent, Mark, WatchEvent, *_OWN)


class _Parts(dict[str, list[Record]]):
    """Files of records by their stems; one is copied when somebody looks at it, for then it may change."""

    def __init__(self, kept: dict[str, list[Record]]) -> None:
        super().__init__(kept)
        self.touched: set[str] = set()

    def __getitem__(self, name: str) -> list[Record]:
        if name not in self.touched:
            self.touched.add(name)
            self[name] = marshal.loads(marshal.dumps(super().__getitem__(name)))
        return super().__getitem__(name)


class Recording:
    """A bundle as plain data, to be changed and written again."""

    def __init__(self, manifest: Record, parts: dict[str, list[Record]]) -> None:
        self.manifest = manifest
        self.parts = _Parts(parts)

    def held(self, folder: Path) -> Bundle:
        """Written to `folder`, and read again; what nobody looked at was read before."""
        folder.mkdir(parents=True)
        for name in self.parts.touched:
            lines = "".join(json.dumps(record) + "\n" for record in self.parts[name])
            (folder / f"{name}.jsonl").write_text(lines, encoding="utf-8")
        (folder / "manifest.json").write_text(json.dumps(self.manifest), encoding="utf-8")
        bundle = Bundle(folder)
        untouched = [kind for kind in _KINDS if kind.FILE.removesuffix(".jsonl") not in self.parts.touched]
        bundle._read.update({kind: _whole().records(kind) for kind in untouched})
        return bundle


def reference() -> Recording:
    """The reference's record, to be changed at will."""
    manifest, parts = _unpacked()
    return Recording(copy.deepcopy(manifest), parts)


@cache
def _whole() -> Bundle:
    """The reference's record as it is."""
    folder = Path(tempfile.mkdtemp(prefix="lab3-reference-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    return Bundle(folder)


@cache
def _unpacked() -> tuple[Record, dict[str, list[Record]]]:
    folder = _whole().folder
    manifest: Record = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    return manifest, {
        path.stem: [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        for path in folder.glob("*.jsonl")
    }


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
