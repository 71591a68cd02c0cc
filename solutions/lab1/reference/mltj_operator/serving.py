"""The HTTP port: metrics for Prometheus, health for the kubelet."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest

_TEXT_FORMAT = "text/plain; version=0.0.4; charset=utf-8"


def build_app(
    registry: CollectorRegistry, *, alive: Callable[[], bool], ready: Callable[[], bool]
) -> web.Application:
    """The three endpoints: /metrics, /healthz, /readyz."""

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": _TEXT_FORMAT})

    def probe(check: Callable[[], bool]) -> Callable[[web.Request], web.Response]:
        def answer(_: web.Request) -> web.Response:
            return web.Response(status=200 if check() else 503, text="ok" if check() else "no")

        return answer

    async def healthz(request: web.Request) -> web.Response:
        return probe(alive)(request)

    async def readyz(request: web.Request) -> web.Response:
        return probe(ready)(request)

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    return app


async def start(app: web.Application, address: str, port: int) -> web.AppRunner:
    """Serve until the runner is cleaned up.

    Raises:
        OSError: the port is in use.
    """
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, address, port).start()
    return runner
