"""Sealed values are for one Secret alone, but where an annotation says more."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from graders.services.unsealer import seal, sealed_for, unseal

PRIVATE = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def test_what_is_sealed_is_opened_for_the_same_secret() -> None:
    sealed = seal(PRIVATE.public_key(), b"a token", "web/web-token")
    assert unseal(PRIVATE, sealed, "web/web-token") == b"a token"
    assert base64.b64encode(b"a token").decode() not in sealed


@pytest.mark.parametrize(("namespace", "name"), [("other", "web-token"), ("web", "other")])
def test_and_for_no_other(namespace: str, name: str) -> None:
    sealed = seal(PRIVATE.public_key(), b"a token", "web/web-token")
    with pytest.raises(ValueError, match=f"not sealed for {namespace}/{name}"):
        unseal(PRIVATE, sealed, f"{namespace}/{name}")


@pytest.mark.parametrize("sealed", ["", "?", "AAAA", base64.b64encode(bytes(400)).decode()])
def test_what_is_damaged_is_refused(sealed: str) -> None:
    with pytest.raises(ValueError, match="not sealed for web/web-token"):
        unseal(PRIVATE, sealed, "web/web-token")


@pytest.mark.parametrize(
    ("scope", "label"), [("", "web/web-token"), ("namespace-wide", "web"), ("cluster-wide", "")]
)
def test_an_annotation_says_what_it_is_sealed_for(scope: str, label: str) -> None:
    annotations = {f"sealedsecrets.bitnami.com/{scope}": "true"} if scope else None
    metadata = {"namespace": "web", "name": "web-token", "annotations": annotations}
    assert sealed_for(metadata) == label
    assert unseal(PRIVATE, seal(PRIVATE.public_key(), b"a token", label), sealed_for(metadata)) == b"a token"


def test_an_annotation_that_is_not_true_says_nothing() -> None:
    annotations = {"sealedsecrets.bitnami.com/cluster-wide": "false"}
    assert sealed_for({"namespace": "web", "name": "a", "annotations": annotations}) == "web/a"


def test_what_is_sealed_for_a_secret_is_not_for_its_namespace() -> None:
    with pytest.raises(ValueError, match="not sealed for web by"):
        unseal(PRIVATE, seal(PRIVATE.public_key(), b"a token", "web/web-token"), "web")
