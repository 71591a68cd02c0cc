"""A person's kubeconfig: a context is never guessed, and its copy stands alone."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from graders.clusters.existing.kubeconfig import find_kubeconfig, isolated
from graders.faults import UsageError

Config = dict[str, Any]


def config(*contexts: str, current: str = "", **user: Any) -> Config:
    """A kubeconfig whose contexts are all of one cluster and one user."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": current,
        "clusters": [{"name": "c", "cluster": {"server": "https://api.example:6443"}}],
        "users": [{"name": "u", "user": user or {"token": "secret"}}],
        "contexts": [
            {"name": name, "context": {"cluster": "c", "user": "u", "namespace": "theirs"}}
            for name in contexts
        ],
    }


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def write(data: Any, name: str = "config") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(data if isinstance(data, str) else yaml.safe_dump(data))
        return path

    return write


def copy_of(path: Path, context: str) -> Config:
    found: Config = json.loads(isolated(find_kubeconfig(path), context))
    return found


# --- which context -----------------------------------------------------------------------------------


@pytest.mark.parametrize("contexts", [("only",), ("one", "two")])
def test_a_context_is_never_guessed_and_the_contexts_there_are_are_named(
    write: Callable[..., Path], contexts: tuple[str, ...]
) -> None:
    path = write(config(*contexts, current=contexts[0]))
    with pytest.raises(UsageError, match="a current-context is not enough") as refused:
        isolated(find_kubeconfig(path), "")
    assert refused.value.fix == f"add --context NAME; the contexts there are: {', '.join(contexts)}"
    assert refused.value.file == str(path)


def test_an_unknown_context_is_refused_with_those_there_are(write: Callable[..., Path]) -> None:
    with pytest.raises(UsageError, match="there is no context 'prod'") as refused:
        isolated(find_kubeconfig(write(config("one", "two"))), "prod")
    assert "one, two" in refused.value.fix


def test_the_copy_has_that_context_alone_and_none_of_its_namespace(write: Callable[..., Path]) -> None:
    data = config("one", "two")
    data["clusters"].append({"name": "d", "cluster": {"server": "https://other"}})
    copy = copy_of(write(data), "two")
    assert copy["current-context"] == "two"
    assert copy["contexts"] == [{"name": "two", "context": {"cluster": "cluster", "user": "user"}}]
    assert copy["clusters"] == [{"name": "cluster", "cluster": {"server": "https://api.example:6443"}}]
    assert copy["users"] == [{"name": "user", "user": {"token": "secret"}}]


# --- where it is looked for --------------------------------------------------------------------------


def test_without_a_file_the_variable_names_files_of_which_the_first_entry_counts(
    write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first, second = config("shared"), config("shared", "more")
    first["clusters"][0]["cluster"]["server"] = "https://first"
    paths = [tmp_path / "missing", write(first, "a/config"), write(second, "b/config")]
    monkeypatch.setenv("KUBECONFIG", ":".join(map(str, paths)))
    found = find_kubeconfig(None)
    assert sorted(found.contexts) == ["more", "shared"]
    assert found.clusters["c"].data["server"] == "https://first"


def test_without_a_variable_it_is_the_file_in_the_home_folder(
    write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(UsageError, match=r"there is no kubeconfig at .*/\.kube/config"):
        find_kubeconfig(None)
    write(config("home"), ".kube/config")
    assert list(find_kubeconfig(None).contexts) == ["home"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("- a\n- list\n", "this is no kubeconfig"),
        ("{not: [closed", "the kubeconfig cannot be read"),
        ("{}", "there is no context 'x'"),
        ("contexts: 7\nclusters: {a: b}", "there is no context 'x'"),
        (config("x") | {"users": []}, "context 'x' names the user 'u', which is not there"),
        (config("x") | {"clusters": []}, "context 'x' names the cluster 'c', which is not there"),
    ],
)
def test_what_is_no_kubeconfig_is_the_caller_s_to_hear(
    write: Callable[..., Path], text: Any, why: str
) -> None:
    with pytest.raises(UsageError, match=why):
        copy_of(write(text), "x")


# --- credentials -------------------------------------------------------------------------------------


def test_certificates_in_files_are_taken_into_the_copy(write: Callable[..., Path], tmp_path: Path) -> None:
    for name in ("ca", "certificate", "key"):
        (tmp_path / f"{name}.pem").write_text(name)
    data = config("x", **{"client-certificate": "certificate.pem", "client-key": str(tmp_path / "key.pem")})
    data["clusters"][0]["cluster"]["certificate-authority"] = "ca.pem"
    copy = copy_of(write(data), "x")

    def held(entry: Config, field: str) -> str:
        return base64.b64decode(entry[field]).decode()

    assert held(copy["clusters"][0]["cluster"], "certificate-authority-data") == "ca"
    assert held(copy["users"][0]["user"], "client-certificate-data") == "certificate"
    assert held(copy["users"][0]["user"], "client-key-data") == "key"
    assert str(tmp_path) not in json.dumps(copy)


def test_a_certificate_that_is_not_there_is_the_caller_s_to_hear(write: Callable[..., Path]) -> None:
    with pytest.raises(UsageError, match="client-key cannot be read"):
        copy_of(write(config("x", **{"client-key": "nowhere.pem"})), "x")


def test_plugins_and_token_files_work_from_wherever_the_copy_stands(
    write: Callable[..., Path], tmp_path: Path
) -> None:
    plugin = {"apiVersion": "client.authentication.k8s.io/v1", "command": "./login", "args": ["--quiet"]}
    copy = copy_of(write(config("x", exec=plugin, tokenFile="token")), "x")
    user = copy["users"][0]["user"]
    assert user["exec"] == {**plugin, "command": f"{tmp_path}/login"}
    assert user["tokenFile"] == f"{tmp_path}/token"


def test_a_plugin_on_the_path_stays_as_it_is(write: Callable[..., Path]) -> None:
    plugin = {"command": "kubelogin", "env": [{"name": "A", "value": "b"}]}
    assert copy_of(write(config("x", exec=plugin)), "x")["users"][0]["user"]["exec"] == plugin


@pytest.mark.parametrize(
    ("cluster", "user", "why"),
    [
        ({"insecure-skip-tls-verify": True}, {}, "does not verify the API server"),
        ({"server": "http://api.example"}, {}, "names no https server"),
        ({"proxy-url": "socks5://localhost:1080"}, {}, "is reached by a proxy that is not of http"),
        ({}, {"as": "root"}, "impersonates somebody else"),
        ({}, {"as-groups": ["system:masters"]}, "impersonates somebody else"),
    ],
)
def test_what_would_not_be_safe_or_true_is_refused(
    write: Callable[..., Path], cluster: Config, user: Config, why: str
) -> None:
    data = config("x", token="t", **user)
    data["clusters"][0]["cluster"] |= cluster
    with pytest.raises(UsageError, match=why):
        copy_of(write(data), "x")
