"""Which Go a submission asks for, held against the Go there is.

A patch release changes neither language nor library, but the go command refuses a go.mod that asks for one
later than its own. So in the copy that is built, such a line is lowered to what is there.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from graders.faults import BadSubmission

_LINE = re.compile(rb"^(go[ \t]+)((\d{1,6})\.(\d{1,6})(?:\.(\d{1,6}))?)(?=[ \t\r\n/]|$)", re.MULTILINE)
_MOST_BYTES = 1024 * 1024

Version = tuple[int, int, int]


def check_go_version(root: Path, here: str) -> None:
    """See that Go `here`, such as 1.27.3, can build the main module of the submission at `root`.

    Raises:
        BadSubmission: it asks for a later release; names file and line.
    """
    for _, text, found in _go_mods([root / "go.mod"]):
        if _version(found)[:2] > _parsed(here)[:2]:
            raise BadSubmission(
                f"asks for Go {found[2].decode()}, and what builds it is Go {here}",
                file="go.mod",
                line=text[: found.start()].count(b"\n") + 1,
                fix=f"go mod edit -go={here}, and see that GOTOOLCHAIN=go{here} go build ./... succeeds",
            )


def accept_patches(root: Path, here: str) -> list[str]:
    """Have no go.mod of the copy at `root` ask for a later patch than `here`; gives what they asked for."""
    asked = []
    for path, text, found in _go_mods(sorted(root.rglob("go.mod"))):
        if _version(found)[:2] == _parsed(here)[:2] and _version(found) > _parsed(here):
            asked.append(found[2].decode())
            path.write_bytes(text[: found.start(2)] + here.encode() + text[found.end(2) :])
    return asked


def _go_mods(paths: Iterable[Path]) -> Iterator[tuple[Path, bytes, re.Match[bytes]]]:
    """Those that are plain files and say a version, with it."""
    for path in paths:
        if path.is_symlink() or not path.is_file() or path.stat().st_size > _MOST_BYTES:
            continue
        text = path.read_bytes()
        found = _LINE.search(text)
        if found:
            yield path, text, found


def _version(found: re.Match[bytes]) -> Version:
    return int(found[3]), int(found[4]), int(found[5] or 0)


def _parsed(version: str) -> Version:
    major, minor, patch = version.split(".")
    return int(major), int(minor), int(patch)
