"""Where in an archive the submission is: what is told by its names alone.

People pack their folder, or what is in it, or the folder around it, and packers add files of their own.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from graders.documents.wording import file_name, quote
from graders.faults import BadSubmission
from graders.submissions.leftout import CACHE, CACHE_SIGNATURE, ENVIRONMENT, MARKS, is_environment, is_ignored
from graders.submissions.limits import SubmissionLimits
from graders.submissions.members import Member, MemberKind, Members

MANIFEST = "submission.yaml"
"""The file at the root of every submission."""

NEAR = ("submission.yml", "Submission.yaml", "submission.yaml.txt", "submission.json")
"""What people call it."""

_PACKED = (".zip", ".tar", ".tar.gz", ".tgz", ".rar", ".7z")
_MOST_NAMED = 5
_CHARACTERS = 8 * 1024 * 1024
"""Of all names together."""


@dataclass(frozen=True)
class Place:
    """What becomes of a member: its path in the submission, or what of it is told as left out."""

    path: str = ""
    left_out: str = ""


@dataclass(frozen=True)
class Survey:
    """`base` is the folder of the archive that is the submission; `marked` are not part of it."""

    base: str
    marked: frozenset[str]

    def place(self, name: str) -> Place:
        """Where the member `name` goes.

        Raises:
            BadSubmission: the name leads out of the archive.
        """
        parts = plain_parts(name)
        for at, part in enumerate(parts):
            path = "/".join(parts[: at + 1])
            if is_ignored(part) or path in self.marked:
                return Place(left_out=self._inside(path))
        path = "/".join(parts)
        if self._inside(path) != path or not self.base:
            return Place(self._inside(path))
        return Place() if f"{self.base}/".startswith(f"{path}/") or not path else Place(left_out=path)

    def _inside(self, path: str) -> str:
        return path.removeprefix(f"{self.base}/") if self.base else path


def plain_parts(name: str) -> list[str]:
    """The folders and the file of a member's name.

    Raises:
        BadSubmission: it is no path inside an archive.
    """
    if name.startswith("/"):
        raise BadSubmission("is an absolute path", file=file_name(name), fix="pack the archive from inside")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        problem = "is a path that leads out of the submission"
        raise BadSubmission(problem, file=file_name(name), fix="pack the archive from inside the folder")
    return parts


def survey(members: Members, limits: SubmissionLimits, shown: str) -> Survey:
    """Find the one submission that `members` are or hold; `shown` is the archive in messages.

    Raises:
        BadSubmission: there is none or more than one, or more names than a submission may have.
    """
    files: list[str] = []
    marked: set[str] = set()
    skipped = characters = 0
    for member in members:
        parts = plain_parts(member.name)
        path = "/".join(parts)
        if not parts or any(map(is_ignored, parts)):
            skipped += 1
        elif member.kind is not MemberKind.FOLDER:
            files.append(path)
            characters += len(path)
        if skipped > limits.skipped or len(files) > limits.files + limits.skipped or characters > _CHARACTERS:
            problem = f"holds over {limits.skipped} entries that do not count, or far too many files"
            raise BadSubmission(problem, file=shown, fix="leave out .git, environments and data")
        marked.update(_marked(member, path))
    base = _base(files, marked, shown)
    inside = f"{base}/" if base else ""
    if f"{inside}{ENVIRONMENT}" in files:
        raise is_environment()
    return Survey(base, frozenset(folder for folder in marked if folder.startswith(inside)))


def _marked(member: Member, path: str) -> Iterator[str]:
    """The folder that this member marks as no part of a submission; none at the top, which is everything."""
    for mark in MARKS:
        folder = path.removesuffix(f"/{mark}")
        if folder == path or member.kind is not MemberKind.FILE or any(map(is_ignored, folder.split("/"))):
            continue
        if mark == CACHE:
            with member.open() as content:
                if content.read(len(CACHE_SIGNATURE)) != CACHE_SIGNATURE:
                    continue
        yield folder


def _base(files: list[str], marked: Iterable[str], shown: str) -> str:
    """The folder around the one submission.yaml; beside the way there only single files may stand."""
    apart = tuple(f"{folder}/" for folder in marked)
    found = [path for path in files if PurePosixPath(path).name == MANIFEST]
    found = [path for path in found if not path.startswith(apart)] or found
    if not found:
        raise _nothing_found(files, shown)
    depth = min(path.count("/") for path in found)
    first, *others = sorted({path for path in found if path.count("/") == depth})
    if others:
        raise BadSubmission(
            f"holds more than one submission ({_names((first, *others))})",
            file=shown,
            fix="pack one folder only",
        )
    base = first.rpartition("/")[0]
    beside = [path for path in files if base and not path.startswith((f"{base}/", *apart))]
    way = {"", *(each.as_posix() for each in PurePosixPath(base).parents), base}
    strange = [path for path in beside if path.rpartition("/")[0] not in way]
    if strange:
        raise BadSubmission(
            f"is missing at the top of {shown}; there is one in {quote(base)}, and beside that folder "
            f"there are others ({_names(strange)})",
            file=MANIFEST,
            fix=f"pack what is in {quote(base)} alone: there, zip -r submission.zip .",
        )
    return base


def _nothing_found(files: list[str], shown: str) -> BadSubmission:
    near = [path for path in files if PurePosixPath(path).name in NEAR]
    packed = [path for path in files if path.lower().endswith(_PACKED)]
    if near:
        fix = f"rename {file_name(near[0])} to {MANIFEST}"
    elif packed:
        fix = f"hand in {file_name(packed[0])} itself, or pack the folder in it: it is not opened here"
    else:
        fix = f"write a {MANIFEST} at the root of the submission"
    problem = f"is missing in {shown}, which holds {_names(files) or 'no files'}"
    return BadSubmission(problem, file=MANIFEST, fix=fix)


def _names(paths: Iterable[str]) -> str:
    listed = list(paths)
    more = ", ..." if len(listed) > _MOST_NAMED else ""
    return ", ".join(map(quote, listed[:_MOST_NAMED])) + more
