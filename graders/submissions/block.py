"""What a lab says about its own part of submission.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, ValidationInfo

from graders.documents import Strict, misfit
from graders.documents.wording import quote
from graders.submissions.limits import SubmissionLimits, is_ignored
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
        raise misfit(
            f"{quote(path)} {problem}", "write a path relative to submission.yaml, inside its folder"
        )
    if not plain:
        raise misfit(f"{quote(path)} names the whole submission", "name the files or folders that are meant")
    root: Path | None = (info.context or {}).get("root")
    if root is not None and not (root / plain).exists():
        why = (
            "is in a folder that is never looked at"
            if any(map(is_ignored, plain.split("/")))
            else "does not exist"
        )
        raise misfit(f"{quote(path)} {why}", "correct the path, or add the file to the submission")
    return plain


SubmissionPath = Annotated[str, AfterValidator(_inside_submission)]
"""A field of a `LabBlock` that names a file or folder of the submission; "./" and a last "/" are dropped."""
