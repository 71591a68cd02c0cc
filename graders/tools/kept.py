"""What the cache keeps: things that are there as a whole or not at all, made once, and carried as a whole."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from graders.faults import InfraFault
from graders.once import one_at_a_time, remove_tree
from graders.progress import Progress
from graders.wholefile import write_whole

COMPLETE = "complete.json"


def _nothing(*_: object) -> None:
    pass


@dataclass(frozen=True)
class Kept:
    """One such thing: the folders and files `parts` of the folder `root`.

    `name` is what messages and archives call it, `key` names all that it is made from.
    """

    name: str
    key: str
    root: Path
    parts: tuple[str, ...]
    mark: str = ""
    """What of it, below `root`, is there last: by default a file in its first part, which is then written."""
    lock: Path | None = None
    """Held by whoever makes it; by default a file beside its first part."""
    resumes: bool = False
    """Whether what a maker left that came to no end is of use to the next one."""
    bound: bool = False
    """Whether it names its own place: then it is of use nowhere else."""
    begin: Callable[[Path], None] = _nothing
    """Puts into an empty folder what is there before the files of an archive: they have no links."""

    def made(self) -> bool:
        """Whether it is there."""
        return self._mark.exists()

    def ensure(self, make: Callable[[], None], progress: Progress) -> None:
        """Have it made by `make`, unless it is there already or another process sees to it.

        Raises:
            InfraFault: it cannot be written; and whatever `make` raises.
        """
        if self.made():
            return
        try:
            with one_at_a_time(self.lock or self.root / f"{self.parts[0]}.lock", self.name, progress):
                if not self.made():
                    self._make(make)
        except OSError as error:
            raise InfraFault(
                f"{self.name} cannot be put into {self.root}: {error}",
                fix="make room there, or set KUBEPROOF_CACHE to a folder that can be written",
            ) from error

    def files(self) -> dict[str, Path]:
        """Its regular files by their paths in `root`; none where it is not there."""
        parts = [self.root / part for part in self.parts] if self.made() else []
        found = (path for part in parts for path in (part, *sorted(part.rglob("*"))))
        plain = (path for path in found if path.is_file() and not path.is_symlink())
        return {path.relative_to(self.root).as_posix(): path for path in plain}

    def verify(self) -> None:
        """See that it is what was put there, as far as that is known.

        Raises:
            InfraFault: it is not.
        """

    def adopt(self, content: Path) -> None:
        """Move its parts here from a folder on the same file system; call it under the lock."""
        self.root.mkdir(parents=True, exist_ok=True)
        self.drop()
        for part in self.parts:
            (content / part).replace(self.root / part)

    def drop(self) -> None:
        """Remove it."""
        for part in self.parts:
            place = self.root / part
            remove_tree(place) if place.is_dir() else place.unlink(missing_ok=True)

    @property
    def _mark(self) -> Path:
        return self.root / (self.mark or f"{self.parts[0]}/{COMPLETE}")

    def _make(self, make: Callable[[], None]) -> None:
        done = self.resumes
        if not self.resumes:
            self.drop()
        try:
            make()
            if not self.made():
                write_whole(
                    self._mark,
                    json.dumps({"schema": "kubeproof/kept/v1", "key": self.key}) + "\n",
                    mode=0o600,
                )
            done = True
        finally:
            if not done:
                self.drop()
