"""Kyverno as the lab runs it, beside a real API server: it judges, is killed, and judges again."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from graders.admission.engines import POLICY_ENGINES
from graders.admission.specimens import pod, service
from graders.clusters.definitions import install_kinds
from graders.faults import InfraFault
from graders.kube.client import Answer, Kube
from graders.lab2.images import COPIED, FOREIGN, NOT_OURS, UNSIGNED, digest_of, images, signatures
from graders.lab2.toolsets import KYVERNO, REGISTRY
from graders.ownership import OwnedFolder
from graders.polling import NotYet, wait_for
from graders.progress import Silent
from graders.services.kyverno import Kyverno, kyverno
from graders.services.ociimages import new_key, public_pem, push
from graders.services.registry import registry
from graders.tools import ensure
from tests.cluster.ownprograms import needs
from tests.cluster.proxied import World

pytestmark = [pytest.mark.cluster, needs(KYVERNO, REGISTRY)]

SPACE = "judged-by-kyverno"
WITHIN_S = 30.0
HERE = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": SPACE}}}


@dataclass
class Judge:
    """Kyverno that runs with a policy on Services and one on images of the registry; an owner asks."""

    kyverno: Kyverno
    kube: Kube
    registry: str

    def asked(self, item: dict[str, Any]) -> Answer:
        path = self.kube.path_for(item, collection=True)
        return self.kube.request("POST", path, query={"dryRun": "All"}, body=item)

    def runs(self, version: str) -> Answer:
        return self.asked(pod("asked", f"{self.registry}/web@{digest_of(version)}", SPACE))

    def exposes(self) -> Answer:
        return self.asked(service("exposed", namespace=SPACE, type="NodePort"))


def rules(resource: str) -> dict[str, Any]:
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": [resource]}
    return {**HERE, "resourceRules": [rule]}


def on_services() -> dict[str, Any]:
    expression = "object.spec.?type.orValue('ClusterIP') == 'ClusterIP'"
    spec = {
        "validationActions": ["Deny"],
        "matchConstraints": rules("services"),
        "validations": [{"expression": expression, "message": "a Service is of type ClusterIP"}],
    }
    head = {"apiVersion": "policies.kyverno.io/v1", "kind": "ValidatingPolicy"}
    return {**head, "metadata": {"name": "judged-services"}, "spec": spec}


def on_images(registry: str, key: str) -> dict[str, Any]:
    cosign = {"key": {"data": key}, "ctlog": {"insecureIgnoreTlog": True, "insecureIgnoreSCT": True}}
    expression = "images.containers.all(i, verifyImageSignatures(i, [attestors.course]) > 0)"
    spec = {
        "validationActions": ["Deny"],
        "matchConstraints": rules("pods"),
        "matchImageReferences": [{"glob": f"{registry}/*"}],
        "validationConfigurations": {"mutateDigest": False, "required": False},
        "attestors": [{"name": "course", "cosign": cosign}],
        "validations": [{"expression": expression, "message": "an image is signed"}],
    }
    head = {"apiVersion": "policies.kyverno.io/v1", "kind": "ImageValidatingPolicy"}
    return {**head, "metadata": {"name": "judged-images"}, "spec": spec}


@pytest.fixture(scope="module")
def judge(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judge]:
    folder: Path = tmp_path_factory.mktemp("kyverno")
    engine, key, progress = POLICY_ENGINES["kyverno"], new_key(), Silent()
    install_kinds(world.kube, engine.definitions())
    world.kube.create("/api/v1/namespaces", {"metadata": {"name": SPACE}})
    with OwnedFolder("services", "kyverno") as owner:
        crane = ensure(REGISTRY, progress).path("crane")
        with registry(owner, folder / "registry", crane) as at:
            push(at, ((each.digest, each) for each in images().values()))
            push(at, signatures(at, key))
            written = folder / "policies-kyverno-test"
            written.mkdir()
            program = ensure(KYVERNO, progress).path("kyverno")
            with kyverno(owner, written, world.kube, world.cluster.kubeconfig, program) as running:
                running.furnish()
                running.start()
                made = Judge(running, world.kube, at)
                for policy in (on_services(), on_images(at, public_pem(key))):
                    world.kube.create(world.kube.path_for(policy, collection=True), policy)

                def judges() -> None:
                    if made.exposes().ok or made.runs(UNSIGNED).ok:
                        raise NotYet("a policy is not in force")

                wait_for(judges, timeout_s=WITHIN_S)
                yield made
            for name in ("validating", "mutating"):
                hooks = f"/apis/admissionregistration.k8s.io/v1/{name}webhookconfigurations"
                for each in world.kube.get(hooks)["items"]:
                    if each["metadata"]["name"].startswith("kyverno-"):
                        world.kube.delete(f"{hooks}/{each['metadata']['name']}")


def test_a_policy_of_its_own_kinds_denies_with_its_message(judge: Judge) -> None:
    answer = judge.exposes()
    assert answer.code == 400
    assert "a Service is of type ClusterIP" in answer.message
    assert judge.asked(service("fine", namespace=SPACE)).ok


@pytest.mark.parametrize("version", [UNSIGNED, FOREIGN, COPIED])
def test_a_digest_that_the_key_did_not_sign_is_denied(judge: Judge, version: str) -> None:
    assert version in NOT_OURS
    answer = judge.runs(version)
    assert answer.code == 400
    assert "an image is signed" in answer.message


def test_a_signature_is_fetched_from_a_registry_on_loopback(judge: Judge) -> None:
    answer = judge.runs("v1")
    assert answer.ok, answer.message


def test_a_policy_of_the_older_kind_is_ready_and_denies(judge: Judge) -> None:
    match = {"any": [{"resources": {"kinds": ["ConfigMap"], "namespaces": [SPACE]}}]}
    deny = {"failureAction": "Enforce", "message": "no maps here", "deny": {}}
    policy = {
        "apiVersion": "kyverno.io/v1", "kind": "ClusterPolicy", "metadata": {"name": "judged-maps"},
        "spec": {"background": False, "rules": [{"name": "maps", "match": match, "validate": deny}]},
    }  # fmt: skip
    path = judge.kube.path_for(policy, collection=True)
    judge.kube.create(path, policy)
    item = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "denied", "namespace": SPACE}}

    def denied() -> None:
        if judge.asked(copy.deepcopy(item)).ok:
            raise NotYet("it is admitted")

    wait_for(denied, timeout_s=WITHIN_S)
    judge.kube.delete(f"{path}/judged-maps")


def test_a_policy_makes_no_calls_of_its_own(judge: Judge) -> None:
    policy = on_services()
    policy["metadata"]["name"] = "judged-secrets"
    policy["spec"]["matchConstraints"] = rules("secrets")
    policy["spec"]["validations"] = [{"expression": f"http.Get('http://{judge.registry}/v2/') != null"}]
    path = judge.kube.path_for(policy, collection=True)
    judge.kube.create(path, policy)
    item = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "denied", "namespace": SPACE}}

    def denied() -> None:
        answer = judge.asked(copy.deepcopy(item))
        if answer.ok:
            raise NotYet("it is admitted")
        assert "blocked" in answer.message

    wait_for(denied, timeout_s=WITHIN_S)
    judge.kube.delete(f"{path}/judged-secrets")


def test_killed_it_denies_all_that_it_judges_and_started_it_admits_again(judge: Judge) -> None:
    judge.kyverno.kill()
    with pytest.raises(InfraFault, match="ended with code -9"):
        judge.kyverno.check_alive()
    for answer in (judge.exposes(), judge.runs("v1"), judge.asked(service("fine", namespace=SPACE))):
        assert answer.code == 500
        assert "failed calling webhook" in answer.message
    judge.kyverno.start()
    judge.kyverno.check_alive()
    assert judge.runs("v1").ok

    def has_read_its_policies() -> None:
        if judge.runs(UNSIGNED).code != 400:
            raise NotYet("what was just started admits what no key signed")

    wait_for(has_read_its_policies, timeout_s=WITHIN_S)
