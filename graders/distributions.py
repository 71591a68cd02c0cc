"""The distributions that code runs on, each as the lock pins it."""

import re
from collections.abc import Collection, Mapping
from functools import cache
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

IMPORTED_IF_THERE: Mapping[str, Collection[str]] = {"httpx": ("cli",)}
"""Extras whose distributions are imported wherever they are installed, asked for or not."""

_PIN = re.compile(r"^([\w.-]+)==(.*?)[\s\\]*$", re.MULTILINE)


def pins_of(packages: Collection[str], lock: Path, *, programs: Collection[str] = ()) -> tuple[str, ...]:
    """The pins, `name==version` each, of what provides those import packages, and of all that it requires.

    `programs` are distributions that are run and not imported. What the lock does not have is left out.
    """
    return tuple(sorted(pinned(lock)[name] for name in distributions_of(packages, lock, programs=programs)))


def distributions_of(
    packages: Collection[str], lock: Path, *, programs: Collection[str] = ()
) -> frozenset[str]:
    """The names of distributions behind those pins; parameters are those of `pins_of`."""
    locked = pinned(lock)
    wanted = [canonicalize_name(name) for package in packages for name in _providers().get(package, ())]
    to_visit: list[tuple[str, frozenset[str]]] = [
        (name, frozenset()) for name in (*wanted, *map(canonicalize_name, programs)) if name in locked
    ]
    seen: set[tuple[str, frozenset[str]]] = set()
    while to_visit:
        each = to_visit.pop()
        if each not in seen:
            seen.add(each)
            to_visit += [needed for needed in _required(*each) if needed[0] in locked]
    return frozenset(name for name, _ in seen)


@cache
def pinned(lock: Path) -> Mapping[str, str]:
    """The pins of a lock by the names of their distributions, without hashes: a version has one content."""
    pins = _PIN.findall(lock.read_text(encoding="utf-8"))
    return {canonicalize_name(name): f"{canonicalize_name(name)}=={rest}" for name, rest in pins}


@cache
def _providers() -> Mapping[str, list[str]]:
    return metadata.packages_distributions()


@cache
def _required(distribution: str, extras: frozenset[str]) -> tuple[tuple[str, frozenset[str]], ...]:
    """What a distribution needs with those extras; nothing is known of one that is not installed."""
    try:
        lines = metadata.requires(distribution) or ()
    except metadata.PackageNotFoundError:
        return ()
    wanted = ("", *extras, *IMPORTED_IF_THERE.get(distribution, ()))
    found = map(Requirement, lines)
    return tuple(
        (canonicalize_name(each.name), frozenset(each.extras))
        for each in found
        if each.marker is None or any(each.marker.evaluate({"extra": extra}) for extra in wanted)
    )
