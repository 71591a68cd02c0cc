"""A cluster that begins with golden etcd data has what was prepared, and nothing of another cluster's."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from graders.clusters.binaries import ensure_binaries
from graders.clusters.golden import golden_etcd
from graders.faults import UsageError
from graders.kube.client import Kube
from graders.polling import NotYet, wait_for
from graders.progress import Silent
from tests.cluster.controlled import WITHIN_S, Controlled, controlled

pytestmark = pytest.mark.cluster

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
GADGETS = "/apis/golden.kubeproof.dev/v1/namespaces/default/gadgets"


def install_gadgets(kube: Kube) -> None:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    names = {"plural": "gadgets", "singular": "gadget", "kind": "Gadget", "listKind": "GadgetList"}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "gadgets.golden.kubeproof.dev"},
        "spec": {
            "group": "golden.kubeproof.dev",
            "scope": "Namespaced",
            "names": names,
            "versions": [version],
        },
    }
    kube.create(CRDS, definition)

    def established() -> None:
        status = kube.get(f"{CRDS}/gadgets.golden.kubeproof.dev").get("status") or {}
        conditions = status.get("conditions") or ()
        if not any(each["type"] == "Established" and each["status"] == "True" for each in conditions):
            raise NotYet(str(conditions))

    wait_for(established, timeout_s=WITHIN_S)


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache and a state folder of this module alone; the programs are where they were."""
    folder = tmp_path_factory.mktemp("golden")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBEPROOF_BINARIES", str(ensure_binaries(Silent()).folder))
        patch.setenv("KUBEPROOF_CACHE", str(folder / "cache"))
        patch.setenv("KUBEPROOF_STATE", str(folder / "state"))
        yield folder


@pytest.fixture(scope="module")
def golden(places: Path) -> Path:
    return golden_etcd(["gadgets"], install_gadgets, Silent())


@pytest.fixture(scope="module")
def world(golden: Path, places: Path) -> Iterator[Controlled]:
    with controlled(places / "state", golden=golden) as world:
        yield world


def test_it_is_made_once(golden: Path) -> None:
    def never(_kube: Kube) -> None:
        raise AssertionError("prepared again")

    assert golden_etcd(["gadgets"], never, Silent()) == golden


def test_making_it_leaves_nothing_beside_it(golden: Path, places: Path) -> None:
    assert [path.name for path in golden.parent.iterdir()] == [golden.name]
    assert not list((places / "state").glob("cluster-golden-*"))


def test_other_parts_are_another_and_one_that_fails_leaves_nothing(golden: Path, places: Path) -> None:
    class Refused(Exception):
        pass

    def fails(_kube: Kube) -> None:
        raise Refused

    before = digests(places / "cache")
    for _ in range(2):
        with pytest.raises(Refused):
            golden_etcd(["gadgets", "more"], fails, Silent())

    assert digests(places / "cache") == before


def test_what_was_prepared_is_there_and_the_cluster_does_its_work(world: Controlled) -> None:
    world.kube.create(
        GADGETS,
        {"apiVersion": "golden.kubeproof.dev/v1", "kind": "Gadget", "metadata": {"name": "mine"}},
    )
    world.works()


def test_the_garbage_collector_knows_the_prepared_kinds(world: Controlled) -> None:
    owner = world.kube.create(
        GADGETS,
        {"apiVersion": "golden.kubeproof.dev/v1", "kind": "Gadget", "metadata": {"name": "owner"}},
    )
    reference = {"apiVersion": owner["apiVersion"], "kind": "Gadget", "name": "owner"}
    child = {"name": "child", "ownerReferences": [{**reference, "uid": owner["metadata"]["uid"]}]}
    path = "/api/v1/namespaces/default/configmaps"
    world.kube.create(path, {"metadata": child})
    world.kube.delete(f"{GADGETS}/owner")

    def gone() -> None:
        if world.kube.find(f"{path}/child") is not None:
            raise NotYet("the child is there")

    wait_for(gone, timeout_s=WITHIN_S)


def test_what_is_no_etcd_data_starts_nothing(places: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no data of etcd"), controlled(places / "s", golden=tmp_path):
        pass

    assert [path.name for path in (places / "s").iterdir() if path.is_dir()] == []


def test_only_the_clusters_own_authorities_are_trusted(world: Controlled) -> None:
    own = world.kube.ca_certificate().decode().strip()
    published = [
        world.kube.get("/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication"),
        wait_for(lambda: root_certificate(world), timeout_s=WITHIN_S),
    ]

    assert [each["data"][key].strip() for each, key in zip(published, KEYS, strict=True)] == [own, own]


KEYS = ("client-ca-file", "ca.crt")


def test_tokens_of_its_accounts_are_good(world: Controlled, tmp_path: Path) -> None:
    account = "/api/v1/namespaces/default/serviceaccounts/default"
    token = world.kube.create(
        f"{account}/token", {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    )["status"]["token"]
    config: dict[str, Any] = yaml.safe_load(world.cluster.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": token}
    own = tmp_path / "kubeconfig"
    own.write_text(yaml.safe_dump(config))
    own.chmod(0o600)

    review = Kube(own).create(
        "/apis/authentication.k8s.io/v1/selfsubjectreviews",
        {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"},
    )
    assert review["status"]["userInfo"]["username"] == "system:serviceaccount:default:default"


def test_no_lease_is_another_api_servers(world: Controlled) -> None:
    leases = world.kube.get("/apis/coordination.k8s.io/v1/namespaces/kube-system/leases")["items"]
    servers = [lease for lease in leases if lease["metadata"]["name"].startswith("apiserver-")]

    assert len(servers) == 1


def test_the_cluster_has_a_copy(world: Controlled, golden: Path, places: Path) -> None:
    before = digests(golden)
    world.note()
    world.control.kill("etcd")
    world.control.start("etcd")
    world.control.wait_ready(WITHIN_S)

    assert before
    assert digests(golden) == before
    assert golden_etcd(["gadgets"], install_gadgets, Silent()) == golden


def root_certificate(world: Controlled) -> dict[str, Any]:
    found = world.kube.find("/api/v1/namespaces/default/configmaps/kube-root-ca.crt")
    if found is None:
        raise NotYet("it is not published")
    return dict(found)


def digests(folder: Path) -> dict[Path, str]:
    return {
        path: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".lock"
    }
