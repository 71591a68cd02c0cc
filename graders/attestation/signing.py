"""Signs a folder of results, and checks one."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from graders.attestation.envelope import ForgedError, opened, sealed
from graders.attestation.statement import (
    BUNDLE,
    REPORT,
    Statement,
    digest_of_bundle,
    read_statement,
    statement_of,
)
from graders.faults import InfraFault, UsageError
from graders.wholefile import write_whole


def sign(out: Path, signature: str, key: Ed25519PrivateKey, environment: Mapping[str, str]) -> Path:
    """Sign the report in `out` and the bundle beside it; gives the file `signature` in it.

    Raises:
        UsageError: there is no report. InfraFault: it cannot be written.
    """
    path = out / signature
    try:
        write_whole(path, sealed(statement_of(out, environment), key), mode=0o600)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UsageError("there is no report here", file=out, fix="name the folder of a grading") from error
    except OSError as error:
        raise InfraFault(f"the signature cannot be written: {error}", fix="free some space") from error
    return path


def check_signature(out: Path, signature: str, key: Ed25519PublicKey) -> Statement:
    """What the key vouches for, if that is what is in `out`.

    Raises:
        ForgedError: nobody signed, another one did, or what was signed has changed.
    """
    try:
        text = (out / signature).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ForgedError("the report is not signed") from error
    except (OSError, ValueError) as error:
        raise ForgedError("the signature cannot be read") from error
    statement = read_statement(opened(text, key))
    report = hashlib.sha256((out / REPORT).read_bytes()).hexdigest()
    if report != statement.report:
        raise ForgedError(f"{REPORT} is not the one that was signed")
    bundle = digest_of_bundle(out / BUNDLE)
    if bundle and bundle != statement.bundle:
        raise ForgedError("the bundle is not the one that was signed")
    return statement
