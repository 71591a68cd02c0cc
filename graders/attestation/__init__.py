"""Signs reports, and tells whether a report is the one that was signed.

A signature is an in-toto Statement in a DSSE envelope, with Ed25519: it names report.json, and the bundle it
stands on, by digest. It says who vouches, and nothing of whether the grading was right.
"""

from graders.attestation.envelope import ForgedError
from graders.attestation.keys import KEY_VARIABLE, new_keys, private_key, public_key
from graders.attestation.signing import check_signature, sign
from graders.attestation.statement import Statement

__all__ = [
    "KEY_VARIABLE",
    "ForgedError",
    "Statement",
    "check_signature",
    "new_keys",
    "private_key",
    "public_key",
    "sign",
]
