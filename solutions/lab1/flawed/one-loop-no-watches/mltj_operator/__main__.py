"""A loop: list, compare, apply; no watch, no cache, no second worker."""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from .api import Api, Refused
from .children import GROUP, Object, pod_of, service_of
from .visit import Visit

JOBS = f"/apis/{GROUP}/v1alpha1"
MERGE_PATCH = "application/merge-patch+json"
EVERY_S = 0.3


class Alive(BaseHTTPRequestHandler):
    """What the kubelet asks."""

    def do_GET(self) -> None:  # noqa: N802
        """Say that the process is there."""
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing of it."""


def by_namespace(objects: list[Object]) -> dict[str, list[Object]]:
    """The objects of a list, by namespace."""
    found: dict[str, list[Object]] = {}
    for each in objects:
        found.setdefault(each["metadata"]["namespace"], []).append(each)
    return found


def belongs(pod: Object, job: Object) -> bool:
    """Whether a pod is the job's own."""
    uid = job["metadata"]["uid"]
    return any(owner.get("uid") == uid for owner in pod["metadata"].get("ownerReferences", []))


def carry_out(api: Api, job: Object, pods: list[Object], services: list[Object]) -> None:
    """Bring one job to where it should be, status first: a write that is refused ends the visit."""
    metadata = job["metadata"]
    if metadata.get("deletionTimestamp"):
        return
    core = f"/api/v1/namespaces/{metadata['namespace']}"
    if all(each["metadata"]["name"] != metadata["name"] for each in services):
        api.apply(f"{core}/services", service_of(job))
    visit = Visit(job, [pod for pod in pods if belongs(pod, job)])
    path = f"{JOBS}/namespaces/{metadata['namespace']}/mltrainingjobs/{metadata['name']}"
    told = {key: value for key, value in visit.status.items() if value is not None}
    if told != (job.get("status") or {}):
        version = {"resourceVersion": metadata["resourceVersion"]}
        patch = {"metadata": version, "status": visit.status}
        api.call("PATCH", f"{path}/status", patch, MERGE_PATCH)
    for pod in visit.delete:
        only = {"preconditions": {"uid": pod["metadata"]["uid"]}}
        api.call("DELETE", f"{core}/pods/{pod['metadata']['name']}", only)
    for index in visit.create:
        api.apply(f"{core}/pods", pod_of(job, index))
    if visit.expired:
        api.call("DELETE", path, {"preconditions": {"uid": metadata["uid"]}})


def look(api: Api) -> None:
    """Visit every job once."""
    jobs = api.items(f"{JOBS}/mltrainingjobs")
    pods = by_namespace(api.items("/api/v1/pods"))
    services = by_namespace(api.items("/api/v1/services"))
    for job in jobs:
        space = job["metadata"]["namespace"]
        try:
            carry_out(api, job, pods.get(space, []), services.get(space, []))
        except Refused as refusal:
            print(f"{space}/{job['metadata']['name']}: {refusal}", flush=True)


def main() -> None:
    """Look again and again, slower while nobody answers."""
    server = ThreadingHTTPServer(("", 8080), Alive)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    api = Api()
    while True:
        try:
            look(api)
        except Refused as refusal:
            print(refusal, flush=True)
            time.sleep(1.0)
        time.sleep(EVERY_S)


if __name__ == "__main__":
    main()
