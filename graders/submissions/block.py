"""What a lab says about its own part of submission.yaml."""

import unicodedata
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, ValidationInfo

from graders.documents import Strict, misfit
from graders.documents.wording import quote
from graders.submissions.limits import SubmissionLimits
from graders.submissions.tree import path_problem


class LabBlock(Strict):
    """Base of a lab's model: all of submission.yaml but `schema` and `lab`."""

    def settled(self) -> Any:
        """The frozen dataclass that scenarios and checks see as `Submission.manifest`."""
        return self


def _inside_submission(path: str, info: ValidationInfo) -> str:
    plain = "/".join(part for part in path.split("/") if part not in ("", "."))
    problem = path_problem("/" + plain if path.startswith("/") else plain, SubmissionLimits())
    if problem:
        fix = "write a path relative to submission.yaml, inside its folder"
        if "\\" in plain:
            fix = f"write {quote(path.replace(chr(92), '/'))}"
        raise misfit(f"{quote(path)} {problem}", fix)
    if not plain:
        raise misfit(f"{quote(path)} names the whole submission", "name the files or folders that are meant")
    left_out = (info.context or {}).get("left_out") or ()
    if around := next((folder for folder in left_out if f"{plain}/".startswith(f"{folder}/")), ""):
        raise misfit(
            f"{quote(path)} is in {quote(around)}, which is no part of a submission", "move it out of there"
        )
    root: Path | None = (info.context or {}).get("root")
    if root is None or (root / plain).exists():
        return plain
    spelled = _spelled(root, plain)
    if _composed(spelled) == _composed(plain):
        return spelled
    fix = f"write {quote(spelled)}" if spelled else "correct the path, or add the file to the submission"
    raise misfit(f"{quote(path)} does not exist", fix)


def _spelled(root: Path, path: str) -> str:
    """What differs from `path` in case or in how letters are encoded alone; empty if there is nothing."""
    found = Path()
    for part in path.split("/"):
        alike = [n for n in _names(root / found) if _composed(n).casefold() == _composed(part).casefold()]
        if not alike:
            return ""
        found /= min(alike, key=lambda name: _composed(name) != _composed(part))
    return found.as_posix()


def _names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


SubmissionPath = Annotated[str, AfterValidator(_inside_submission)]
"""A field of a `LabBlock` that names a file or folder of the submission; "./" and a last "/" are dropped."""
