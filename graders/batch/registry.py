"""The executors by name; a new one is one file and one line here."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from importlib import import_module

from graders.batch.executor import Executor, ExecutorOptions
from graders.faults import UsageError

MODULES: Mapping[str, str] = {
    "local": "graders.batch.local",
    "kubernetes": "graders.batch.incluster",
}
"""Each has an `executor(options)`, a context manager, and is imported when it is asked for."""


def executor_named(name: str, options: ExecutorOptions) -> AbstractContextManager[Executor]:
    """The executor of that name, for as long as the block runs.

    Raises:
        UsageError: there is none, or the options are not for it. InfraFault: it cannot be had.
    """
    if name not in MODULES:
        raise UsageError(f"there is no executor {name!r}", fix=f"use one of {', '.join(MODULES)}")
    found: AbstractContextManager[Executor] = import_module(MODULES[name]).executor(options)
    return found
