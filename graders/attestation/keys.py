"""Ed25519 keys in PEM: one that signs and is kept secret, and one that anybody may have to verify."""

import hashlib
import os
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from graders.faults import UsageError

KEY_VARIABLE = "KUBEPROOF_SIGNING_KEY"
"""The environment variable that may hold the key to sign with, as a CI system hands a secret on."""

SIGNING, VERIFYING = "signing-key.pem", "verifying-key.pem"
_NEW = "make a pair of keys: kubeproof keygen DIR"


def new_keys(folder: Path) -> tuple[Path, Path]:
    """Write a new pair into `folder`: the key that signs, for its owner alone, and the one that verifies.

    Raises:
        UsageError: there is one already, or the folder cannot be written.
    """
    key = Ed25519PrivateKey.generate()
    secret, public = folder / SIGNING, folder / VERIFYING
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    except FileExistsError as error:
        raise UsageError(
            "there is a key here already, and reports may be signed with it",
            file=secret,
            fix="name a new folder",
        ) from error
    except OSError as error:
        raise UsageError(f"keys cannot be written here: {error.strerror}", file=folder) from error
    return secret, public


def private_key(text: str, where: str) -> Ed25519PrivateKey:
    """The key that signs, from PEM; `where` it is from is for the message.

    Raises:
        UsageError: it is none, another kind of key, or locked with a password.
    """
    try:
        key = load_pem_private_key(text.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise UsageError("this is no key to sign with in PEM", file=where, fix=_NEW) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError("this key is not an Ed25519 one", file=where, fix=_NEW)
    return key


def public_key(path: Path) -> Ed25519PublicKey:
    """The key that verifies.

    Raises:
        UsageError: there is none, it is another kind of key, or one that signs and should not be here.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise UsageError(f"the key cannot be read: {error.strerror}", file=path, fix=_NEW) from error
    if b"PRIVATE KEY" in text:
        raise UsageError(
            "this key signs: whoever has it can forge reports",
            file=path,
            fix=f"name the other one of the pair, {VERIFYING}",
        )
    try:
        key = load_pem_public_key(text)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UsageError("this is no key to verify with in PEM", file=path, fix=_NEW) from error
    if not isinstance(key, Ed25519PublicKey):
        raise UsageError("this key is not an Ed25519 one", file=path, fix=_NEW)
    return key


def key_id(key: Ed25519PublicKey) -> str:
    """What an envelope calls the key: a digest, which is a hint and vouches for nothing."""
    return hashlib.sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()
