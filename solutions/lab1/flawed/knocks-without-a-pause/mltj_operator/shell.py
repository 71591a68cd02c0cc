"""The kopf side: watches that wake workers, and nothing else.

Only raw event handlers are used, so kopf adds neither finalizers nor annotations to any object.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import kopf

from .names import GROUP, JOB_LABEL, PLURAL, VERSION
from .runtime import Runtime

logger = logging.getLogger(__name__)


class Patience:
    """Pauses between attempts to reach the API server, without an end."""

    def __iter__(self) -> Iterator[float]:
        """Yield the pauses in seconds."""
        while True:
            yield 0.01


def login() -> kopf.ConnectionInfo:
    """The credentials of this process: the kubeconfig it was given, or its ServiceAccount.

    Raises:
        kopf.LoginError: there are none.
    """
    settings = kopf.OperatorSettings()
    found = kopf.login_with_kubeconfig(settings=settings) or kopf.login_with_service_account(
        settings=settings
    )
    if found is None:
        raise kopf.LoginError("no KUBECONFIG is set and no ServiceAccount token is mounted")
    return found


def build_registry(runtime: Runtime) -> kopf.OperatorRegistry:
    """The handlers of the operator."""
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    async def authenticate(**_: Any) -> kopf.ConnectionInfo:
        return login()

    @kopf.on.startup(registry=registry)
    async def start(settings: kopf.OperatorSettings, **_: Any) -> None:
        configure(settings)
        await runtime.start()

    @kopf.on.cleanup(registry=registry)
    async def stop(**_: Any) -> None:
        await runtime.stop()

    @kopf.on.event(GROUP, VERSION, PLURAL, registry=registry)
    async def job_changed(namespace: str | None, meta: kopf.Meta, **_: Any) -> None:
        runtime.job_changed(namespace or "", meta["name"], meta["resourceVersion"])

    @kopf.on.event("", "v1", "pods", labels={JOB_LABEL: kopf.PRESENT}, registry=registry)
    @kopf.on.event("", "v1", "services", labels={JOB_LABEL: kopf.PRESENT}, registry=registry)
    async def child_changed(namespace: str | None, labels: kopf.Labels, **_: Any) -> None:
        runtime.child_changed(namespace or "", labels[JOB_LABEL])

    return registry


def configure(settings: kopf.OperatorSettings) -> None:
    """Keep kopf to watching."""
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.networking.error_backoffs = Patience()
