"""Flux as the lab runs it, at a real API server that is hub and spoke in one: from a commit to an object."""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from graders.clusters.definitions import install_kinds
from graders.kube.client import Kube
from graders.lab2.engines import SETUPS, TOKEN
from graders.lab2.toolsets import FLUX, SOPS
from graders.ownership import OwnedFolder
from graders.polling import NotYet, wait_for
from graders.progress import Silent
from graders.services.flux import NAMESPACE, Flux, flux
from graders.services.gitserver import GitServer, git_server
from graders.tools import ensure
from tests.cluster.ownprograms import needs
from tests.cluster.proxied import World

pytestmark = [pytest.mark.cluster, needs(FLUX, SOPS)]

TARGET = "web"
SOURCES = f"/apis/source.toolkit.fluxcd.io/v1/namespaces/{NAMESPACE}/gitrepositories"
KUSTOMIZATIONS = f"/apis/kustomize.toolkit.fluxcd.io/v1/namespaces/{NAMESPACE}/kustomizations"
MAPS = f"/api/v1/namespaces/{TARGET}/configmaps"
WITHIN_S = 30.0


@dataclass
class Engine:
    """Flux that runs, a repository with a clone to commit to, and the cluster it keeps."""

    flux: Flux
    server: GitServer
    kube: Kube
    clone: Path

    def commit(self, **files: bytes) -> None:
        for name, content in files.items():
            (self.clone / f"{name}.yaml").write_bytes(content)
        listed = "\n".join(f"- {path.name}" for path in sorted(self.clone.glob("*.yaml")))
        (self.clone / "kustomization.yml").write_text(f"resources:\n{listed}\n")
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "Change")
        self.git("push", "--quiet", self.server.url("fleet.git"), "HEAD:main")

    def git(self, *arguments: str) -> str:
        identity = ("-c", "user.name=a", "-c", "user.email=a@lab.example")
        command = ["git", "-C", str(self.clone), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def ready(self, path: str) -> dict[str, Any]:
        status = self.kube.get(path).get("status") or {}
        return next((c for c in status.get("conditions") or () if c["type"] == "Ready"), {})

    def events(self, about: str, words: str) -> list[dict[str, Any]]:
        items = self.kube.get(f"/api/v1/namespaces/{NAMESPACE}/events")["items"]
        return [e for e in items if e["involvedObject"]["name"] == about and words in e["message"]]

    def value(self, name: str) -> str:
        found = self.kube.find(f"{MAPS}/{name}") or {}
        return str((found.get("data") or {}).get("value"))


def config_map(name: str, value: str) -> bytes:
    return (
        f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: {TARGET}}}\n"
        f"data: {{value: {value}}}\n"
    ).encode()


@pytest.fixture(scope="module")
def engine(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    kube, folder = world.kube, tmp_path_factory.mktemp("flux")
    install_kinds(kube, SETUPS["flux"].definitions())
    for namespace in (NAMESPACE, TARGET):
        kube.create("/api/v1/namespaces", {"metadata": {"name": namespace}})
    secrets = {
        "dev-kubeconfig": {"value": world.cluster.kubeconfig.read_text()},
        "sops-age": {"lab.agekey": TOKEN.age_key.read_text()},
    }
    for name, data in secrets.items():
        body = {"metadata": {"name": name}, "stringData": data}
        kube.create(f"/api/v1/namespaces/{NAMESPACE}/secrets", body)
    program = ensure(FLUX, Silent()).path("kustomize-controller")
    with (
        OwnedFolder("services", "flux-test") as owner,
        git_server(owner, folder / "git", ["fleet.git"]) as server,
        flux(owner, folder / "flux", world.cluster.kubeconfig, program, server.url("fleet.git")) as running,
    ):
        clone = folder / "clone"
        clone.mkdir()
        made = Engine(running, server, kube, clone)
        made.git("init", "--quiet", "--initial-branch=main", ".")
        made.commit(first=config_map("first", "one"))
        running.start()
        kube.create(SOURCES, source("fleet", server.url("fleet.git")))
        kube.create(KUSTOMIZATIONS, kustomization("dev"))
        yield made


def source(name: str, url: str, **more: Any) -> dict[str, Any]:
    spec = {"url": url, "ref": {"branch": "main"}, "interval": "1m", **more}
    return {"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository", "metadata": {"name": name},
            "spec": spec}  # fmt: skip


def kustomization(name: str) -> dict[str, Any]:
    spec = {
        "sourceRef": {"kind": "GitRepository", "name": "fleet"}, "path": "./", "interval": "1s",
        "prune": True, "kubeConfig": {"secretRef": {"name": "dev-kubeconfig"}}, "retryInterval": "1s",
        "decryption": {"provider": "sops", "secretRef": {"name": "sops-age"}},
    }  # fmt: skip
    return {"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization",
            "metadata": {"name": name}, "spec": spec}  # fmt: skip


def within(probe: Callable[[], None]) -> None:
    wait_for(probe, timeout_s=WITHIN_S)


def test_a_commit_becomes_an_object_when_the_publisher_is_told(engine: Engine) -> None:
    def there() -> None:
        if engine.value("first") != "one":
            raise NotYet(str(engine.ready(f"{KUSTOMIZATIONS}/dev")))

    within(there)
    status = engine.kube.get(f"{SOURCES}/fleet")["status"]
    head = engine.server.commits("fleet.git")[0]
    assert status["artifact"]["revision"] == f"main@sha1:{head}"
    assert engine.ready(f"{SOURCES}/fleet")["status"] == "True"
    engine.commit(first=config_map("first", "two"))
    engine.flux.tell()

    def changed() -> None:
        if engine.value("first") != "two":
            raise NotYet(engine.value("first"))

    within(changed)


def test_a_secret_that_sops_has_encrypted_is_decrypted(engine: Engine) -> None:
    sops = ensure(SOPS, Silent()).path("sops")
    engine.commit(token=TOKEN.encrypted(b"0123456789abcdef", sops))
    engine.flux.tell()

    def there() -> None:
        found = engine.kube.find(f"/api/v1/namespaces/{TARGET}/secrets/web-token")
        if found is None:
            raise NotYet(str(engine.ready(f"{KUSTOMIZATIONS}/dev")))
        assert base64.b64decode(found["data"]["token"]) == b"0123456789abcdef"

    within(there)


def test_drift_is_repaired_and_told_of_on_the_hub(engine: Engine) -> None:
    engine.kube.patch(f"{MAPS}/first", {"data": {"value": "drift"}})

    def back() -> None:
        if engine.value("first") != "two":
            raise NotYet(engine.value("first"))

    def told() -> None:
        if not engine.events("dev", "ConfigMap/web/first configured"):
            raise NotYet("no word of it")

    within(back)
    within(told)


def test_events_are_kept_past_what_the_recorder_of_client_go_lets_through(engine: Engine) -> None:
    lost = kustomization("lost")
    lost["spec"] |= {"path": "./nowhere", "retryInterval": "100ms"}
    engine.kube.create(KUSTOMIZATIONS, lost)
    most_of_one_object = 25

    def told() -> None:
        kept = engine.events("lost", "kustomization path not found")
        if len(kept) <= most_of_one_object:
            raise NotYet(f"{len(kept)}")

    within(told)
    engine.kube.delete(f"{KUSTOMIZATIONS}/lost")


def test_an_engine_that_lost_everything_goes_on_at_the_same_place(engine: Engine) -> None:
    before = engine.kube.get(f"{SOURCES}/fleet")["status"]["artifact"]
    engine.flux.kill()
    engine.commit(first=config_map("first", "three"))
    engine.flux.start()

    def there() -> None:
        if engine.value("first") != "three":
            raise NotYet(str(engine.ready(f"{KUSTOMIZATIONS}/dev")))

    within(there)
    after = engine.kube.get(f"{SOURCES}/fleet")["status"]["artifact"]
    assert after["url"].rsplit("/", 1)[0] == before["url"].rsplit("/", 1)[0]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"url": "https://git.lab.example/other.git"}, "name the repository that you were given"),
        ({"ref": {"branch": "release"}}, "no branch 'release'"),
        ({"ref": {"tag": "v1"}}, "spec.ref.tag is not supported here"),
    ],
)
def test_what_the_publisher_cannot_give_is_said_in_the_status(
    engine: Engine, more: dict[str, Any], said: str
) -> None:
    name = f"other-{abs(hash(said)) % 10**8}"
    engine.kube.create(SOURCES, source(name, engine.server.url("fleet.git")))
    engine.kube.patch(f"{SOURCES}/{name}", {"spec": more})

    def there() -> None:
        condition = engine.ready(f"{SOURCES}/{name}")
        if said not in str(condition.get("message")):
            raise NotYet(str(condition))
        assert condition["status"] == "False"

    within(there)
