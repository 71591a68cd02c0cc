"""The executors by name; a new one is one file and one line here."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from graders.batch.executor import Executor, ExecutorOptions
from graders.faults import UsageError

MODULES: Mapping[str, str] = {
    "local": "graders.batch.local",
    "kubernetes": "graders.batch.incluster",
}
"""Each has an `executor(options)`, and is imported when it is asked for."""


def executor_named(name: str, options: ExecutorOptions) -> Executor:
    """The executor of that name.

    Raises:
        UsageError: there is none, or the options are not for it. InfraFault: it cannot be had.
    """
    if name not in MODULES:
        raise UsageError(f"there is no executor {name!r}", fix=f"use one of {', '.join(MODULES)}")
    found: Executor = import_module(MODULES[name]).executor(options)
    return found
