import aiohttp
from prometheus_client import CollectorRegistry

from mltj_operator import serving
from mltj_operator.metrics import Metrics


async def test_metrics_and_health_are_served_on_one_port() -> None:
    registry = CollectorRegistry()
    Metrics(registry)
    app = serving.build_app(registry, alive=lambda: True, ready=lambda: False)
    runner = await serving.start(app, "127.0.0.1", 0)
    try:
        base = f"http://127.0.0.1:{runner.addresses[0][1]}"
        async with aiohttp.ClientSession() as session:
            async with session.get(f"{base}/metrics") as answer:
                assert answer.content_type == "text/plain"
                assert "mltrainingjob_jobs_active 0.0" in await answer.text()
            async with session.get(f"{base}/healthz") as answer:
                assert answer.status == 200
            async with session.get(f"{base}/readyz") as answer:
                assert answer.status == 503
    finally:
        await runner.cleanup()
