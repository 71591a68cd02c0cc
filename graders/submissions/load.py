"""From what a learner handed in to a `Submission` that is safe to read."""

import contextlib
import dataclasses
import os
import shutil
import stat
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path

from pydantic import BaseModel

from graders.documents import Document, load_document, parse
from graders.documents.wording import file_name, quote, show
from graders.faults import BadSubmission, UsageError
from graders.model import Submission
from graders.outfolder import MARKER
from graders.submissions.archives import SUFFIXES, is_archive, other_format, read_archive
from graders.submissions.block import LabBlock
from graders.submissions.folders import read_folder
from graders.submissions.leftout import ENVIRONMENT, is_environment
from graders.submissions.limits import SubmissionLimits
from graders.submissions.survey import MANIFEST, NEAR
from graders.submissions.tree import Tree

SCHEMA = "kubeproof/submission/v1"
"""What submission.yaml must say under `schema`."""


def load_submission(
    root: Path,
    *,
    lab: str,
    block: type[BaseModel],
    learner_id: str = "",
    scratch: Path | None = None,
) -> Submission:
    """Check what was handed in for `lab` and copy it into `scratch`; the result's root is the copy.

    `root` is a folder or an archive. Without `scratch` a folder is checked where it is: good for
    telling somebody what is wrong, not for grading, since it may change later. `block` is the model of
    the lab's own keys; a `LabBlock` settles into the result's `manifest`, any other model is it.

    Raises:
        BadSubmission: something in it breaks a rule; says where and how to mend it.
        UsageError: there is nothing at `root`, or it may not be read.
        InfraFault: the copy cannot be written.
    """
    _expect_readable(root)
    packed = not root.is_dir()
    if packed:
        _expect_archive(root)
        if scratch is None:
            raise ValueError("an archive needs a scratch folder")
    else:
        _expect_manifest(root)
    limits, destination = SubmissionLimits(), scratch / "submission" if scratch is not None else None
    tree = Tree(destination, limits, same_case=packed)
    with _whole_or_gone(destination):
        (read_archive if packed else read_folder)(root, tree, limits)
        digest = tree.finish()
    found = destination or root
    document = _without_head(load_document(found / MANIFEST, shown_as=MANIFEST), lab)
    settings = parse(document, block, context={"root": found, "left_out": tree.left_out})
    manifest = settings.settled() if isinstance(settings, LabBlock) else settings
    return Submission(
        learner_id=learner_id, lab=lab, root=found, digest=digest, manifest=manifest, left_out=tree.left_out
    )


def snapshot(handed_in: Path, destination: Path, *, limits: SubmissionLimits | None = None) -> str:
    """Copy the files of a folder or an archive into the new folder `destination`; returns their digest.

    Files become 0644 or 0755, folders 0755; links that stay inside stay links. Nothing is left of a
    copy that was refused.

    Raises:
        BadSubmission, UsageError, InfraFault: as `load_submission` does.
    """
    with _whole_or_gone(destination):
        return _read(handed_in, destination, limits or SubmissionLimits())


def digest_of(root: Path, *, limits: SubmissionLimits | None = None) -> str:
    """The digest that `load_submission` would give a folder or an archive, under the same rules.

    Nothing is copied.

    Raises:
        BadSubmission, UsageError: as `load_submission` does.
    """
    return _read(root, None, limits or SubmissionLimits())


def _read(handed_in: Path, destination: Path | None, limits: SubmissionLimits) -> str:
    """Read all of a folder or an archive, into `destination` if there is one; gives the digest."""
    _expect_readable(handed_in)
    packed = not handed_in.is_dir()
    if packed:
        _expect_archive(handed_in)
    tree = Tree(destination, limits, same_case=packed)
    (read_archive if packed else read_folder)(handed_in, tree, limits)
    return tree.finish()


@contextlib.contextmanager
def _whole_or_gone(copy: Path | None) -> Iterator[None]:
    try:
        yield
    except BaseException:
        if copy is not None:
            shutil.rmtree(copy, ignore_errors=True)
        raise


def _expect_readable(root: Path) -> None:
    try:
        wanted = os.R_OK | os.X_OK if stat.S_ISDIR(root.stat().st_mode) else os.R_OK
        allowed = os.access(root, wanted)
    except (FileNotFoundError, NotADirectoryError) as cause:
        fix = "correct the path; a submission is a folder or an archive"
        raise UsageError("there is no such submission", file=file_name(root), fix=fix) from cause
    except (OSError, ValueError) as cause:
        fix = "correct the path, or get the right to read it"
        raise UsageError(
            f"the submission cannot be opened: {cause}", file=file_name(root), fix=fix
        ) from cause
    if not allowed:
        fix = "get the right to read it"
        raise UsageError("the submission may not be read", file=file_name(root), fix=fix)


def _expect_archive(file: Path) -> None:
    if not is_archive(file) and not other_format(file):
        problem = f"is neither a folder nor an archive ({', '.join(SUFFIXES)})"
        raise BadSubmission(
            problem, file=file_name(file), fix="hand in a folder, or pack it as .zip or .tar.gz"
        )


def _expect_manifest(folder: Path) -> None:
    if (folder / ENVIRONMENT).is_file():
        raise is_environment()
    if (folder / MANIFEST).exists():
        return
    near = [name for name in NEAR if (folder / name).exists()]
    within = sorted(path.parent.name for path in folder.glob(f"*/{MANIFEST}"))
    if (folder / MARKER).is_file():
        fix = "this folder holds results of a grading: name the submission's own folder"
    elif near:
        fix = f"rename {near[0]} to {MANIFEST}"
    elif within:
        fix = f"grade the folder {file_name(folder / within[0])}, which has one"
    else:
        fix = f"write a {MANIFEST} at the root of the submission"
    raise BadSubmission("is missing", file=MANIFEST, fix=fix)


def _without_head(document: Document, lab: str) -> Document:
    """Judge `schema` and `lab` first: what else a file may hold depends on them."""
    data = document.data
    if not isinstance(data, dict):
        raise document.refusal("is not a mapping", fix=f'begin with "schema: {SCHEMA}"')
    for key, value in (("schema", SCHEMA), ("lab", lab)):
        if key not in data:
            close = get_close_matches(key, set(data) - {"schema", "lab"}, n=1)
            fix = f'rename "{close[0]}" to "{key}"' if close else f'add "{key}: {value}"'
            where = (close[0],) if close else ()
            raise document.refusal(f'the key "{key}" is missing', where, fix=fix)
    if data["schema"] != SCHEMA:
        problem = f"the schema {show(data['schema'])} is not known"
        raise document.refusal(problem, ("schema",), fix=f'write "schema: {SCHEMA}"')
    if data["lab"] != lab:
        problem = f"this is a submission for {show(data['lab'])}, not for {quote(lab)}"
        raise document.refusal(problem, ("lab",), fix=f'grade it as that lab, or write "lab: {lab}"')
    rest = {key: value for key, value in data.items() if key not in ("schema", "lab")}
    return dataclasses.replace(document, data=rest)
