"""What a GitRepository of Flux asks for, as far as our publisher can give it; pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
_REFERENCES = ("commit", "name", "semver", "tag")
_UNSUPPORTED = {
    "secretRef": "the Git server asks nobody who they are",
    "proxySecretRef": "the Git server is reached without a proxy",
    "serviceAccountName": "the Git server asks nobody who they are",
    "include": "a source is one repository",
    "verify": "commits are not signed here",
    "sparseCheckout": "a source is the whole of a branch",
}
_NOTHING: tuple[Any, ...] = (None, "", False, [], {})


class UnsupportedSource(ValueError):
    """A GitRepository asks for what the publisher does not do: what, where in its spec, and what to write."""

    def __init__(self, problem: str, at: tuple[str, ...], fix: str) -> None:
        super().__init__(problem)
        self.at = ("spec", *at)
        self.fix = fix


@dataclass(frozen=True)
class RepositorySource:
    """One branch of one repository: how often it is looked at, and which of its files are left out."""

    url: str
    branch: str
    interval_s: float
    ignore: str = ""
    """Patterns as in a .gitignore, on top of what a .sourceignore of the repository says."""
    suspended: bool = False


def read_source(spec: Mapping[str, Any]) -> RepositorySource:
    """What a GitRepository's spec asks for.

    Raises:
        UnsupportedSource: the publisher cannot give that.
    """
    for key, why in _UNSUPPORTED.items():
        if spec.get(key) not in _NOTHING:
            raise UnsupportedSource(f"spec.{key} is not supported here: {why}", (key,), f"leave out {key}")
    if spec.get("recurseSubmodules"):
        raise UnsupportedSource(
            "spec.recurseSubmodules is not supported here: there is one repository",
            ("recurseSubmodules",), "copy what you need into the repository",
        )  # fmt: skip
    if spec.get("provider") not in (None, "generic"):
        raise UnsupportedSource(
            f"spec.provider {spec['provider']} is not supported here", ("provider",), "leave out provider"
        )
    reference = spec.get("ref") or {}
    if not isinstance(reference, Mapping):
        raise UnsupportedSource("spec.ref is no mapping", ("ref",), "write ref: {branch: main}")
    for key in _REFERENCES:
        if reference.get(key):
            raise UnsupportedSource(
                f"spec.ref.{key} is not supported here: a release is a commit on a branch", ("ref", key),
                "write ref: {branch: main}",
            )  # fmt: skip
    return RepositorySource(
        url=str(spec.get("url", "")),
        branch=str(reference.get("branch") or "master"),
        interval_s=seconds(str(spec.get("interval", "")), ("interval",)),
        ignore=str(spec.get("ignore") or ""),
        suspended=bool(spec.get("suspend")),
    )


def seconds(written: str, at: tuple[str, ...]) -> float:
    """A duration as Go writes it, such as `1m30s`.

    Raises:
        UnsupportedSource: it is none.
    """
    parts = _DURATION.findall(written)
    if not parts or "".join(f"{number}{unit}" for number, unit in parts) != written:
        raise UnsupportedSource(
            f"spec.{'.'.join(at)} {written!r} is no duration", at, "write one such as 10s"
        )
    return sum(float(number) * _UNITS_S[unit] for number, unit in parts)
