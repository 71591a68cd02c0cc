"""SECURITY.md: a table that says where each control is and what shows it, and words on what is open; pure."""

import re
from collections.abc import Iterator, Mapping
from posixpath import normpath

_EITHER = (
    "ClusterPolicy", "Policy", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding",
    "ConstraintTemplate", "constraint",
)  # fmt: skip
"""What may hold rules and signatures alike; "constraint" is any kind that a template of Gatekeeper makes."""
CONTROLS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "network-policies": (("NetworkPolicy",), ("netpol",)),
    "pod-security": (("Namespace",), ("pod-security",)),
    "secrets": (("SealedSecret", "Secret", "Role", "ClusterRole"), ("secrets",)),
    "image-signing": (
        ("ImageValidatingPolicy", "NamespacedImageValidatingPolicy", *_EITHER),
        ("signing",),
    ),
    "admission-policies": (
        ("ValidatingPolicy", "NamespacedValidatingPolicy", *_EITHER),
        ("gate-admission", "gate-direct", "gate-admits", "fail-closed", "policy-review"),
    ),
    "pipeline-gate": ((), ("gate-ci", "signing", "gate-admission")),
    "engine-rights": (("Role", "ClusterRole"), ("rbac",)),
    "mesh": (
        ("PeerAuthentication", "AuthorizationPolicy", "MeshTLSAuthentication", "Server"),
        ("mesh",),
    ),
}
"""Each control: what sort of object its file holds (none: any file), and which ids of the lab show it."""
LEAST_WORDS = 50

_ROW = re.compile(r"^\|(.+)\|\s*$")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s#]+)[^)]*\)")
_KIND = re.compile(r"""(?m)^(?:\{.*?\b|[ \t]*")?kind["']?:\s*["']?(\w+)""")
_CONSTRAINT = re.compile(r"""(?m)\bapiVersion["']?:\s*["']?constraints\.gatekeeper\.sh/""")


def posture_problems(text: str, files: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """What is wrong with it: expected and observed; `files` are the repository's, by path."""
    rows = _rows(text)
    for control, (kinds, ids) in CONTROLS.items():
        if control not in rows:
            yield f"a row for the control {control}", "the table has none"
            continue
        where, evidence = rows[control]
        if not set(re.findall(r"[a-z][a-z-]+", evidence)) & set(ids):
            yield f"{control}: evidence is {' or '.join(ids)}", f"it is {evidence[:60]!r}"
        yield from _where_problems(control, where, kinds, files)
    words = len(re.findall(r"[^\W\d_]{2,}", _prose(text)))
    if words < LEAST_WORDS:
        yield f"{LEAST_WORDS} words on what is left open", f"there are {words}"


def _where_problems(
    control: str, where: str, kinds: tuple[str, ...], files: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    linked = [normpath(path.removeprefix("./")) for path in _LINK.findall(where)]
    there = [path for path in linked if path in files]
    if not there:
        seen = f"it is {where.strip()[:60]!r}" if not linked else f"there is no {linked[0]}"
        yield f"{control}: a link to a file of the repository", seen
    elif kinds and not any(_sorts(files[path]) & set(kinds) for path in there):
        yield f"{control}: a file with a {' or a '.join(kinds)}", f"{there[0]} has none"


def _sorts(text: str) -> set[str]:
    """Kinds of the objects in a file, which may be a chart's template and no YAML: block, flow or JSON."""
    return {*_KIND.findall(text), *(("constraint",) if _CONSTRAINT.search(text) else ())}


def _rows(text: str) -> dict[str, tuple[str, str]]:
    found = {}
    for line in text.splitlines():
        if row := _ROW.match(line.strip()):
            cells = [cell.strip() for cell in row[1].split("|")]
            if len(cells) >= 3:
                found[cells[0].strip("`* ").lower()] = (cells[1], cells[2])
    return found


def _prose(text: str) -> str:
    lines = (line for line in text.splitlines() if not line.lstrip().startswith(("|", "#", "<!--")))
    return "\n".join(lines)
