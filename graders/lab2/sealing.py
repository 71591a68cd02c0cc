"""Tokens of the grader's own, as the fleet's are written: a SealedSecret, or a Secret encrypted by SOPS."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import yaml

from graders.faults import InfraFault
from graders.lab2.names import NAMESPACE
from graders.services.unsealer import read_private, seal

NAME, KEY = "web-token", "token"
SEALING_KEY = Path(__file__).resolve().parent / "config" / "sealing.key"
AGE_KEY = Path(__file__).resolve().parent / "config" / "age.key"
"""The private halves of what the lab hands out to seal and to encrypt with."""
_RECIPIENT = "# public key: "
_ENCRYPTED = "^(data|stringData)$"


def is_sops(written: bytes) -> bool:
    """Whether a file is one that SOPS has encrypted."""
    try:
        return any("sops" in each for each in yaml.safe_load_all(written) if isinstance(each, dict))
    except (yaml.YAMLError, ValueError):
        return False


def sealed(value: bytes) -> bytes:
    """The token as a SealedSecret."""
    public = read_private(SEALING_KEY.read_bytes()).public_key()
    item = {
        "apiVersion": "bitnami.com/v1alpha1",
        "kind": "SealedSecret",
        "metadata": {"name": NAME, "namespace": NAMESPACE},
        "spec": {
            "encryptedData": {KEY: seal(public, value, NAMESPACE, NAME)},
            "template": {"metadata": {"name": NAME, "namespace": NAMESPACE}},
        },
    }
    return _written(item)


def encrypted(value: bytes, sops: Path) -> bytes:
    """The token as a Secret, encrypted by `sops` for the lab's age recipient.

    Raises:
        InfraFault: sops fails.
    """
    item = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": NAME, "namespace": NAMESPACE},
        "stringData": {KEY: value.decode("ascii")},
    }
    first = AGE_KEY.read_text("utf-8").splitlines()[0]
    command: list[str | Path] = [
        sops, "encrypt", "--age", first.removeprefix(_RECIPIENT), "--encrypted-regex", _ENCRYPTED,
        "--filename-override", f"{NAME}.yaml",
    ]  # fmt: skip
    environment = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"}
    done = subprocess.run(command, input=_written(item), capture_output=True, check=False, env=environment)
    if done.returncode:
        raise InfraFault(f"sops does not encrypt: {done.stderr.decode('utf-8', 'replace').strip()[-300:]}")
    return done.stdout


def _written(item: dict[str, Any]) -> bytes:
    return (json.dumps(item, indent=2) + "\n").encode()
