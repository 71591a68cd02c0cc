"""A token as a repository has it written: a SealedSecret, or a Secret encrypted by SOPS."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from graders.faults import InfraFault
from graders.services.unsealer import read_private, seal

_RECIPIENT = "# public key: "
_ENCRYPTED = "^(data|stringData)$"


@dataclass(frozen=True)
class SealedToken:
    """One key of a Secret, and the private halves of what it is sealed and encrypted with."""

    namespace: str
    name: str
    key: str
    sealing_key: Path
    age_key: Path

    def sealed(self, value: bytes) -> bytes:
        """The token as a SealedSecret."""
        public = read_private(self.sealing_key.read_bytes()).public_key()
        metadata = {"name": self.name, "namespace": self.namespace}
        item = {
            "apiVersion": "bitnami.com/v1alpha1",
            "kind": "SealedSecret",
            "metadata": metadata,
            "spec": {
                "encryptedData": {self.key: seal(public, value, f"{self.namespace}/{self.name}")},
                "template": {"metadata": metadata},
            },
        }
        return _written(item)

    def encrypted(self, value: bytes, sops: Path) -> bytes:
        """The token as a Secret, encrypted by `sops` for the recipient of the age key.

        Raises:
            InfraFault: sops fails.
        """
        item = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": self.name, "namespace": self.namespace},
            "stringData": {self.key: value.decode("ascii")},
        }
        first = self.age_key.read_text("utf-8").splitlines()[0]
        command: list[str | Path] = [
            sops, "encrypt", "--age", first.removeprefix(_RECIPIENT), "--encrypted-regex", _ENCRYPTED,
            "--filename-override", f"{self.name}.yaml",
        ]  # fmt: skip
        environment = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"}
        done = subprocess.run(
            command, input=_written(item), capture_output=True, check=False, env=environment
        )
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace").strip()[-300:]
            raise InfraFault(f"sops does not encrypt: {said}")
        return done.stdout


def is_sops(written: bytes) -> bool:
    """Whether a file is one that SOPS has encrypted."""
    try:
        return any("sops" in each for each in yaml.safe_load_all(written) if isinstance(each, dict))
    except (yaml.YAMLError, ValueError):
        return False


def _written(item: dict[str, Any]) -> bytes:
    return (json.dumps(item, indent=2) + "\n").encode()
