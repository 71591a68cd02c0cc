"""What is broken for verify to find is mended, also where verify itself did so meanwhile."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from graders.kube.client import ApiRefused
from graders.lab3.environment.lane import Lane
from graders.lab3.tracks.controlplane import _without
from tests.unit.tiny_api import TinyApi

MODELS = "/apis/serving.example.org/v1/namespaces/serving/models"
MODEL: dict[str, Any] = {
    "metadata": {"name": "m", "labels": {"a": "b"}, "uid": "u", "resourceVersion": "7"},
    "spec": {"version": 1},
    "status": {"loaded": True},
}


def made_again(folder: Path, code: int) -> list[tuple[str, str, Any]]:
    """What is asked of an API server that answers a create with `code`: verb, path, body."""
    api = TinyApi()
    api.paths = {
        f"{MODELS}/m": lambda: (200, MODEL),
        MODELS: lambda: (code, {"message": "what it says of the create"}),
    }
    with api.client(folder) as kube:
        with _without(cast(Lane, SimpleNamespace(kube=kube)), f"{MODELS}/m"):
            api.asked.append(("VERIFY", "", {}, None, {}))
        return [(verb, path, body) for verb, path, _, body, _ in api.asked]


@pytest.mark.parametrize("code", [201, 409])
def test_a_model_is_gone_while_verify_runs_and_back_after_it(code: int, tmp_path: Path) -> None:
    got, deleted, verified, created = made_again(tmp_path, code)
    assert [each[0] for each in (got, deleted, verified)] == ["GET", "DELETE", "VERIFY"]
    assert created == (
        "POST",
        MODELS,
        {"metadata": {"name": "m", "labels": {"a": "b"}}, "spec": {"version": 1}},
    )


def test_what_cannot_be_made_again_is_told(tmp_path: Path) -> None:
    with pytest.raises(ApiRefused, match="what it says of the create"):
        made_again(tmp_path, 422)
