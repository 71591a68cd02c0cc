"""The evidence bundle: a folder of JSON Lines with a versioned manifest, and all that judging may read.

========================  =========================================
`manifest.json`           what was graded, where, and how it went
`marks.jsonl`             `Mark`
`waits.jsonl`             `Wait`
`audit.jsonl`             `AuditEvent`
`objects.jsonl`           `Sighting`
`scrapes.jsonl`           `Scrape`
`processes.jsonl`         `ProcessEvent`
`requests.jsonl`          `Request`
`exchanges.jsonl`         `Exchange`
`disturbances.jsonl`      `Disturbance`
`tools.jsonl`             `ToolRun`
`control.jsonl`           `ControlSample`
`logs/`                   bounded logs of operator processes
========================  =========================================
"""

from __future__ import annotations

import dataclasses
import json
import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import IO, Any, Self, TypeVar

from graders.evidence.records import (
    AuditEvent,
    ControlSample,
    Disturbance,
    Exchange,
    Mark,
    ProcessEvent,
    Request,
    Scrape,
    Sighting,
    ToolRun,
    Wait,
)
from graders.faults import InfraFault, UsageError
from graders.kube.nesting import shallow

SCHEMA = "kubeproof/bundle/v1"

FILES: Mapping[type, str] = {
    Mark: "marks.jsonl",
    Wait: "waits.jsonl",
    AuditEvent: "audit.jsonl",
    Sighting: "objects.jsonl",
    Scrape: "scrapes.jsonl",
    ProcessEvent: "processes.jsonl",
    Request: "requests.jsonl",
    Exchange: "exchanges.jsonl",
    Disturbance: "disturbances.jsonl",
    ToolRun: "tools.jsonl",
    ControlSample: "control.jsonl",
}

R = TypeVar("R")


@dataclass(frozen=True)
class TrackResult:
    """How one track of the scenario ended: `status` is `done` or `failed` (harness), times in seconds."""

    status: str
    started: float
    ended: float
    problem: str = ""


@dataclass(frozen=True)
class BundleManifest:
    """What was graded, where, and how it went.

    `deadline_s` is T, the calibrated deadline; `scale` the factor that made it. `operator` is the
    operator's API identity. `submission` holds learner_id, digest and the lab's block. `records` says how
    many records each file has; a bundle that is older than this says nothing.
    """

    lab: str
    run_id: str
    created_at: str
    seed: int
    provider: str
    capabilities: tuple[str, ...]
    sandbox: str
    kubernetes_version: str
    kubeproof_version: str
    scale: float
    deadline_s: float
    operator: str
    submission: Mapping[str, Any]
    tracks: Mapping[str, TrackResult]
    timing: Mapping[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    records: Mapping[str, int] = field(default_factory=dict)
    schema: str = SCHEMA


class BundleWriter:
    """Appends records to a bundle folder; safe to call from any thread."""

    def __init__(self, folder: Path) -> None:
        """Make `folder` and open every file of the bundle."""
        (folder / "logs").mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._lock = threading.Lock()
        self._files: dict[type, IO[str]] = {
            # A learner's text may hold lone surrogates, which UTF-8 has no place for.
            kind: (folder / name).open("w", encoding="utf-8", errors="replace")
            for kind, name in FILES.items()
        }
        self._records = dict.fromkeys(FILES.values(), 0)

    def add(self, record: object) -> None:
        """Append one record to the file of its type; records that come after `close` are dropped."""
        line = json.dumps(shallow(_plain(record)), separators=(",", ":"), ensure_ascii=False)
        with self._lock:
            file = self._files.get(type(record))
            if file is not None:
                file.write(line + "\n")
                self._records[FILES[type(record)]] += 1

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

    def _close_files(self) -> None:
        with self._lock:
            for file in self._files.values():
                file.close()
            self._files.clear()


class Bundle:
    """A finished bundle, read lazily; every list is in the order of time."""

    def __init__(self, folder: Path) -> None:
        """Read the manifest of `folder`.

        Raises:
            UsageError: there is no bundle there, or it has another schema.
        """
        self.folder = folder
        try:
            data = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError) as error:
            raise UsageError(
                "there is no evidence bundle here",
                file=folder,
                fix="name a folder that has a manifest.json, such as OUT/bundle of an earlier grading",
            ) from error
        except ValueError as error:
            raise UsageError(f"the manifest is not JSON: {error}", file=folder / "manifest.json") from error
        if not isinstance(data, dict) or data.get("schema") != SCHEMA:
            raise UsageError(
                f"this bundle is not of schema {SCHEMA}",
                file=folder / "manifest.json",
                fix="judge it with the kubeproof version that recorded it",
            )
        tracks = {name: TrackResult(**result) for name, result in data.pop("tracks").items()}
        data["capabilities"] = tuple(data["capabilities"])
        data["warnings"] = tuple(data["warnings"])
        self.manifest = BundleManifest(**data, tracks=tracks)

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

    @cached_property
    def marks(self) -> tuple[Mark, ...]:
        """What the scenario did."""
        return self._read(Mark)

    @cached_property
    def waits(self) -> tuple[Wait, ...]:
        """What the tracks waited for; none in a bundle that is older than these records."""
        return self._read(Wait)

    @cached_property
    def audit(self) -> tuple[AuditEvent, ...]:
        """Every request the audit policy keeps."""
        return self._read(AuditEvent)

    @cached_property
    def audit_by_place(self) -> Mapping[tuple[str, str], Sequence[AuditEvent]]:
        """The same by resource and namespace."""
        return _by_place(self.audit)

    @cached_property
    def sightings_by_place(self) -> Mapping[tuple[str, str], Sequence[Sighting]]:
        """What the grader's own watches saw, by resource and namespace."""
        return _by_place(self.sightings)

    @cached_property
    def sightings(self) -> tuple[Sighting, ...]:
        """What the grader's own watches saw."""
        return self._read(Sighting)

    @cached_property
    def scrapes(self) -> tuple[Scrape, ...]:
        """Reads of the operator's metrics."""
        return self._read(Scrape)

    @cached_property
    def processes(self) -> tuple[ProcessEvent, ...]:
        """Starts, kills and exits of the operator."""
        return self._read(ProcessEvent)

    @cached_property
    def requests(self) -> tuple[Request, ...]:
        """The grader's own requests whose answers are evidence."""
        return tuple(dataclasses.replace(each, warnings=tuple(each.warnings)) for each in self._read(Request))

    @cached_property
    def exchanges(self) -> tuple[Exchange, ...]:
        """The operator's requests as the fault proxy saw them."""
        return tuple(dataclasses.replace(each, rules=tuple(each.rules)) for each in self._read(Exchange))

    @cached_property
    def disturbances(self) -> tuple[Disturbance, ...]:
        """What the fault proxy did."""
        return self._read(Disturbance)

    @cached_property
    def tools(self) -> tuple[ToolRun, ...]:
        """Programs run over the submission."""
        return tuple(dataclasses.replace(run, argv=tuple(run.argv)) for run in self._read(ToolRun))

    @cached_property
    def control(self) -> tuple[ControlSample, ...]:
        """How healthy the harness was."""
        return self._read(ControlSample)

    def _read(self, kind: type[R]) -> tuple[R, ...]:
        path = self.folder / FILES[kind]
        if not path.exists():
            return ()
        with path.open(encoding="utf-8") as lines:
            records = [kind(**json.loads(line)) for line in lines if line.strip()]
        return tuple(sorted(records, key=lambda record: record.t))  # type: ignore[attr-defined]


P = TypeVar("P", AuditEvent, Sighting)


def _by_place(records: Iterable[P]) -> dict[tuple[str, str], list[P]]:
    places: dict[tuple[str, str], list[P]] = {}
    for record in records:
        places.setdefault((record.resource, record.namespace), []).append(record)
    return places


def write_json(path: Path, data: object) -> None:
    """Write `data` as JSON through a temporary file, so that no reader sees half of it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    temporary.replace(path)


def _plain(record: object) -> dict[str, Any]:
    """The fields of a record; nested values are JSON already, so no deep copy is needed."""
    return {f.name: getattr(record, f.name) for f in dataclasses.fields(record)}  # type: ignore[arg-type]
