"""Sealed values are for one Secret alone."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from graders.services.unsealer import seal, unseal

PRIVATE = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def test_what_is_sealed_is_opened_for_the_same_secret() -> None:
    sealed = seal(PRIVATE.public_key(), b"a token", "web", "web-token")
    assert unseal(PRIVATE, sealed, "web", "web-token") == b"a token"
    assert base64.b64encode(b"a token").decode() not in sealed


@pytest.mark.parametrize(("namespace", "name"), [("other", "web-token"), ("web", "other")])
def test_and_for_no_other(namespace: str, name: str) -> None:
    sealed = seal(PRIVATE.public_key(), b"a token", "web", "web-token")
    with pytest.raises(ValueError, match=f"not sealed for {namespace}/{name}"):
        unseal(PRIVATE, sealed, namespace, name)


@pytest.mark.parametrize("sealed", ["", "?", "AAAA", base64.b64encode(bytes(400)).decode()])
def test_what_is_damaged_is_refused(sealed: str) -> None:
    with pytest.raises(ValueError, match="not sealed for web/web-token"):
        unseal(PRIVATE, sealed, "web", "web-token")
