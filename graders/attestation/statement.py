"""What a signature says: an in-toto Statement, version 1, about report.json and its bundle."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graders.attestation.envelope import ForgedError

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "urn:kubeproof:grade:v1"
REPORT, BUNDLE = "report.json", "bundle"

_CONTEXT = {
    "repository": "GITHUB_REPOSITORY",
    "commit": "GITHUB_SHA",
    "ref": "GITHUB_REF",
    "run": "GITHUB_RUN_ID",
    "attempt": "GITHUB_RUN_ATTEMPT",
    "workflow": "GITHUB_WORKFLOW_REF",
    "actor": "GITHUB_ACTOR",
    "event": "GITHUB_EVENT_NAME",
}
"""What GitHub's runner says of the job, by the names it is signed under."""


@dataclass(frozen=True)
class Statement:
    """Digests in hex of what is vouched for, and where it is from; `bundle` is empty where none was kept."""

    report: str
    bundle: str
    context: Mapping[str, str]


def statement_of(out: Path, environment: Mapping[str, str]) -> bytes:
    """What there is to say of the results in `out`, as JSON.

    Raises:
        OSError: they cannot be read.
    """
    report = (out / REPORT).read_bytes()
    subjects = [{"name": REPORT, "digest": {"sha256": hashlib.sha256(report).hexdigest()}}]
    if bundle := digest_of_bundle(out / BUNDLE):
        subjects.append({"name": BUNDLE, "digest": {"sha256": bundle}})
    context = {
        name: environment[variable] for name, variable in _CONTEXT.items() if environment.get(variable)
    }
    statement = {
        "_type": STATEMENT,
        "subject": subjects,
        "predicateType": PREDICATE,
        "predicate": context,
    }
    return json.dumps(statement, sort_keys=True).encode()


def read_statement(payload: bytes) -> Statement:
    """A statement as it was signed.

    Raises:
        ForgedError: it speaks of something else.
    """
    try:
        data: dict[str, Any] = json.loads(payload)
        if (data["_type"], data["predicateType"]) != (STATEMENT, PREDICATE):
            raise ForgedError("the signature is for something else than a report")
        digests = {str(each["name"]): str(each["digest"]["sha256"]) for each in data["subject"]}
        context = {str(name): str(value) for name, value in data["predicate"].items()}
        return Statement(digests[REPORT], digests.get(BUNDLE, ""), context)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ForgedError("the signature is for something else than a report") from error


def digest_of_bundle(folder: Path) -> str:
    """One digest of all files of a bundle, in hex, by their place and content; empty where there is none."""
    if not (folder / "manifest.json").is_file():
        return ""
    total = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()):
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        total.update(f"{path.relative_to(folder).as_posix()} {content}\n".encode())
    return total.hexdigest()
