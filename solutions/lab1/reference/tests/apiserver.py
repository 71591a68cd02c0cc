"""A small API server on loopback: real HTTP, objects in a dict, versions, preconditions, faults."""

from __future__ import annotations

import itertools
import json
from typing import Any

import kopf
from aiohttp import web

Object = dict[str, Any]


class ApiServer:
    """Stores objects by path; `faults` are statuses to answer with, one per request."""

    def __init__(self) -> None:
        self.objects: dict[str, Object] = {}
        self.requests: list[tuple[str, str]] = []
        self.faults: dict[tuple[str, str], list[int]] = {}
        self.lost_answers: list[str] = []
        """Methods whose next answer is an error although the request was carried out."""
        self._versions = itertools.count(100)
        self._runner: web.AppRunner | None = None
        self._port = 0

    async def __aenter__(self) -> ApiServer:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner
        await self._runner.cleanup()

    def login(self) -> kopf.ConnectionInfo:
        return kopf.ConnectionInfo(server=f"http://127.0.0.1:{self._port}", token="secret")

    def put(self, collection: str, body: Object) -> Object:
        """Store an object as if somebody else had written it."""
        meta = body["metadata"]
        meta.setdefault("uid", f"uid-{meta['name']}-{next(self._versions)}")
        meta["resourceVersion"] = str(next(self._versions))
        self.objects[f"{collection}/{meta['name']}"] = body
        return body

    def names(self, collection: str) -> list[str]:
        return sorted(
            path.rpartition("/")[2]
            for path in self.objects
            if path.rpartition("/")[0] == collection
        )

    def writes(self) -> list[tuple[str, str]]:
        quiet = ("/events", "/leases")
        return [r for r in self.requests if r[0] != "GET" and not any(q in r[1] for q in quiet)]

    async def _answer(self, request: web.Request) -> web.Response:
        path, body = request.path, await request.read()
        self.requests.append((request.method, path))
        for (method, part), statuses in self.faults.items():
            if method == request.method and part in path and statuses:
                return _status(statuses.pop(0), "a fault")
        status, answer = self._carry_out(request, path, json.loads(body) if body else {})
        if request.method in self.lost_answers:
            self.lost_answers.remove(request.method)
            return _status(504, "the answer was lost")
        return web.json_response(answer, status=status)

    def _carry_out(self, request: web.Request, path: str, body: Object) -> tuple[int, Object]:
        if request.method == "POST":
            full = f"{path}/{body['metadata']['name']}"
            if full in self.objects:
                return 409, {"message": "already exists"}
            return 201, self.put(path, body)
        if request.method == "GET" and path not in self.objects:
            plural = path.rpartition("/")[2]
            collections = ("mltrainingjobs", "pods", "services", "nodes")
            found = plural in collections
            items = self._list(path, plural, request.query.get("labelSelector", ""))
            return (200, {"items": items}) if found else (404, {"message": "no such thing"})
        sub = path.removesuffix("/status")
        if sub not in self.objects:
            return 404, {"message": "no such thing"}
        current = self.objects[sub]
        sent = body.get("preconditions") or body.get("metadata") or {}
        for name in ("uid", "resourceVersion"):
            if sent.get(name) not in (None, current["metadata"][name]):
                return 409, {"message": f"{name} differs"}
        if request.method == "GET":
            return 200, current
        if request.method == "DELETE":
            return 200, self.objects.pop(sub)
        if request.method == "PATCH":
            body = _merged(current, {k: v for k, v in body.items() if k != "metadata"})
        return 200, self.put(sub.rpartition("/")[0], body)

    def _list(self, path: str, plural: str, selector: str) -> list[Object]:
        key, _, value = selector.partition("=")
        everywhere = "/namespaces/" not in path
        return [
            item
            for where, item in self.objects.items()
            if where.split("/")[-2] == plural
            and (everywhere or where.rpartition("/")[0] == path)
            and (not key or key in item["metadata"].get("labels", {}))
            and (not value or item["metadata"]["labels"][key] == value)
        ]


def _status(code: int, message: str) -> web.Response:
    return web.json_response({"kind": "Status", "message": message}, status=code)


def _merged(old: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    result = dict(old) if isinstance(old, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = _merged(result.get(key), value)
    return result
