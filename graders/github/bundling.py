"""Makes the bundle that Classroom 50 publishes for an assignment: autograder.py, its settings, and kubeproof.

The bundle is on a public page, so it has nothing that a learner may not see: no solution, no test.
"""

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from graders.faults import UsageError
from graders.github.autograder import SETTINGS, SOURCE
from graders.paths import REPOSITORY

LIMIT = 10 * 2**20
"""Bytes of a bundle that Classroom 50's runner fetches."""

_ROOT_FILES = ("Makefile", "README.md", "pyproject.toml", "requirements.lock", "LICENSE")
_LEFT_OUT = ("__pycache__", "starter")


@dataclass(frozen=True)
class BundleSettings:
    """What autograder.py is told; `course` is where the archive has a course that is not kubeproof's."""

    lab: str
    submission: str
    provider: str
    course: str
    sha256: str


def write_bundle(folder: Path, *, lab: str, course: Path, submission: str, provider: str) -> Path:
    """Write a bundle for `lab` of `course` into the folder, made if need be; gives its autograder.py.

    Raises:
        UsageError: something else is in the folder, it cannot be written, or the bundle is too large.
    """
    names = (Path(__file__).with_name("autograder.py").name, SETTINGS, SOURCE)
    other = course != REPOSITORY
    packed = _packed(lab, course if other else None)
    settings = BundleSettings(
        lab, submission, provider, "course" if other else "", hashlib.sha256(packed).hexdigest()
    )
    if len(packed) > LIMIT:
        raise UsageError(
            f"the bundle has {len(packed):,} bytes, and Classroom 50 takes {LIMIT:,}",
            file=course,
            fix="move large files out of the labs and graders folders",
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        foreign = sorted(path.name for path in folder.iterdir() if path.name not in names)
        if foreign:
            raise UsageError(
                f"holds {foreign[0]}, which would be published with the bundle",
                file=folder,
                fix="name a new folder",
            )
        (folder / names[0]).write_bytes(Path(__file__).with_name("autograder.py").read_bytes())
        (folder / SETTINGS).write_text(json.dumps(asdict(settings), indent=1) + "\n", encoding="utf-8")
        (folder / SOURCE).write_bytes(packed)
    except OSError as error:
        raise UsageError(f"the bundle cannot be written here: {error.strerror}", file=folder) from error
    return folder / names[0]


def _packed(lab: str, course: Path | None) -> bytes:
    """The archive: the same bytes from the same files."""
    content = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=content, mode="wb", mtime=0) as stream,
        tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for name, path in sorted(_files(lab, course)):
            data = path.read_bytes()
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), 0o755 if path.stat().st_mode & 0o100 else 0o644
            archive.addfile(info, io.BytesIO(data))
    return content.getvalue()


def _files(lab: str, course: Path | None) -> Iterator[tuple[str, Path]]:
    for name in _ROOT_FILES:
        if (REPOSITORY / name).is_file():
            yield name, REPOSITORY / name
    yield from _below(REPOSITORY, ("graders", "scripts"), "")
    of_lab = (f"labs/{lab}", f"rubrics/{lab}.yaml")
    if course is None:
        yield from _below(REPOSITORY, of_lab, "")
    else:
        yield from _below(course, (*of_lab, "graders"), "course/")


def _below(root: Path, names: tuple[str, ...], prefix: str) -> Iterator[tuple[str, Path]]:
    for name in names:
        top = root / name
        for path in [top] if top.is_file() else top.rglob("*"):
            parts = path.relative_to(root).parts
            if path.is_file() and not path.is_symlink() and not set(parts) & set(_LEFT_OUT):
                yield prefix + "/".join(parts), path
