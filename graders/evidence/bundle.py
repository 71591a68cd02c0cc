"""The evidence bundle: a folder of JSON Lines with a versioned manifest, and all that judging may read.

`manifest.json` says what was graded, where, and how it went; each record type has a file of its own, which
it names itself (`graders.evidence.records`, and a lab's own), and `logs/` holds bounded logs. What records
imports the writer from `graders.evidence.writing`: another way of reading makes no record stale.
"""

from __future__ import annotations

import json
import typing
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Any, TypeVar

from graders.evidence.manifest import SCHEMA, BundleManifest, manifest_of
from graders.evidence.records import (
    CLEARED,
    AuditEvent,
    Disturbance,
    Exchange,
    HarnessSample,
    HealthSample,
    Mark,
    ProcessEvent,
    Record,
    Request,
    Scrape,
    ToolRun,
    Wait,
    WatchBreak,
    WatchEvent,
)
from graders.evidence.writing import BundleWriter
from graders.faults import InfraFault, UsageError

__all__ = ["Bundle", "BundleWriter", "ClusterView", "Records"]

R = TypeVar("R", bound=Record)
P = TypeVar("P", AuditEvent, WatchEvent)


def _kept(kind: type[R]) -> cached_property[tuple[R, ...]]:
    return cached_property(lambda self: self.records(kind))


class Records:
    """Records by type, each in the order of time."""

    def records(self, kind: type[R]) -> tuple[R, ...]:
        """All records of a type, a lab's own too."""
        raise NotImplementedError

    audit = _kept(AuditEvent)
    """Every request the audit policy keeps."""

    watch_events = _kept(WatchEvent)
    """What the grader's own watches saw."""

    @cached_property
    def audit_by_place(self) -> Mapping[tuple[str, str], Sequence[AuditEvent]]:
        """The audit log by resource and namespace."""
        return _by_place(self.audit)

    @cached_property
    def audit_by_namespace(self) -> Mapping[str, Sequence[AuditEvent]]:
        """The audit log by namespace."""
        spaces: dict[str, list[AuditEvent]] = {}
        for event in self.audit:
            spaces.setdefault(event.namespace, []).append(event)
        return spaces

    @cached_property
    def watch_events_by_place(self) -> Mapping[tuple[str, str], Sequence[WatchEvent]]:
        """What the grader's own watches saw, by resource and namespace."""
        return _by_place(self.watch_events)

    @cached_property
    def sightings_by_place(self) -> Mapping[tuple[str, str], Mapping[str, Sequence[WatchEvent]]]:
        """What the grader's own watches saw, by resource and namespace, and there object by object.

        Objects are told apart by uid and come in the order of appearance.
        """
        return {place: _by_uid(seen) for place, seen in self.watch_events_by_place.items()}

    requests = _kept(Request)
    """The grader's own requests whose answers are evidence."""

    exchanges = _kept(Exchange)
    """A learner's requests as the fault proxy saw them."""

    disturbances = _kept(Disturbance)
    """What the fault proxy did."""

    health = _kept(HealthSample)
    """How an API server answered."""

    watch_breaks = _kept(WatchBreak)
    """Where the grader's own watches ended and went on."""


class Bundle(Records):
    """A finished bundle, read lazily; every list is in the order of time."""

    def __init__(self, folder: Path) -> None:
        """Read the manifest of `folder`.

        Raises:
            UsageError: there is no bundle there, or it has another schema.
        """
        self.folder = folder
        self.manifest = _read_manifest(folder)
        self._read = _Read(folder)
        self._views: dict[str, ClusterView] = {}

    def verify(self) -> None:
        """See that nothing was lost since it was recorded: what is not on record cannot be judged.

        Raises:
            InfraFault: a file has more or fewer records than were written.
        """
        for name, written in self.manifest.records.items():
            path = self.folder / name
            there = path.read_bytes().count(b"\n") if path.exists() else 0
            if there != written:
                raise InfraFault(
                    f"the record is not whole: {name} has {there} of {written} records",
                    fix="take the whole folder from where it was recorded, or grade again",
                )

    def on(self, cluster: str) -> ClusterView:
        """What is on record of one cluster.

        Raises:
            InfraFault: the run had none of that name.
        """
        if cluster not in self.manifest.clusters:
            raise InfraFault(f"the record has no cluster {cluster!r}")
        return self._views.setdefault(cluster, ClusterView(self._read, cluster))

    def records(self, kind: type[R]) -> tuple[R, ...]:
        """All records of a type, of all clusters."""
        return self._read[kind]

    marks = _kept(Mark)
    """What the scenario did."""

    @cached_property
    def marks_by_track(self) -> Mapping[str, tuple[Mark, ...]]:
        """What the scenario did on each track."""
        tracks: dict[str, list[Mark]] = {}
        for mark in self.marks:
            tracks.setdefault(mark.track, []).append(mark)
        return {track: tuple(marks) for track, marks in tracks.items()}

    @cached_property
    def cleared(self) -> Mapping[str, float]:
        """When what was in a namespace was taken away, its track being over."""
        return {str(mark.data["namespace"]): mark.t for mark in self.marks if mark.name == CLEARED}

    waits = _kept(Wait)
    """What the tracks waited for."""

    scrapes = _kept(Scrape)
    """Reads of a learner's metrics."""

    processes = _kept(ProcessEvent)
    """Starts, kills and exits of a learner's processes."""

    tools = _kept(ToolRun)
    """Programs run over the submission."""

    harness = _kept(HarnessSample)
    """How healthy the harness was."""


class ClusterView(Records):
    """The records of one cluster of a run. It knows no bundle: that would keep both until somebody looks."""

    def __init__(self, read: _Read, cluster: str) -> None:
        self._read = read
        self.cluster = cluster

    def records(self, kind: type[R]) -> tuple[R, ...]:
        """The records of a type that are of this cluster; none of a type that is of no cluster."""
        return tuple(each for each in self._read[kind] if getattr(each, "cluster", None) == self.cluster)


class _Read(dict[type, tuple[Any, ...]]):
    """The records of a folder by type; a file is read when somebody first asks for what it has."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def __missing__(self, kind: type[Record]) -> tuple[Any, ...]:
        self[kind] = _records_in(self._folder / kind.FILE, kind)
        return self[kind]


def _read_manifest(folder: Path) -> BundleManifest:
    path = folder / "manifest.json"
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UsageError(
            "there is no evidence bundle here",
            file=folder,
            fix="name a folder that has a manifest.json, such as OUT/bundle of an earlier grading",
        ) from error
    except ValueError as error:
        raise UsageError(f"the manifest is not JSON: {error}", file=path) from error
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        raise UsageError(
            f"this bundle is not of schema {SCHEMA}",
            file=path,
            fix="judge it with the kubeproof version that recorded it",
        )
    try:
        return manifest_of(data)
    except (TypeError, KeyError, AttributeError) as error:
        raise UsageError(f"the manifest is not whole: {error}", file=path) from error


def _records_in(path: Path, kind: type[R]) -> tuple[R, ...]:
    if not path.exists():
        return ()
    lists = _tuple_fields(kind)
    records = []
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            if line.strip():
                fields = json.loads(line)
                for name in lists:
                    if name in fields:
                        fields[name] = tuple(fields[name])
                records.append(kind(**fields))
    return tuple(sorted(records, key=lambda record: record.t))


@cache
def _tuple_fields(kind: type) -> tuple[str, ...]:
    """The fields of a record type that hold tuples, which JSON has not."""
    hints = typing.get_type_hints(kind)
    return tuple(name for name, hint in hints.items() if typing.get_origin(hint) is tuple)


def _by_place(records: Iterable[P]) -> dict[tuple[str, str], list[P]]:
    places: dict[tuple[str, str], list[P]] = {}
    for record in records:
        places.setdefault((record.resource, record.namespace), []).append(record)
    return places


def _by_uid(seen: Iterable[WatchEvent]) -> dict[str, list[WatchEvent]]:
    objects: dict[str, list[WatchEvent]] = {}
    for event in seen:
        objects.setdefault(event.uid, []).append(event)
    return objects
