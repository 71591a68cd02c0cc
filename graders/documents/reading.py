"""Files and bytes into documents."""

import os
import stat
from pathlib import Path, PurePath

import yaml

from graders.documents.composer import CONTROL, Composer
from graders.documents.document import Document, DocumentLimits
from graders.documents.wording import file_name, printable
from graders.faults import BadSubmission, LocatedError

_TOO_DEEP = "exceeded maximum nesting depth"
"""What libyaml says of its own limit, which it may meet before ours: it reads ahead for keys."""


def load_document(
    path: Path,
    *,
    shown_as: str | PurePath | None = None,
    error: type[LocatedError] = BadSubmission,
    limits: DocumentLimits | None = None,
) -> Document:
    """Read the one document of a YAML or JSON file; messages call the file `shown_as`.

    Raises:
        LocatedError: of the class `error`, if the file cannot be read or is not one strict document.
    """
    documents = load_documents(path, shown_as=shown_as, error=error, limits=limits)
    shown = file_name(shown_as or path)
    if not documents:
        raise error("is empty", file=shown, line=1, fix="write the document it should hold")
    if len(documents) > 1:
        raise documents[1].refusal("a second document begins here", fix="keep one document in this file")
    return documents[0]


def load_documents(
    path: Path,
    *,
    shown_as: str | PurePath | None = None,
    error: type[LocatedError] = BadSubmission,
    limits: DocumentLimits | None = None,
) -> tuple[Document, ...]:
    """Read all documents of a YAML stream; empty ones are left out.

    Raises:
        LocatedError: of the class `error`, as in `load_document`.
    """
    limits = limits or DocumentLimits()
    shown = file_name(shown_as or path)
    return read_documents(_read(path, shown, error, limits), shown_as=shown, error=error, limits=limits)


def read_documents(
    raw: bytes,
    *,
    shown_as: str | PurePath,
    error: type[LocatedError] = BadSubmission,
    limits: DocumentLimits | None = None,
) -> tuple[Document, ...]:
    """Read all documents of a YAML stream that is in memory.

    Raises:
        LocatedError: of the class `error`, as in `load_document`.
    """
    limits = limits or DocumentLimits()
    shown = file_name(shown_as)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as cause:
        line = raw.count(b"\n", 0, cause.start) + 1
        raise error("is not UTF-8 text", file=shown, line=line, fix="save the file as UTF-8") from cause
    control = CONTROL.search(text)
    if control:
        raise error(
            f"holds the control character U+{ord(control[0]):04X}",
            file=shown,
            line=text.count("\n", 0, control.start()) + 1,
            fix="remove it; a text file has none",
        )
    try:
        return tuple(Composer(shown, error, limits).compose(text))
    except yaml.YAMLError as cause:
        mark = getattr(cause, "problem_mark", None) or getattr(cause, "context_mark", None)
        problem = getattr(cause, "problem", None) or getattr(cause, "reason", None) or "cannot be read"
        if problem == _TOO_DEEP:
            raise error(
                f"is nested over {limits.depth} levels deep",
                file=shown,
                line=mark.line + 1 if mark else 1,
                fix="flatten it",
            ) from cause
        raise error(
            f"is not valid YAML: {printable(problem)}",
            file=shown,
            line=mark.line + 1 if mark else 1,
            fix="check indentation (spaces, no tabs), colons, brackets and quotes there",
        ) from cause


def _read(path: Path, shown: str, error: type[LocatedError], limits: DocumentLimits) -> bytes:
    try:
        # Without O_NONBLOCK a fifo of that name would hold us for ever.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as cause:
        raise error("there is no such file", file=shown, fix="create it, or correct its name") from cause
    except (OSError, ValueError) as cause:
        raise error(f"cannot be opened: {cause}", file=shown, fix="make it a readable file") from cause
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise error("is not a regular file", file=shown, fix="put a text file there")
        with os.fdopen(handle, "rb", closefd=False) as stream:
            raw = stream.read(limits.size_bytes + 1)
    finally:
        os.close(handle)
    if len(raw) > limits.size_bytes:
        size = (
            f"{limits.size_bytes // 1024} KiB" if limits.size_bytes >= 1024 else f"{limits.size_bytes} bytes"
        )
        raise error(f"is larger than {size}", file=shown, fix="keep it under that, or split it")
    return raw
