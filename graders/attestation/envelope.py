"""The DSSE envelope, version 1: what is signed is the type and the bytes of the payload, never a re-encoding.

https://github.com/secure-systems-lab/dsse/blob/master/protocol.md
"""

import base64
import binascii
import contextlib
import json
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from graders.attestation.keys import key_id
from graders.faults import KubeproofError

PAYLOAD = "application/vnd.in-toto+json"


class ForgedError(KubeproofError):
    """What is signed is not what the key vouched for, or nobody vouched for it; says which."""


def sealed(payload: bytes, key: Ed25519PrivateKey) -> str:
    """The envelope around `payload`, as JSON."""
    envelope = {
        "payloadType": PAYLOAD,
        "payload": base64.b64encode(payload).decode(),
        "signatures": [
            {
                "keyid": key_id(key.public_key()),
                "sig": base64.b64encode(key.sign(_authenticated(payload))).decode(),
            }
        ],
    }
    return json.dumps(envelope, indent=1) + "\n"


def opened(text: str, key: Ed25519PublicKey) -> bytes:
    """The payload of an envelope that `key` vouches for.

    Raises:
        ForgedError: it does not, or this is no envelope.
    """
    try:
        envelope = json.loads(text)
        payload = base64.b64decode(envelope["payload"], validate=True)
        kind = envelope["payloadType"]
        signatures = [_signature(each) for each in envelope["signatures"]]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, binascii.Error) as error:
        raise ForgedError("the signature is no DSSE envelope") from error
    if kind != PAYLOAD:
        raise ForgedError("the signature is for something else than a report")
    for _, signature in signatures:
        with contextlib.suppress(InvalidSignature):
            key.verify(signature, _authenticated(payload))
            return payload
    if all(name != key_id(key) for name, _ in signatures):
        raise ForgedError("the report is signed with another key than yours")
    raise ForgedError("the signature does not fit: what it vouches for was changed")


def _signature(each: Any) -> tuple[str, bytes]:
    return str(each.get("keyid", "")), base64.b64decode(each["sig"], validate=True)


def _authenticated(payload: bytes) -> bytes:
    """The pre-authentication encoding of the specification."""
    kind = PAYLOAD.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
