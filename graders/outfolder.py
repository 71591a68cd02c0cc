"""The folder that a grading writes into: what in it is ours, and what an earlier grading left there.

A marker lists all that kubeproof wrote; beside anything else nothing is written, and nothing else is ever
removed. A record is made aside and takes its place by renaming, so an older one is whole until then.
"""

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from graders.faults import UsageError
from graders.once import remove_tree
from graders.wholefile import write_whole

MARKER = ".kubeproof-out.json"
"""Whoever has a file of this name is a folder of ours."""

SCHEMA = "kubeproof/out/v1"
BUNDLE = "bundle"
EARLIER = "earlier"
"""In it is the last record that was graded, while the one beside it was not."""

_OURS = ".kubeproof-"
_NEW = f"{_OURS}new"
_MOST_NAMED = 3
_OLD = ", or remove this one if it holds nothing but results of an older kubeproof, which marked nothing"


@dataclass(frozen=True)
class OutFolder:
    """One such folder, which need not be there yet; `reports` are the files that a bundle becomes there."""

    path: Path
    reports: tuple[str, ...] = ()

    @property
    def recording(self) -> Path:
        """Where a bundle is made, until `replace`."""
        return self.path / _NEW / BUNDLE

    @property
    def bundle(self) -> Path:
        """The bundle of the last grading, if that came to one."""
        return self.path / BUNDLE

    @property
    def earlier(self) -> Path:
        """Where the last graded record is while the one in `bundle` is not."""
        return self.path / EARLIER

    def check(self, *, judged: Path | None = None) -> None:
        """See that the folder holds nothing that somebody else put there; `judged` may be in it.

        Raises:
            UsageError: it does, or it is no folder.
        """
        if os.path.lexists(self.path) and not self.path.is_dir():
            raise UsageError("is no folder", file=self.path, fix="name a new folder with --out")
        spared = judged.resolve() if judged is not None else None
        foreign = [name for name in _foreign(self.path, "") if (self.path / name).resolve() != spared]
        if foreign:
            named = ", ".join(foreign[:_MOST_NAMED]) + (", ..." if len(foreign) > _MOST_NAMED else "")
            raise UsageError(
                f"holds what kubeproof did not write ({named.encode('unicode_escape').decode()}); "
                "nothing in it was changed",
                file=self.path,
                fix="name a new folder with --out" + (_OLD if self._may_be_older() else ""),
            )

    def begin(self, *names: str) -> None:
        """Make the folder if need be, ready for reports and `names`.

        Raises:
            UsageError: it cannot be made.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._list({*_listed(self.path), *self.reports, *names})
        except OSError as error:
            raise UsageError(
                f"results cannot be written here: {error.strerror}",
                file=self.path,
                fix="name a folder of your own with --out",
            ) from error

    def discard(self) -> None:
        """Remove what was recorded and not put in its place, by this run or by a dead one."""
        remove_tree(self.path / _NEW)

    def set_aside(self) -> None:
        """Have all that tells of the last grading out of the way: in `earlier`, if it was graded.

        One that was not graded is removed; what is in `earlier` then stays.
        """
        earlier = self.earlier
        # The bundle first: reports can be made from it again.
        there = [name for name in (BUNDLE, *self.reports) if os.path.lexists(self.path / name)]
        kept = self._was_graded()
        if kept:
            remove_tree(earlier)
            earlier.mkdir()
        for name in there:
            source = self.path / name
            if kept:
                source.rename(earlier / name)
            elif source.is_dir():
                remove_tree(source)
            else:
                source.unlink()
        if kept:
            OutFolder(earlier)._list({entry for name in there for entry in _entries(earlier, name)})
        others = (name for name in _listed(self.path) if name.partition("/")[0] not in (*there, EARLIER))
        self._list({*others, *self.reports})

    def replace(self) -> None:
        """What was recorded takes the place of the bundle, which is set aside with its reports."""
        self.set_aside()
        if self.recording.is_dir():
            self._list({*_listed(self.path), *_entries(self.recording.parent, BUNDLE)})
            self.recording.rename(self.bundle)
        self.discard()

    def settle(self, *, graded: bool) -> None:
        """All is written: an earlier record has had its day if this one was graded."""
        if graded:
            remove_tree(self.earlier)
        self._list(name for name in _listed(self.path) if (self.path / name).exists())

    def _may_be_older(self) -> bool:
        """Whether results are here that say nothing of whose they are."""
        results = (self.path / "report.json", self.bundle / "manifest.json")
        return not (self.path / MARKER).exists() and any(file.is_file() for file in results)

    def _was_graded(self) -> bool:
        """Whether there is a whole record that no report calls anything but graded."""
        if not (self.bundle / "manifest.json").is_file():
            return False
        try:
            report = json.loads((self.path / "report.json").read_text(encoding="utf-8"))
            return bool(report["verdict"] == "graded")
        except (OSError, ValueError, KeyError, TypeError):
            return True

    def _list(self, names: Iterable[str]) -> None:
        marker = {"schema": SCHEMA, "files": sorted(names)}
        write_whole(self.path / MARKER, json.dumps(marker, indent=1) + "\n", mode=0o600)


def _listed(folder: Path) -> frozenset[str]:
    """What the marker of `folder` says is ours; nothing without a marker that can be read."""
    try:
        marker = json.loads((folder / MARKER).read_text(encoding="utf-8"))
        if marker["schema"] != SCHEMA:
            return frozenset()
        return frozenset(str(name) for name in marker["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return frozenset()


def _foreign(folder: Path, prefix: str) -> Iterator[str]:
    """What in `folder`, from the top, no marker lists; folders within may have markers of their own."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except FileNotFoundError:
        return
    except OSError as error:
        problem = f"cannot be looked into: {error.strerror}"
        raise UsageError(problem, file=folder, fix="name a new folder with --out") from error
    listed = _listed(folder)
    yield from (prefix + name for name in _beside(folder, entries, listed, ""))


def _beside(
    top: Path, entries: Iterable[os.DirEntry[str]], listed: frozenset[str], inside: str
) -> Iterator[str]:
    for entry in entries:
        name = inside + entry.name
        if not inside and entry.name.startswith(_OURS):
            continue
        if not entry.is_dir(follow_symlinks=False):
            if name not in listed or entry.is_symlink():
                yield name
        elif (top / name / MARKER).is_file():
            yield from _foreign(top / name, f"{name}/")
        elif f"{name}/" not in listed:
            yield name
        else:
            below = sorted(os.scandir(top / name), key=lambda each: each.name)
            yield from _beside(top, below, listed, f"{name}/")


def _entries(top: Path, name: str) -> Iterator[str]:
    """`name` in `top` and all below it, as a marker lists them."""
    if not (top / name).is_dir():
        yield name
        return
    yield f"{name}/"
    for entry in sorted(os.scandir(top / name), key=lambda each: each.name):
        yield from _entries(top, f"{name}/{entry.name}")
