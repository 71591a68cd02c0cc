"""Stands in for a build's go command, with the flags that the shared cache knows: runs inside a sandbox.

Usage: goflags.py GO ARGUMENTS...  Nothing of kubeproof can be imported here.

Some flags change what goes into the key of every package, and so have all dependencies compiled anew, and
nothing that anybody would notice of the program: rebuilding what is up to date (`-a`), folder names in stack
traces (`-trimpath`), the load address (`-buildmode`), the resolver that is taken without cgo anyway (tag
`netgo`). These are left out; all others reach the go command as they are.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping

_COMMANDS = frozenset({"build", "install", "list", "run", "test", "vet"})
_LEFT_OUT = frozenset({"a", "trimpath"})
_MODES = frozenset({"default", "exe", "pie"})
_WITH_VALUE = frozenset(
    {
        "C", "asmflags", "buildmode", "compiler", "covermode", "coverpkg", "exec", "gccgoflags",
        "gcflags", "installsuffix", "ldflags", "mod", "modfile", "o", "overlay", "p", "pgo", "pkgdir",
        "tags", "toolexec",
    }
)  # fmt: skip
"""Flags of a build whose value may be the next argument."""


def arguments_for(given: list[str], environment: Mapping[str, str]) -> list[str]:
    """What the go command gets for what was `given`."""
    if not given or given[0] not in _COMMANDS:
        return given
    flags, rest = [], given[1:]
    while rest and rest[0].startswith("-") and rest[0].strip("-"):
        name, equals, _ = _parts(rest[0])
        size = 2 if name in _WITH_VALUE and not equals else 1
        flags.append(rest[:size])
        rest = rest[size:]
    return [given[0], *_kept(flags, environment), *rest]


def goflags_for(environment: Mapping[str, str]) -> str:
    """What becomes of the variable GOFLAGS; it is left alone where words are quoted."""
    given = environment.get("GOFLAGS", "")
    if "'" in given or '"' in given:
        return given
    return " ".join(_kept(([word] for word in given.split()), environment))


def _kept(flags: Iterable[list[str]], environment: Mapping[str, str]) -> Iterator[str]:
    for flag in flags:
        name, _, value = _parts("=".join(flag))
        if name in _LEFT_OUT or (name == "buildmode" and value in _MODES):
            continue
        if name == "tags" and environment.get("CGO_ENABLED") == "0":
            yield f"-tags={','.join(tag for tag in value.replace(',', ' ').split() if tag != 'netgo')}"
        else:
            yield from flag


def _parts(flag: str) -> tuple[str, str, str]:
    """Name, equals sign and value of a flag, which may begin with one dash or two."""
    return flag.removeprefix("-").removeprefix("-").partition("=")


if __name__ == "__main__":
    os.environ["GOFLAGS"] = goflags_for(os.environ)
    go = sys.argv[1]
    os.execv(go, [go, *arguments_for(sys.argv[2:], os.environ)])  # noqa: S606 - that is what it is for
