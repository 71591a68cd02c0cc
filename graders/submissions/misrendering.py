"""Where in a repository stands what kustomize refuses; it names folders inside each other, and no line."""

import re
from pathlib import Path

from graders.faults import BadSubmission
from graders.kube.kustomizeerrors import innermost
from graders.submissions.kustomize import find

_MALFORMED = re.compile(r"resources from '([^']*)': \w+: yaml: line ([0-9]+)")
_WORDS = (
    re.compile(r"accumulating resources from '([^']*)'"),
    re.compile(r"patch file from path\(([^)]*)\)"),
    re.compile(r"file sources: \[([^\]]*)\]"),
    re.compile(r'unknown field "([^"]*)"'),
    re.compile(r'unable to find field \\?"([^"\\]*)'),
)
"""What of its words stands in the kustomization as it is said."""

_MOST_SAID = 600


def misrendered(root: Path, folder: str, error: str, fix: str) -> BadSubmission:
    """What to raise where a kustomization of `root` does not render: the innermost file, and its line."""
    inner, reason = innermost(folder, error)
    kustomization = find(root / inner)
    said = reason[:_MOST_SAID]
    if kustomization is None:
        return BadSubmission(f"it does not render: {said}", file=folder, fix=fix)
    problem = f"{folder} does not render: {said}" if inner != folder else f"it does not render: {said}"
    malformed = _MALFORMED.search(reason)
    if malformed is not None and (root / inner / malformed[1]).is_file():
        return BadSubmission(problem, file=f"{inner}/{malformed[1]}", line=int(malformed[2]), fix=fix)
    lines = kustomization.read_text(encoding="utf-8", errors="replace").splitlines()
    words = [found[1] for each in _WORDS if (found := each.search(reason)) and found[1]]
    at = next((n for word in words for n, line in enumerate(lines, 1) if word in line), None)
    return BadSubmission(problem, file=kustomization.relative_to(root), line=at, fix=fix)
