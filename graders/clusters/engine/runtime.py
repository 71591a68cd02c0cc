#!/usr/bin/env python3
"""An OCI runtime that runs the real one without a capability that this machine cannot give.

Some virtual machines keep CAP_SYS_RESOURCE out of the bounding set; the real runtime then refuses every
privileged container. It is named in `config.json` when a container is created and in the `--process` file of
`exec`. The file stands alone: the engine starts it by the path of a copy, and Python's own library is all
that it may use.
"""

import json
import os
import sys
from pathlib import Path

DROPPED = "CAP_SYS_RESOURCE"
REAL = "runc"


def without(process: dict[str, object]) -> None:
    """Take the capability out of every set of `process`, an OCI process object."""
    capabilities = process.get("capabilities")
    if isinstance(capabilities, dict):
        for name, held in capabilities.items():
            if isinstance(held, list):
                capabilities[name] = [each for each in held if each != DROPPED]


def value_of(arguments: list[str], *options: str) -> str:
    """What follows one of `options`, as its own word or after an equals sign; empty if none is there."""
    for place, word in enumerate(arguments):
        name, equals, value = word.partition("=")
        if name in options:
            return value if equals else "".join(arguments[place + 1 : place + 2])
    return ""


def rewrite(file: Path, *path: str) -> None:
    """Change the OCI process object at `path` in `file`."""
    document = json.loads(file.read_bytes())
    process = document
    for name in path:
        process = process.get(name) or {}
    without(process)
    file.write_text(json.dumps(document), "utf-8")


def main(arguments: list[str]) -> None:
    """Mend the files that `arguments` name, then become the real runtime."""
    if "create" in arguments or "run" in arguments:
        rewrite(Path(value_of(arguments, "--bundle", "-b") or ".") / "config.json", "process")
    elif "exec" in arguments and (file := value_of(arguments, "--process", "-p")):
        rewrite(Path(file))
    os.execvp(REAL, [REAL, *arguments])  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[1:])
