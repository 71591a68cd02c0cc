"""Programs that are not Python: what they are, how they come to this machine, how they are carried on.

A room or a lab states what it needs as a `Toolset`; `ensure` has it in the cache. Looked for in this order:
the cache; the upstream release, checked against its SHA-256; a build from the pinned Go modules of the
toolset, with a Go toolchain fetched for it. No toolset is named here.
"""

from graders.tools.catalogue import Program, Project, Release, Toolset
from graders.tools.ensure import Sources, ensure, find
from graders.tools.platforms import Platform, machine_platform
from graders.tools.store import Tools

__all__ = [
    "Platform",
    "Program",
    "Project",
    "Release",
    "Sources",
    "Tools",
    "Toolset",
    "ensure",
    "find",
    "machine_platform",
]
