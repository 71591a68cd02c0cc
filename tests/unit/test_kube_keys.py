"""Where the client keeps the keys of a kubeconfig: where they go when the kubeconfig goes."""

from __future__ import annotations

import tempfile
from pathlib import Path
from uuid import uuid4

import pytest

from graders.clusters.kubeconfigs import certificate_kubeconfig
from graders.kube.client import Kube


def test_keys_are_kept_beside_the_kubeconfig_and_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(elsewhere))
    authority, certificate, key = (f"{word} {uuid4()}".encode() for word in ("ca", "crt", "key"))
    (folder / "kubeconfig").write_text(
        certificate_kubeconfig("https://127.0.0.1:1", authority, certificate, key)
    )
    kube = Kube(folder / "kubeconfig")
    assert kube.ca_certificate() == authority
    assert not list(elsewhere.iterdir())
    kept = [path for path in folder.iterdir() if path.name != "kubeconfig"]
    assert {path.read_bytes() for path in kept} == {authority, certificate, key}
    assert {path.stat().st_mode & 0o777 for path in kept} == {0o600}
