"""The policies' own tests, as they are sent to an API server: each file, one object, a dry run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from graders.lab2.names import INTRUDER
from graders.lab2.records import AttemptAnswer
from graders.lab2.tracks.review import review
from tests.unit.tiny_api import TinyApi, kubeconfig

POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {}\n"
MOST = 100


@pytest.fixture
def api() -> TinyApi:
    made = TinyApi()
    made.paths["/api/v1"] = lambda: (
        200,
        {"resources": [{"kind": "Pod", "name": "pods", "namespaced": True}]},
    )
    made.paths["/api/v1/namespaces/web/pods"] = lambda: (201, {})
    return made


def sent(api: TinyApi, root: Path, folder: Path) -> Iterator[AttemptAnswer]:
    kept: list[AttemptAnswer] = []
    with api.serve() as url:
        cluster = SimpleNamespace(identities={INTRUDER: kubeconfig(folder, url)})
        stage = SimpleNamespace(
            spokes={"dev": SimpleNamespace(cluster=cluster)},
            manager=SimpleNamespace(checkout=lambda: root),
            recording=SimpleNamespace(writer=SimpleNamespace(add=kept.append)),
        )
        context: Any = SimpleNamespace(
            stage=stage, track="review", settle=lambda: None, in_git=nullcontext, now=lambda: 1.0,
            check_judges=lambda: None, mark=lambda _: None,
        )  # fmt: skip
        review(context)
    yield from kept


def folder_with(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / "policies" / "tests" / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".yaml").write_text(text)
    return root


def test_each_is_a_dry_run_in_web_of_dev(api: TinyApi, tmp_path: Path) -> None:
    root = folder_with(tmp_path / "fleet", pass__a=POD, fail__b=POD)
    found = list(sent(api, root, tmp_path))
    assert [(each.name, each.cluster, each.code, each.dry_run) for each in found] == [
        ("policies/tests/pass/a.yaml", "dev", 201, True),
        ("policies/tests/fail/b.yaml", "dev", 201, True),
    ]
    asked = [(path, query) for verb, path, query, _, _ in api.asked if verb == "POST"]
    assert asked == [("/api/v1/namespaces/web/pods", {"dryRun": "All"})] * 2


@pytest.mark.parametrize("text", [f"{POD}---\n{POD}", "", "- a\n", "{", "kind: Pod\n"])
def test_a_file_holds_one_object(text: str, api: TinyApi, tmp_path: Path) -> None:
    (found,) = sent(api, folder_with(tmp_path / "fleet", fail__b=text), tmp_path)
    assert (found.code, found.object) == (0, None)
    assert "it holds no single object" in found.message


def test_of_each_folder_so_many_are_sent_and_no_more(api: TinyApi, tmp_path: Path) -> None:
    names = {f"{folder}__t{nth:03}": POD for folder in ("pass", "fail") for nth in range(MOST + 1)}
    found = list(sent(api, folder_with(tmp_path / "fleet", **names), tmp_path))
    assert len(found) == 2 * MOST
