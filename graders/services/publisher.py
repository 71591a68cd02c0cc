"""A publisher in place of Flux's source-controller, which does not build from its modules here.

It follows the GitRepositories of a namespace, packs the head of each one's branch, serves that over HTTP on
loopback, and says so in their status. It also takes the events of kustomize-controller, as
notification-controller would, and keeps them as Events of the hub: the recorder of client-go drops all but a
few of an object's.
`POST /tell` has it look at Git at once. It runs as a process of its own, so that it can be killed.
"""

import argparse
import contextlib
import json
import secrets
import sys
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from graders.faults import InfraFault
from graders.kube.client import ApiRefused, Kube
from graders.services.gitartifacts import Artifact, ArtifactStore, SourceFailed
from graders.services.gitsource import RepositorySource, UnsupportedSource, read_source

API = "source.toolkit.fluxcd.io/v1"
_LOOK_EVERY_S = 0.5
_MOST_EVENT_BYTES, _MOST_MESSAGE = 1 << 20, 8192


class Publisher:
    """Keeps the status of all GitRepositories of one namespace; safe to tell from any thread."""

    def __init__(self, kube: Kube, namespace: str, store: ArtifactStore, base_url: str, only: str) -> None:
        """Publish below `base_url` what GitRepositories want of the repository at `only`."""
        self._kube, self._namespace, self._store = kube, namespace, store
        self._base_url, self._only_url = base_url, only
        self._told = threading.Event()
        self._looked: dict[str, tuple[int, float]] = {}
        self._path = f"/apis/{API}/namespaces/{namespace}/gitrepositories"

    def tell(self) -> None:
        """Look at Git now, whatever the intervals."""
        self._told.set()

    def run(self) -> None:
        """Look again and again; does not return."""
        while True:
            now = self._told.wait(_LOOK_EVERY_S)
            self._told.clear()
            try:
                answer = self._kube.request("GET", self._path)
                for item in answer.body["items"] if answer.ok else ():
                    self._look(item, now=now)
            except (ApiRefused, InfraFault) as error:
                print(f"the hub: {error}", file=sys.stderr, flush=True)

    def _look(self, item: Mapping[str, Any], *, now: bool) -> None:
        name, generation = str(item["metadata"]["name"]), int(item["metadata"]["generation"])
        seen, due = self._looked.get(name, (0, 0.0))
        if seen == generation and not now and time.monotonic() < due:
            return
        interval_s, found = _LOOK_EVERY_S, None
        try:
            source = read_source(item["spec"])
            interval_s = source.interval_s
            if source.suspended:
                self._looked[name] = (generation, time.monotonic() + interval_s)
                return
            found = self._store.pack(name, source, self._store.head(self._checked(source)))
            conditions = _ready(found)
        except UnsupportedSource as error:
            conditions = [_condition("Ready", "False", "Unsupported", f"{error}; {error.fix}")]
        except SourceFailed as error:
            conditions = [_condition("Ready", "False", "GitOperationFailed", str(error))]
        self._say(item, found, conditions)
        self._looked[name] = (generation, time.monotonic() + interval_s)

    def _checked(self, source: RepositorySource) -> RepositorySource:
        if source.url != self._only_url:
            raise UnsupportedSource(
                f"spec.url {source.url} is not the repository {self._only_url}",
                ("url",),
                "name the repository that you were given",
            )
        return source

    def _say(self, item: Mapping[str, Any], found: Artifact | None, conditions: list[dict[str, Any]]) -> None:
        """Write the status, unless it says all that already."""
        before, generation = item.get("status") or {}, item["metadata"]["generation"]
        status: dict[str, Any] = {"observedGeneration": generation}
        written = before.get("artifact") or {}
        if found is not None:
            artifact = {
                "path": found.path, "url": f"{self._base_url}/{found.path}", "revision": found.revision,
                "digest": found.digest, "size": found.size_bytes,
            }  # fmt: skip
            if artifact.items() - written.items():
                status["artifact"] = {**artifact, "lastUpdateTime": _now()}
        elif written and conditions[0]["reason"] == "Unsupported":
            status["artifact"] = None
        known = [
            {key: value for key, value in each.items() if key != "lastTransitionTime"}
            for each in before.get("conditions") or ()
        ]
        wanted = [{**each, "observedGeneration": generation} for each in conditions]
        if known != wanted:
            status["conditions"] = [{**each, "lastTransitionTime": _now()} for each in wanted]
        if status.keys() > {"observedGeneration"} or before.get("observedGeneration") != generation:
            path = f"{self._path}/{item['metadata']['name']}/status"
            self._kube.patch(path, {"status": status}, fieldManager="publisher")

    def record(self, event: Mapping[str, Any]) -> None:
        """Keep an event of the controller on the hub.

        Raises:
            ApiRefused: the hub does not take it. InfraFault: it does not answer.
        """
        about, at = event["involvedObject"], str(event.get("timestamp") or _now())
        severe = event.get("severity") == "error"
        reporter = str(event.get("reportingController") or "kustomize-controller")
        body = {
            "metadata": {"name": f"{about['name']}.{secrets.token_hex(8)}", "namespace": self._namespace},
            "involvedObject": about,
            "type": "Warning" if severe else "Normal",
            "reason": str(event.get("reason", "")),
            "message": str(event.get("message", ""))[:_MOST_MESSAGE],
            "source": {"component": reporter},
            "firstTimestamp": at, "lastTimestamp": at, "count": 1,
        }  # fmt: skip
        self._kube.create(f"/api/v1/namespaces/{self._namespace}/events", body)


def _ready(found: Artifact) -> list[dict[str, Any]]:
    message = f"stored artifact for revision '{found.revision}'"
    return [_condition(kind, "True", "Succeeded", message) for kind in ("Ready", "ArtifactInStorage")]


def _condition(kind: str, status: str, reason: str, message: str) -> dict[str, Any]:
    return {"type": kind, "status": status, "reason": reason, "message": message}


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class _Handler(SimpleHTTPRequestHandler):
    """Artifacts by GET; `tell` and `events` by POST."""

    publisher: Publisher

    def do_POST(self) -> None:
        """Take a word, or an event."""
        length = int(self.headers.get("Content-Length") or 0)
        if length > _MOST_EVENT_BYTES:
            self.send_error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            return
        body = self.rfile.read(length)
        if self.path == "/tell":
            self.publisher.tell()
        else:
            # An event less is no reason to have the controller send it for ever.
            with contextlib.suppress(ApiRefused, InfraFault, ValueError, KeyError, TypeError):
                self.publisher.record(json.loads(body))
        self.send_response(HTTPStatus.ACCEPTED)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing of requests."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64


def main() -> None:
    """Publish until ended."""
    arguments = argparse.ArgumentParser(description="Publishes a Git branch for Flux, on loopback.")
    arguments.add_argument("kubeconfig", type=Path)
    arguments.add_argument("namespace")
    arguments.add_argument("url", help="the one repository that may be published")
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("port", type=int)
    given = arguments.parse_args()
    store = ArtifactStore(given.folder)
    base = f"http://127.0.0.1:{given.port}"
    publisher = Publisher(Kube(given.kubeconfig), given.namespace, store, base, given.url)
    handler = type("Handler", (_Handler,), {"publisher": publisher})

    def answer(*args: Any) -> SimpleHTTPRequestHandler:
        return handler(*args, directory=str(store.public))  # type: ignore[no-any-return]

    server = _Server(("127.0.0.1", given.port), answer)
    threading.Thread(target=server.serve_forever, name="artifacts", daemon=True).start()
    publisher.run()


if __name__ == "__main__":
    main()
