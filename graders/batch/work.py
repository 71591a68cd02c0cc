"""What may have to be graded: a hand-in by digest, and what its grade depends on."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from graders.batch.intake import HandIn
from graders.course import Lab
from graders.faults import BadSubmission
from graders.gradekey import GradeKey, grade_key
from graders.submissions.load import digest_of


@dataclass(frozen=True)
class Work:
    """A hand-in that may have to be graded: what it is, and what its grade depends on.

    `refusal` says why it cannot be graded as it is, where that shows before anything is started.
    """

    hand_in: HandIn
    digest: str
    key: GradeKey
    refusal: str = ""


def work_of(lab: Lab, hand_in: HandIn, provider: str) -> Work:
    """What a hand-in is, by digest; one that is refused as it is counts by its bytes.

    Raises:
        UsageError: it cannot be read.
    """
    refusal = hand_in.problem
    try:
        digest = digest_of(hand_in.path) if not hand_in.rejected else _refused(refusal.encode())
    except BadSubmission as error:
        digest, refusal = _refused(*_pieces(hand_in.path)), str(error)
    return Work(hand_in, digest, grade_key(lab, lab.rubric, digest, provider), refusal)


def _refused(*pieces: bytes) -> str:
    return "refused:" + hashlib.sha256(b"\0".join(pieces)).hexdigest()


def _pieces(path: Path) -> Iterator[bytes]:
    """Names and digests of the files that lie there, as they are: nothing is understood, or followed."""
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        yield str(file.relative_to(path.parent)).encode("utf-8", "surrogateescape")
        try:
            if file.is_file() and not file.is_symlink():
                with file.open("rb") as stream:
                    yield hashlib.file_digest(stream, "sha256").digest()
        except PermissionError:
            yield b"may not be read"
