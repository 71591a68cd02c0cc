"""A ledger: records written one after the other under seal, and looks at what of it is there."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any, Self

from graders.background import BackgroundThread
from graders.evidence.recording import Recording
from graders.faults import InfraFault
from graders.kube.client import MERGE_PATCH, Kube
from graders.kube.paths import resource_path
from graders.recovery.records import LedgerLook, LedgerWrite, RestoredRecord
from graders.recovery.seals import seal, written

FIRST_RECORDS = 60
EVERY_S = 0.5
OWNER_EVERY, DELETE_EVERY = 4, 10
CONFIG_MAP = "ConfigMap"
STATUS = "status"
_ANSWER_S = 5.0
_NOT_YET = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.NOT_FOUND)
"""What an API server says that has too much to do, or has just started."""


class LedgerRefused(InfraFault):
    """The API server answers, and does not take a record: something in the cluster forbids it."""


@dataclass(frozen=True)
class OwnerKind:
    """A kind with spec and status that a CRD defines, and whose objects own ConfigMaps."""

    api_version: str
    kind: str
    plural: str


@dataclass(frozen=True)
class LedgerPlace:
    """Where a ledger is written, by which label its records are found; `owners` None: ConfigMaps alone."""

    namespace: str
    label: str
    owners: OwnerKind | None = None


class RecordLedger(BackgroundThread):
    """Writes `name` in a place: an operation every half second, while its block runs, unless held."""

    def __init__(
        self,
        recording: Recording,
        kube: Kube,
        cluster: str,
        place: LedgerPlace,
        name: str,
        key: bytes,
    ) -> None:
        super().__init__(f"ledger {name}")
        self.name = name
        self._recording = recording
        self._kube = kube
        self._cluster = cluster
        self._key = key
        self._label = place.label
        self._owners = owners = place.owners
        self._paths = {CONFIG_MAP: resource_path("v1", "configmaps", namespace=place.namespace)}
        if owners is not None:
            path = resource_path(owners.api_version, owners.plural, namespace=place.namespace)
            self._paths[owners.kind] = path
        self._operations = 0
        self._seq = dict.fromkeys(self._paths, 0)
        self._living: list[tuple[str, str, str]] = []
        self._writing = threading.Lock()
        self.fault = ""
        self.seals: list[str] = []
        """Of all records, the newest last."""

    def __enter__(self) -> Self:
        """Write the first records at once, then go on in time.

        Raises:
            LedgerRefused: the API server does not take them. InfraFault: it does not answer.
        """
        for _ in range(FIRST_RECORDS):
            self._operate()
        return super().__enter__()

    @contextmanager
    def held(self) -> Iterator[None]:
        """No operation begins, and none is under way, while the block runs."""
        with self._writing:
            yield

    def look(self, when: str) -> None:
        """Put on record what of it is there now.

        Raises:
            InfraFault: the API server does not answer.
        """
        query = {"labelSelector": f"{self._label}={self.name}"}
        t = self._recording.clock.now()
        kind = self._owners.kind if self._owners is not None else ""
        there = self._items(kind, query) if kind else []
        uids = {str(each["metadata"]["uid"]): str(each["metadata"]["name"]) for each in there}
        config_maps = self._items(CONFIG_MAP, query)
        for item in config_maps:
            found = self._found(t, CONFIG_MAP, item, item.get("data"))
            owners = item["metadata"].get("ownerReferences") or ()
            owner = next((uids[each["uid"]] for each in owners if each["uid"] in uids), "")
            self._recording.writer.add(replace(found, owner=owner))
        for item in there:
            self._recording.writer.add(self._found(t, kind, item, item.get("spec")))
            if item.get(STATUS):
                found = self._found(t, kind, item, item[STATUS])
                self._recording.writer.add(replace(found, part=STATUS))
        owners_there = tuple(sorted(uids.values()))
        self._recording.writer.add(LedgerLook(t, self.name, when, owners_there, self._cluster))

    def _items(self, kind: str, query: Mapping[str, object]) -> list[dict[str, Any]]:
        answer = self._kube.request("GET", self._paths[kind], query=query)
        if not answer.ok and answer.code != HTTPStatus.NOT_FOUND:
            raise InfraFault(f"the ledger cannot be read: {answer.code} {answer.message}")
        return list(answer.body["items"]) if answer.ok else []

    def _found(self, t: float, kind: str, item: Mapping[str, Any], held: Any) -> RestoredRecord:
        told = held if isinstance(held, Mapping) else {}
        seq, when, sealed = (str(told.get(name, "")) for name in ("seq", "written", "seal"))
        name = str(item["metadata"]["name"])
        return RestoredRecord(t, self.name, kind, name, seq, when, sealed, cluster=self._cluster)

    def _run(self) -> None:
        clock = self._recording.clock
        due = clock.now()
        while not self._stop.wait(max(0.0, due - clock.now())):
            try:
                self._operate()
            except InfraFault as error:
                self.fault = str(error)
            due = max(due + EVERY_S, clock.now())

    def _operate(self) -> None:
        with self._writing:
            self._operations += 1
            number = self._operations
            if number % DELETE_EVERY == 0 and len(self._living) > DELETE_EVERY:
                self._delete(*self._living.pop(number // DELETE_EVERY % (len(self._living) // 2)))
            elif number % OWNER_EVERY == 0 and self._owners is not None:
                self._owner(self._owners, f"{self.name}-m{number}", f"{self.name}-o{number}")
            else:
                name = f"{self.name}-c{number}"
                self._config_map(name)
                self._living.append((CONFIG_MAP, name, ""))

    def _owner(self, owners: OwnerKind, name: str, owned: str) -> None:
        """An owner, its status, and a ConfigMap that it owns."""
        path, kind = self._paths[owners.kind], {"apiVersion": owners.api_version, "kind": owners.kind}
        write = self._begin(owners.kind, "create", name)
        body = {**kind, "metadata": self._metadata(name), "spec": self._content(write)}
        made = self._send(write, "POST", path, body)
        write = self._begin(owners.kind, "create", name, part=STATUS)
        self._send(write, "PATCH", f"{path}/{name}/status", {STATUS: self._content(write)})
        uid = str((made or {}).get("metadata", {}).get("uid", ""))
        self._config_map(owned, {**kind, "name": name, "uid": uid})
        self._living.append((owners.kind, name, owned))

    def _config_map(self, name: str, owner: Mapping[str, str] | None = None) -> None:
        write = self._begin(CONFIG_MAP, "create", name, owner=owner["name"] if owner else "")
        metadata = self._metadata(name)
        if owner:
            metadata["ownerReferences"] = [owner]
        body = {"apiVersion": "v1", "kind": CONFIG_MAP, "metadata": metadata, "data": self._content(write)}
        self._send(write, "POST", self._paths[CONFIG_MAP], body)

    def _delete(self, kind: str, name: str, owned: str) -> None:
        write = self._begin(kind, "delete", name)
        self._send(write, "DELETE", f"{self._paths[kind]}/{name}", None)
        if owned:
            # The garbage collector takes it along, and says nothing.
            self._recording.writer.add(self._begin(CONFIG_MAP, "delete", owned))

    def _begin(self, kind: str, verb: str, name: str, *, part: str = "", owner: str = "") -> LedgerWrite:
        self._seq[kind] += 1
        return LedgerWrite(
            t=self._recording.clock.now(),
            t_end=None,
            ledger=self.name,
            kind=kind,
            seq=self._seq[kind],
            verb=verb,
            name=name,
            part=part,
            owner=owner,
            cluster=self._cluster,
        )

    def _send(self, write: LedgerWrite, method: str, path: str, body: object) -> Any:
        content = MERGE_PATCH if method == "PATCH" else "application/json"
        answer = None
        try:
            answer = self._kube.request(method, path, body=body, content_type=content, timeout_s=_ANSWER_S)
        finally:
            acknowledged = answer is not None and answer.ok
            t_end = self._recording.clock.now() if acknowledged else None
            self._recording.writer.add(replace(write, t_end=t_end))
        if not answer.ok:
            forbidden = answer.code in range(400, 500) and answer.code not in _NOT_YET
            why = f"the ledger was refused: {method} {path}: {answer.code} {answer.message}"
            raise LedgerRefused(why) if forbidden else InfraFault(why)
        return answer.body

    def _metadata(self, name: str) -> dict[str, Any]:
        return {"name": name, "labels": {self._label: self.name}}

    def _content(self, write: LedgerWrite) -> dict[str, str]:
        self.seals.append(seal(self._key, write))
        return {"seq": str(write.seq), "written": written(write), "seal": self.seals[-1]}
