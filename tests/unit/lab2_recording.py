"""The recorded run of lab 2's reference that checks are tested against, and how to change it in one place.

The archive `bundles/lab2-reference.tar.xz` holds one bundle of a full grading, without what no check reads.
When the schema, the scenario or the reference changes, make it anew from a grading that earned every point:

    kubeproof grade lab2 solutions/lab2/reference --out /tmp/again
    python -m tests.unit.lab2_recording /tmp/again/bundle
"""

from __future__ import annotations

import copy
import io
import json
import sys
import tarfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from graders.evidence.bundle import Bundle
from graders.evidence.records import AuditEvent, Mark, ToolRun, WatchEvent
from graders.lab2.accessreviews import AccessAnswer
from graders.lab2.images import digest_of
from graders.lab2.records import (
    AttemptAnswer,
    CommandRun,
    Commit,
    Exposure,
    MeshAnswer,
    Push,
    Rendering,
    RepositoryFile,
    SecretSeen,
)

ARCHIVE = Path(__file__).parent / "bundles" / "lab2-reference.tar.xz"
ENGINE = "gitops"
CONTROLLER = "system:serviceaccount:kube-system:deployment-controller"

Record = dict[str, Any]

KINDS = (
    Mark, AuditEvent, WatchEvent, RepositoryFile, Rendering, Commit, AttemptAnswer, AccessAnswer, ToolRun,
    SecretSeen, Exposure, CommandRun, Push, MeshAnswer,
)  # fmt: skip
PARTS = tuple(kind.FILE.removesuffix(".jsonl") for kind in KINDS)


class Recording:
    """A bundle as plain data, to be changed and written; times are seconds of the run."""

    def __init__(self, manifest: Record, parts: dict[str, list[Record]]) -> None:
        self.manifest = manifest
        self.parts = parts

    def __getitem__(self, part: str) -> list[Record]:
        return self.parts[part]

    def mark(self, track: str, name: str, nth: int = 0, **data: Any) -> Record:
        """The n-th mark of a name, or of those whose data are so."""
        found = [
            mark
            for mark in self["marks"]
            if (mark["track"], mark["name"]) == (track, name) and data.items() <= mark["data"].items()
        ]
        return found[nth]

    def miss(self, track: str, name: str) -> None:
        """Let a track have waited in vain for what the mark `name` says; nothing of it came after."""
        at = self.mark(track, name)["t"]
        self.parts["marks"] = [m for m in self["marks"] if m["track"] != track or m["t"] < at]
        data = {"waiting_for": name, "within_s": 9.0, "seen": "nothing of it"}
        self["marks"].append({"t": at, "track": track, "name": "missed", "data": data})

    def stored(self, environment: str, version: str, since: float = 0.0) -> list[Record]:
        """The engine's writes of Deployment web with a version."""
        found = [
            event
            for event in self["audit"]
            if event["cluster"] == environment
            and event["t"] >= since
            and (event["user"], event["resource"], event["name"]) == (ENGINE, "deployments", "web")
            and not event["subresource"]
            and digest_of(version) in json.dumps(event["response"])
        ]
        assert found, f"the engine never stored {version} in {environment}"
        return found

    def readied(self, environment: str, version: str, since: float = 0.0) -> list[Record]:
        """The statuses of Deployment web with a version, as its controller wrote them."""
        return [
            event
            for event in self["audit"]
            if event["cluster"] == environment
            and event["t"] >= since
            and (event["subresource"], event["name"]) == ("status", "web")
            and digest_of(version) in json.dumps(event["response"])
        ]

    def move(self, records: list[Record], to: float) -> None:
        """Move records in time so that the first is at `to`."""
        by = to - records[0]["t"]
        for record in records:
            record["t"] += by
            if "t_end" in record:
                record["t_end"] += by

    def seen(self, environment: str, resource: str, name: str, namespace: str = "web") -> list[Record]:
        """Every sighting of an object."""
        place = (environment, resource, namespace, name)
        found = [
            o for o in self["objects"] if (o["cluster"], o["resource"], o["namespace"], o["name"]) == place
        ]
        assert found, f"the recording never saw {place}"
        return found

    def remove(self, part: str, records: list[Record]) -> None:
        """Take records out."""
        gone = {id(each) for each in records}
        self.parts[part] = [each for each in self.parts[part] if id(each) not in gone]

    def again(self, part: str, record: Record, **changes: Any) -> Record:
        """Add a copy of a record, changed."""
        added = {**copy.deepcopy(record), **changes}
        self[part].append(added)
        return added

    def held(self, folder: Path) -> Bundle:
        """The bundle with its records in memory; only the manifest is written."""
        folder.mkdir()
        (folder / "manifest.json").write_text(json.dumps(self.manifest))
        bundle = Bundle(folder)
        for kind in KINDS:
            part = kind.FILE.removesuffix(".jsonl")
            bundle._read[kind] = _read(kind, self.parts[part]) if part in self.parts else _untouched(kind)
        return bundle


Mutation = Callable[[Recording], object]


def reference() -> Recording:
    """The recording of the reference; change it as you like, the next caller gets another one."""
    return Recording(json.loads(_archived()["manifest.json"]), _Parts())


class _Parts(dict[str, list[Record]]):
    """The archived records by part; a part is read when somebody first asks for it, to look or to change."""

    def __missing__(self, part: str) -> list[Record]:
        self[part] = _parsed(part)
        return self[part]


def _parsed(part: str) -> list[Record]:
    lines = _archived().get(f"{part}.jsonl", "").splitlines()
    found: list[Record] = json.loads(f"[{','.join(lines)}]")
    return found


def _read(kind: type, records: list[Record]) -> tuple[Any, ...]:
    return tuple(sorted((kind(**record) for record in records), key=lambda record: record.t))


@cache
def _untouched(kind: Any) -> tuple[Any, ...]:
    """A part that nobody changed; checks change nothing either, so bundles share it."""
    return _read(kind, _parsed(kind.FILE.removesuffix(".jsonl")))


@cache
def _archived() -> dict[str, str]:
    with tarfile.open(ARCHIVE) as tar:
        members = {member.name: tar.extractfile(member) for member in tar.getmembers()}
        return {name: file.read().decode() for name, file in members.items() if file is not None}


def pack(bundle: Path, archive: Path = ARCHIVE) -> None:
    """Make the archive from a bundle folder, without what no check reads."""
    manifest = json.loads((bundle / "manifest.json").read_text())
    with tarfile.open(archive, "w:xz", preset=9) as tar:
        _add(tar, "manifest.json", json.dumps(manifest, indent=1))
        for part in PARTS:
            file = bundle / f"{part}.jsonl"
            lines = file.read_text().splitlines() if file.exists() else []
            kept = [slim for line in lines if (slim := _slim(part, json.loads(line))) is not None]
            _add(tar, f"{part}.jsonl", "".join(f"{json.dumps(each)}\n" for each in kept))


def _slim(part: str, record: Record) -> Record | None:
    if part == "audit":
        if record["user"] == ENGINE:
            return {**record, "request": None, "annotations": {}}
        if record["user"] == CONTROLLER and record["name"] == "web":
            return {**record, "request": None, "annotations": {}}
        return None
    if part == "objects":
        return _slim_object(record)
    return record


def _slim_object(record: Record) -> Record | None:
    item, resource = record["object"], record["resource"]
    metadata = item["metadata"]
    metadata.pop("annotations", None)
    if resource == "pods":
        item.pop("spec", None)
        item.pop("status", None)
        return (
            record
            if metadata.get("labels", {}).get("app.kubernetes.io/name", "").startswith("lab-")
            else None
        )
    if resource == "events":
        return None
    if resource == "applications":
        status, spec = item.get("status") or {}, item["spec"]
        out = [each for each in status.get("resources") or () if each.get("status") == "OutOfSync"]
        if not out:
            return None
        item["status"], item["spec"] = {"resources": out}, {"destination": spec["destination"]}
    return record


def _add(tar: tarfile.TarFile, name: str, text: str) -> None:
    data = text.encode()
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


if __name__ == "__main__":
    pack(Path(sys.argv[1]))
