"""Run the operator: `python -m mltj_operator`."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from pathlib import Path

import kopf

from .metrics import Metrics
from .runtime import Runtime, read_config
from .shell import build_registry, login


async def serve() -> int:
    """Run until told to stop; returns the exit status."""
    runtime = Runtime(read_config(), login, Metrics())
    watching = asyncio.create_task(
        kopf.operator(registry=build_registry(runtime), clusterwide=True, standalone=True)
    )
    failing = asyncio.create_task(runtime.failed.wait())
    await asyncio.wait({watching, failing}, return_when=asyncio.FIRST_COMPLETED)
    failed = failing.done()
    failing.cancel()
    if failed:
        watching.cancel()
    await asyncio.gather(watching, return_exceptions=failed)
    return 1 if failed else 0


def main() -> int:
    """Set logging up and run."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    for noisy in ("kopf.objects", "kopf.activities", "aiohttp"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    note_start()
    return asyncio.run(serve())


def note_start() -> None:
    """Keep the time of the last start where people can find it."""
    notes = Path.home() / ".mltj-operator"
    notes.mkdir(exist_ok=True)
    (notes / "last-start").write_text(time.strftime("%FT%TZ\n", time.gmtime()), "utf-8")


if __name__ == "__main__":
    sys.exit(main())
