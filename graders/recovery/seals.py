"""Seals: HMACs that bind what a ledger writes to its run, its place, its order and its time.

Who doesn't have the key of the run can neither make a record up nor change one, and a record that is genuine
elsewhere (in another ledger, under another name, from an earlier run) is not where it is put.
"""

import hashlib
import hmac
import json

from graders.recovery.records import LedgerWrite, RestoredRecord

SECRET_BYTES = 32


def run_key(salt: bytes, secret: bytes, run_id: str, ledger: str) -> bytes:
    """The key of one ledger of one run: HKDF-SHA256 of RFC 5869, one block long.

    `salt` says whose ledgers they are. `secret` is random and of this run; a guessable seed is none.

    Raises:
        ValueError: it has fewer than `SECRET_BYTES` bytes.
    """
    if len(secret) < SECRET_BYTES:
        raise ValueError(f"the secret of a ledger has {len(secret)} bytes, which is under {SECRET_BYTES}")
    pseudorandom = hmac.digest(salt, secret, hashlib.sha256)
    return hmac.digest(pseudorandom, _message(run_id, ledger) + b"\x01", hashlib.sha256)


def written(write: LedgerWrite) -> str:
    """The time of a write as a record has it: seconds of the run, to the microsecond."""
    return f"{write.t:.6f}"


def seal(key: bytes, write: LedgerWrite) -> str:
    """The HMAC-SHA256 (RFC 2104) that a record carries, in hexadecimal."""
    bound = _message(
        write.ledger, write.kind, str(write.seq), write.name, write.part, write.owner, written(write)
    )
    return hmac.digest(key, bound, "sha256").hex()


def genuine(key: bytes, write: LedgerWrite, found: RestoredRecord) -> bool:
    """Whether what was found is what was written: same place, number, time and owner, under its seal."""
    places = ((each.ledger, each.kind, each.name, each.part, each.owner) for each in (write, found))
    # What was found may hold anything, lone surrogates too, and digests are compared as bytes.
    sealed = hmac.compare_digest(seal(key, write).encode(), found.seal.encode("utf-8", "replace"))
    return sealed and len(set(places)) == 1 and (found.seq, found.written) == (str(write.seq), written(write))


def _message(*parts: str) -> bytes:
    """Parts as one message; as JSON, so that no two lists of parts are the same."""
    return json.dumps(parts).encode()
