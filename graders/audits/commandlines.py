"""What a command line says of a flag, and what a benchmark asks of it in words."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_FLAG = re.compile(r"--([a-z][a-z0-9-]*[a-z0-9])")
_NOTHING_SAID: dict[str, str] = {"service-account-lookup": "true", "bind-address": "127.0.0.1"}
"""Flags that a benchmark wants to have a value, and also takes where they are left out."""


@dataclass(frozen=True)
class FlagDemand:
    """What a benchmark asks of one flag; `holds` says whether a value meets it, None where it is left out."""

    flag: str
    holds: Callable[[str | None], bool]
    may_lack: bool = False
    """Whether tools also take it for met where the flag is left out, which this does not judge."""


def demand_in(description: str) -> FlagDemand | None:
    """What a description demands; None unless it names one flag, and says of it what can be looked up."""
    flags = _FLAG.findall(description)
    if len(flags) != 1:
        return None
    flag = flags[0]
    said = description.partition(f"--{flag}")[2]
    for pattern, meaning in _MEANINGS:
        if found := re.search(pattern, said):
            value = found.group(1).strip("\"'`.,;") if found.groups() else ""
            return FlagDemand(flag, meaning(value), _NOTHING_SAID.get(flag) == value != "")
    return None


def flag_value(words: Sequence[str], flag: str) -> str | None:
    """The value of a flag on a command line, the last where it is there twice; `true` where it has none."""
    value: str | None = None
    for at, word in enumerate(words):
        name, equals, given = word.partition("=")
        if name.lstrip("-") != flag or not name.startswith("-"):
            continue
        following = words[at + 1] if at + 1 < len(words) else "-"
        value = given if equals else "true" if following.startswith("-") else following
    return value


def _absent(_: str) -> Callable[[str | None], bool]:
    return lambda value: value is None


def _present(_: str) -> Callable[[str | None], bool]:
    return lambda value: value is not None


def _lacks(unwanted: str) -> Callable[[str | None], bool]:
    return lambda value: value is None or unwanted not in value.split(",")


def _includes(wanted: str) -> Callable[[str | None], bool]:
    return lambda value: value is not None and wanted in value.split(",")


def _equals(wanted: str) -> Callable[[str | None], bool]:
    return lambda value: value == wanted


def _at_least(wanted: str) -> Callable[[str | None], bool]:
    least = int(wanted)
    return lambda value: value is not None and value.isdecimal() and int(value) >= least


_MEANINGS = (
    (r"\bis not set to (\S+)", _lacks),
    (r"\bis not set\b", _absent),
    (r"\bis set to (\d+) or as appropriate", _at_least),
    (r"\bis set to (\S+)", _equals),
    (r"\bincludes (\S+)", _includes),
    (r"\bis set\b", _present),
)
