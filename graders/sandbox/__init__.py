"""Where learner code runs: `sandbox_named("bubblewrap").start(spec)`.

A sandbox confines one command and everything it starts, and reports what it did and used. It knows
nothing of clusters, labs or grades, and it does not decide whose fault an exit is.
"""

from collections.abc import Callable, Mapping

from graders.faults import UsageError
from graders.sandbox.bubblewrap import BubblewrapSandbox
from graders.sandbox.plain import PlainSandbox
from graders.sandbox.protocol import ExitStatus, Limits, Mount, Reason, Sandbox, SandboxSpec, Usage, View
from graders.sandbox.supervision import SandboxedProcess

__all__ = [
    "SANDBOXES",
    "ExitStatus",
    "Limits",
    "Mount",
    "Reason",
    "Sandbox",
    "SandboxSpec",
    "SandboxedProcess",
    "Usage",
    "View",
    "sandbox_named",
]

SANDBOXES: Mapping[str, Callable[[], Sandbox]] = {
    sandbox.name: sandbox for sandbox in (BubblewrapSandbox, PlainSandbox)
}


def sandbox_named(name: str) -> Sandbox:
    """The sandbox of that name.

    Raises:
        UsageError: there is none.
    """
    if name not in SANDBOXES:
        raise UsageError(f"there is no sandbox {name!r}", fix=f"use one of {', '.join(SANDBOXES)}")
    return SANDBOXES[name]()
