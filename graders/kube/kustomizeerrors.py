"""What kustomize says where it refuses: folders inside each other, and at their end the reason; pure."""

import re

_FOLDER = re.compile(r"(?:recursed accumulation of path|couldn't make target for path) '([^']*)': ")


def innermost(folder: str, error: str) -> tuple[str, str]:
    """The innermost folder that an error about `folder` names, and what is wrong there."""
    *_, last = [(folder, error), *((m[1], error[m.end() :]) for m in _FOLDER.finditer(error))]
    return last


def reason_of(error: str) -> str:
    """What is wrong, without the folders on the way there."""
    return innermost("", error)[1]
