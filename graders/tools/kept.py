"""What the cache keeps: things that are there as a whole or not at all, made once, and carried as a whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from graders.faults import InfraFault
from graders.once import one_at_a_time, remove_tree
from graders.progress import Progress


def _nothing(*_: object) -> None:
    pass


@dataclass(frozen=True)
class Kept:
    """One such thing: the folders and files `parts` of the folder `root`.

    `name` is what messages and archives call it, `key` names all that it is made from, `made` says whether it
    is complete, and `lock` is held by whoever makes it.
    """

    name: str
    key: str
    root: Path
    parts: tuple[str, ...]
    lock: Path
    made: Callable[[], bool]
    bound: bool = False
    """Whether it names its own place: then it is of use nowhere else."""
    begin: Callable[[Path], None] = _nothing
    """Puts into an empty folder what is there before the files of an archive: they have no links."""
    verify: Callable[[], None] = _nothing
    """Raises InfraFault where it is not what was put there."""

    def ensure(self, make: Callable[[], None], progress: Progress) -> None:
        """Have it made by `make`, unless it is there already or another process sees to it.

        Raises:
            InfraFault: it cannot be written; and whatever `make` raises.
        """
        if self.made():
            return
        try:
            with one_at_a_time(self.lock, self.name, progress):
                if not self.made():
                    make()
        except OSError as error:
            raise InfraFault(
                f"{self.name} cannot be put into {self.root}: {error}",
                fix="make room there, or set KUBEPROOF_CACHE to a folder that can be written",
            ) from error

    def files(self) -> dict[str, Path]:
        """Its regular files by their paths in `root`; none where it is not complete."""
        parts = [self.root / part for part in self.parts] if self.made() else []
        found = (path for part in parts for path in (part, *sorted(part.rglob("*"))))
        plain = (path for path in found if path.is_file() and not path.is_symlink())
        return {path.relative_to(self.root).as_posix(): path for path in plain}

    def adopt(self, content: Path) -> None:
        """Move its parts here from a folder on the same file system; call it under `lock`."""
        self.root.mkdir(parents=True, exist_ok=True)
        for part in self.parts:
            self.drop(part)
            (content / part).replace(self.root / part)

    def drop(self, *parts: str) -> None:
        """Remove parts, by default all of them."""
        for part in parts or self.parts:
            place = self.root / part
            remove_tree(place) if place.is_dir() else place.unlink(missing_ok=True)
