"""The recorded run of lab 1's reference that checks are tested against, and how to change it in one place.

The archive `bundles/lab1-reference.tar.xz` holds one bundle of a full grading, without what no check
reads. When the bundle's schema, the scenario or the reference changes, make it anew from a grading of
the reference that earned every point:

    kubeproof grade lab1 solutions/lab1/reference --out /tmp/again
    python -m tests.unit.lab1_recording /tmp/again/bundle
"""

from __future__ import annotations

import copy
import io
import json
import marshal
import sys
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, SupportsIndex

from graders.evidence.bundle import Bundle
from graders.evidence.records import (
    CLEARED,
    AuditEvent,
    Disturbance,
    Exchange,
    HarnessSample,
    HealthSample,
    Mark,
    ProcessEvent,
    Request,
    Scrape,
    ToolRun,
    Wait,
    WatchEvent,
)
from graders.lab1.metrics import PREFIX

ARCHIVE = Path(__file__).parent / "bundles" / "lab1-reference.tar.xz"

Record = dict[str, Any]

KINDS = (
    Mark, Wait, AuditEvent, WatchEvent, Scrape, ProcessEvent, Request, Exchange, Disturbance, ToolRun,
    HarnessSample, HealthSample,
)  # fmt: skip
PARTS = tuple(kind.FILE.removesuffix(".jsonl") for kind in KINDS)
WORKED_OUT: Mapping[type, tuple[str, ...]] = {
    AuditEvent: ("audit", "audit_by_namespace", "audit_by_place"),
    WatchEvent: ("watch_events", "watch_events_by_place", "sightings_by_place"),
    Exchange: ("exchanges",),
    Request: ("requests",),
    Disturbance: ("disturbances",),
    HealthSample: ("health",),
}
"""What a view of one cluster keeps that it worked out from the records of a type."""

_HOUSE_READS = ("get", "list", "watch")
_NOISE = {"volumes", "tolerations", "dnsPolicy", "schedulerName", "enableServiceLinks", "preemptionPolicy"}
_CONTAINER_NOISE = {"volumeMounts", "terminationMessagePath", "terminationMessagePolicy", "imagePullPolicy"}
WHOLE_PODS = ("policies", "create")
"""The tracks whose checks compare pods field by field with the template they are made from."""


class Recording:
    """A bundle as plain data, to be changed and written again; times are seconds of the run."""

    def __init__(self, manifest: Record, parts: Mapping[str, Iterable[Record]]) -> None:
        self.manifest = manifest
        self.parts: dict[str, Part] = (
            parts if isinstance(parts, _Parts) else {name: Part(name, each) for name, each in parts.items()}
        )

    @property
    def operator(self) -> str:
        """The operator's API identity."""
        (user,) = (user for user, role in self.manifest["actors"].items() if role == "learner")
        return str(user)

    @property
    def marks(self) -> Part:
        return self.parts["marks"]

    @property
    def audit(self) -> Part:
        return self.parts["audit"]

    @property
    def objects(self) -> Part:
        return self.parts["objects"]

    @property
    def scrapes(self) -> Part:
        return self.parts["scrapes"]

    @property
    def processes(self) -> Part:
        return self.parts["processes"]

    @property
    def requests(self) -> Part:
        return self.parts["requests"]

    @property
    def exchanges(self) -> Part:
        return self.parts["exchanges"]

    @property
    def disturbances(self) -> Part:
        return self.parts["disturbances"]

    @property
    def tools(self) -> Part:
        return self.parts["tools"]

    # --- finding -----------------------------------------------------------------------------------

    def namespace(self, track: str, part: str = "") -> str:
        """The namespace of a track."""
        (found,) = [
            mark["data"]["namespace"]
            for mark in self.marks.as_read()
            if (mark["track"], mark["name"]) == (track, "namespace") and mark["data"]["part"] == part
        ]
        return str(found)

    def mark(self, track: str, name: str, nth: int = 0) -> Record:
        """The n-th mark of a name; -1 is the last."""
        return self.marks.own(lambda mark: (mark["track"], mark["name"]) == (track, name))[nth]

    def seen(self, track: str, resource: str, name: str, part: str = "") -> list[Record]:
        """Every sighting of an object of that name."""
        space = self.namespace(track, part)
        found = self.objects.own(
            lambda o: (o["resource"], o["namespace"], o["name"]) == (resource, space, name)
        )
        assert found, f"the recording never saw {resource} {name} in track {track}"
        return found

    def jobs(self, track: str, name: str) -> list[Record]:
        """Every state of a job, as objects."""
        return [sighting["object"] for sighting in self.seen(track, "mltrainingjobs", name)]

    def pods(self, track: str, name: str) -> list[Record]:
        """Every state of a pod, as objects."""
        return [sighting["object"] for sighting in self.seen(track, "pods", name)]

    def creates(self, track: str, name: str, resource: str = "pods") -> list[Record]:
        """The operator's creates of an object of that name."""
        space, operator = self.namespace(track), self.operator
        found = self.audit.own(
            lambda e: (
                (e["verb"], e["resource"], e["namespace"], e["name"]) == ("create", resource, space, name)
                and e["user"] == operator
                and not e["subresource"]
            )
        )
        assert found, f"the operator never created {resource} {name} in track {track}"
        return found

    def request(self, track: str, name: str) -> Record:
        """The grader's own request of that name."""
        (found,) = self.requests.own(lambda r: (r["track"], r["name"]) == (track, name))
        return found

    # --- changing ----------------------------------------------------------------------------------

    def last(self, track: str, name: str) -> Record:
        """The last state of a job, to be changed in place."""
        state: Record = self.seen(track, "mltrainingjobs", name)[-1]["object"]
        return state

    def set_condition(
        self, track: str, name: str, kind: str, status: str, since: float = 0.0, until: float = 1e9
    ) -> None:
        """Give a condition another status in the states of a job that were seen in between."""
        changed = 0
        for sighting in self.seen(track, "mltrainingjobs", name):
            found = condition(sighting["object"], kind)
            if found and since <= sighting["t"] < until:
                found["status"] = status
                changed += 1
        assert changed, f"no state of {name} has {kind} then"

    def remove(self, part: str, record: Record) -> None:
        """Take one record out."""
        self.parts[part].drop(record)

    def revive(self, track: str, pod: str, nth: int = -1) -> None:
        """Let the n-th pod of that name, the last, live on as if nobody had deleted it."""
        uids = dict.fromkeys(item["metadata"]["uid"] for item in self.pods(track, pod))
        last = list(uids)[nth]
        for sighting in self.seen(track, "pods", pod):
            metadata = sighting["object"]["metadata"]
            if metadata["uid"] == last and (
                sighting["type"] == "DELETED" or metadata.get("deletionTimestamp")
            ):
                self.remove("objects", sighting)

    def again(self, event: Record, **more: Any) -> Record:
        """Add a write once more, a little later."""
        event = {**copy.deepcopy(event), "id": f"again-{event['id']}", "t": event["t"] + 0.5, **more}
        self.audit.append(event)
        return event

    def miss(self, track: str, waiting_for: str = "something", seen: str = "nothing of it") -> None:
        """Let a track have missed what it waited for."""
        data = {"waiting_for": waiting_for, "within_s": 10.0, "seen": seen}
        t = self.mark(track, "namespace")["t"] + 5
        self.marks.append({"t": t, "track": track, "name": "missed", "data": data})

    def write(self, track: str, verb: str, resource: str, name: str, **more: Any) -> Record:
        """Add an accepted write, by the operator unless `user` says otherwise."""
        return self.send(
            verb,
            resource,
            name,
            t=self.mark(track, "namespace")["t"] + 5,
            namespace=self.namespace(track),
            **more,
        )

    def send(self, verb: str, resource: str, name: str, t: float = 9.0, **more: Any) -> Record:
        """Add a request of the operator outside of all tracks."""
        event = {
            "t": t, "t_end": t + 0.01, "id": f"added-{len(self.audit)}",
            "user": self.operator, "verb": verb, "group": "", "resource": resource,
            "subresource": "", "namespace": "", "name": name, "code": 200,
            "cluster": self._cluster_of(more.get("namespace", "")), **more,
        }  # fmt: skip
        self.audit.append(event)
        return event

    def _cluster_of(self, namespace: str) -> str:
        named = [mark["data"] for mark in self.marks.as_read() if mark["name"] == "namespace"]
        return next((data.get("cluster", "") for data in named if data["namespace"] == namespace), "lab1")

    def held(self, folder: Path) -> Bundle:
        """The bundle with its records in memory; only the manifest is written."""
        folder.mkdir()
        (folder / "manifest.json").write_text(json.dumps(self.manifest))
        bundle = Bundle(folder)
        for kind, part in zip(KINDS, PARTS, strict=True):
            untouched = _untouched(kind, part)
            bundle._read[kind] = self.parts[part].built(kind) if part in self.parts else untouched
            if bundle._read[kind] is untouched:
                for cluster in bundle.manifest.clusters.keys() & _worked_out(kind).keys():
                    bundle.on(cluster).__dict__.update(_worked_out(kind)[cluster])
        return bundle

    def store(self, folder: Path) -> Bundle:
        """Write the bundle and open it."""
        folder.mkdir()
        texts = {
            part: "".join(json.dumps(record) + "\n" for record in self.parts[part].as_read())
            if part in self.parts
            else _archived().get(f"{part}.jsonl", "")
            for part in PARTS
        }
        counts = {f"{part}.jsonl": text.count("\n") for part, text in texts.items()}
        (folder / "manifest.json").write_text(json.dumps({**self.manifest, "records": counts}))
        for part, text in texts.items():
            (folder / f"{part}.jsonl").write_text(text)
        return Bundle(folder)


Mutation = Callable[[Recording], object]


def reference() -> Recording:
    """The recording of the reference; change it as you like, the next caller gets another one."""
    manifest = json.loads(_archived()["manifest.json"])
    return Recording(manifest, _Parts())


class Part(list[Record]):
    """The records of a part. They are those of the archive, and all recordings', until somebody has them.

    Whoever goes through them, or asks for one by its place, may change what he gets: all become this
    recording's own. To have a few, as most changes do, takes a hundredth of the time.
    """

    def __init__(self, name: str, records: Iterable[Record]) -> None:
        super().__init__(records)
        self._name = name
        self._all_own = False

    def as_read(self) -> Iterator[Record]:
        """The records, to be read and not changed."""
        return super().__iter__()

    def own(self, wanted: Callable[[Record], bool]) -> list[Record]:
        """Those that are wanted, to be changed in place."""
        shared, found = _places(self._name), []
        for at, record in enumerate(self.as_read()):
            if wanted(record):
                mine = _copy(record) if id(record) in shared else record
                self[at] = mine
                found.append(mine)
        return found

    def drop(self, record: Record) -> None:
        """Take one out, this very one."""
        self[:] = [each for each in self.as_read() if each is not record]

    def built(self, kind: type) -> tuple[Any, ...]:
        """The records as a bundle has them; those of the archive if nobody has any of his own."""
        shared, made = _places(self._name), _untouched(kind, self._name)
        if [shared.get(id(record)) for record in self.as_read()] == list(range(len(made))):
            return made
        return tuple(
            sorted(
                (
                    made[shared[id(record)]] if id(record) in shared else kind(**record)
                    for record in self.as_read()
                ),
                key=lambda record: record.t,
            )
        )

    def __iter__(self) -> Iterator[Record]:
        self._become_own()
        return super().__iter__()

    def __reversed__(self) -> Iterator[Record]:
        self._become_own()
        return super().__reversed__()

    def __getitem__(self, at: Any) -> Any:
        self._become_own()
        return super().__getitem__(at)

    def pop(self, at: SupportsIndex = -1) -> Record:
        self._become_own()
        return super().pop(at)

    def _become_own(self) -> None:
        if not self._all_own:
            self._all_own = True
            shared = _places(self._name)
            self[:] = [_copy(each) if id(each) in shared else each for each in self.as_read()]


class _Parts(dict[str, Part]):
    """The archived records by part; a part is read when somebody first asks for it, to look or to change."""

    def __missing__(self, part: str) -> Part:
        self[part] = Part(part, _archived_records(part))
        return self[part]

    def __setitem__(self, part: str, records: Iterable[Record]) -> None:
        super().__setitem__(part, records if isinstance(records, Part) else Part(part, records))


def _copy(record: Record) -> Record:
    """A record of one's own: by marshal it is had in half the time of JSON."""
    mine: Record = marshal.loads(marshal.dumps(record))
    return mine


@cache
def _archived_records(part: str) -> tuple[Record, ...]:
    """The records of a part, in the order of time; nobody changes them."""
    lines = _archived().get(f"{part}.jsonl", "").splitlines()
    records: list[Record] = json.loads(f"[{','.join(lines)}]")
    return tuple(sorted(records, key=lambda record: record["t"]))


@cache
def _places(part: str) -> dict[int, int]:
    """Where a record of the archive stands in its part, by its identity."""
    return {id(record): at for at, record in enumerate(_archived_records(part))}


@cache
def _untouched(kind: type, part: str) -> tuple[Any, ...]:
    """A part that nobody changed; checks change nothing either, so bundles share it."""
    return tuple(kind(**record) for record in _archived_records(part))


@cache
def _worked_out(kind: type) -> dict[str, dict[str, Any]]:
    """What a bundle works out from the untouched records of a type, by cluster: checks change none of it."""
    with TemporaryDirectory() as folder:
        (Path(folder) / "manifest.json").write_text(_archived()["manifest.json"])
        bundle = Bundle(Path(folder))
    bundle._read[kind] = _untouched(kind, kind.FILE.removesuffix(".jsonl"))
    names = WORKED_OUT.get(kind, ())
    return {
        cluster: {name: getattr(bundle.on(cluster), name) for name in names}
        for cluster in bundle.manifest.clusters
    }


def condition(job: Record, kind: str) -> Record:
    """A condition of a state of a job, to be changed in place; an empty mapping if it has none."""
    listed = (job.get("status") or {}).get("conditions") or []
    return next((each for each in listed if each["type"] == kind), {})


def pack(bundle: Path, archive: Path = ARCHIVE) -> None:
    """Make the archive from a bundle folder, without what no check reads."""
    manifest = json.loads((bundle / "manifest.json").read_text())
    marks = [json.loads(line) for line in (bundle / "marks.jsonl").read_text().splitlines()]
    whole = {
        str(mark["data"]["namespace"])
        for mark in marks
        if mark["track"] in WHOLE_PODS and mark["name"] == "namespace"
    }
    cleared = {str(mark["data"]["namespace"]): mark["t"] for mark in marks if mark["name"] == CLEARED}
    with tarfile.open(archive, "w:xz", preset=9) as tar:
        _add(tar, "manifest.json", json.dumps(manifest, indent=1))
        for part in PARTS:
            lines = (bundle / f"{part}.jsonl").read_text().splitlines()
            read = map(json.loads, lines)
            current = (each for each in read if not _is_late(part, each, cleared))
            kept = [_slim(part, each, manifest, whole) for each in current]
            _add(tar, f"{part}.jsonl", "".join(f"{json.dumps(each)}\n" for each in kept if each))


def _is_late(part: str, record: Record, cleared: dict[str, float]) -> bool:
    """Whether something is seen of a track that was cleared already; mutations change what is seen last."""
    return part == "objects" and record["t"] > cleared.get(record["namespace"], record["t"])


def _slim(part: str, record: Record, manifest: Record, whole: set[str]) -> Record | None:
    """A record as the archive keeps it; None for one that no check reads.

    Pods in the namespaces `whole` keep every field.
    """
    match part:
        case "harness" | "health":
            return None
        case "audit":
            return _slim_event(record, house=manifest["actors"].get(record["user"]) != "learner")
        case "objects":
            if record["namespace"] not in whole:
                _slim_pod(record)
            return record if record["namespace"].startswith("team-") else None
        case "scrapes":
            lines = record["text"].splitlines()
            return {**record, "text": "".join(f"{line}\n" for line in lines if PREFIX in line)}
        case "exchanges":
            return {key: value for key, value in record.items() if key != "user_agent"}
        case _:
            return record


def _slim_event(record: Record, *, house: bool) -> Record | None:
    if house and (record["verb"] in _HOUSE_READS or record["resource"] not in ("pods", "services")):
        return None
    labels = None if house else ((record.get("request") or {}).get("metadata") or {}).get("labels")
    return {**record, "response": None, "request": {"metadata": {"labels": labels}} if labels else None}


def _slim_pod(record: Record) -> None:
    if record["resource"] == "pods":
        spec = record["object"]["spec"]
        for field in _NOISE & spec.keys():
            del spec[field]
        for container in spec["containers"]:
            for field in _CONTAINER_NOISE & container.keys():
                del container[field]


def _add(tar: tarfile.TarFile, name: str, text: str) -> None:
    data = text.encode()
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


@cache
def _archived() -> dict[str, str]:
    with tarfile.open(ARCHIVE) as tar:
        return {member.name: _text(tar, member) for member in tar.getmembers()}


def _text(tar: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    file = tar.extractfile(member)
    assert file is not None
    return file.read().decode()


def states(jobs: list[Record]) -> Iterator[Record]:
    """Those states of a job that have conditions."""
    return (job for job in jobs if (job.get("status") or {}).get("conditions"))


if __name__ == "__main__":
    pack(Path(sys.argv[1]))
    print(f"{ARCHIVE}: {ARCHIVE.stat().st_size / 1024:.0f} KiB")
