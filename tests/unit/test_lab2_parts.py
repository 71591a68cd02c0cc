"""Parts of lab 2 that need no cluster: the rulebook, signatures, stages, extras, the release manager."""

from __future__ import annotations

import base64
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from graders.admission.attempts import against_restricted
from graders.evidence.bundle import BundleWriter
from graders.evidence.recording import Recording
from graders.faults import BadSubmission, InfraFault
from graders.gitops.argocd import complaint_of
from graders.gitops.releasefile import ReleaseFile
from graders.gitops.releasemanager import REPOSITORY, Obstructed, ReleaseManager
from graders.kube.pointers import holds
from graders.lab2.attempts import breaking, near_misses, one_of_each, unsigned
from graders.lab2.extras import extra_files, without_extras
from graders.lab2.handin import Values, filled
from graders.lab2.images import CACHE, VERSIONS, digest_of, images, signatures
from graders.lab2.preflight import BAD, cases, releases
from graders.lab2.rulebook import RESTRICTED, SIGNATURE, broken
from graders.ownership import OwnedFolder
from graders.ports import held_ports
from graders.scenario.heldpods import write_stages
from graders.scenario.podreadiness import HeldWorkload, Readiness
from graders.services.gitserver import GitServer, git_server
from graders.services.ociimages import new_key, public_pem
from graders.services.registry import check_registry

REGISTRY = "127.0.0.1:5000"
IMAGE = f"{REGISTRY}/web@{digest_of('v1')}"
UNSIGNED = f"{REGISTRY}/web@{digest_of('unsigned')}"


class TestRulebook:
    @pytest.mark.parametrize(
        "attempt", [a for a in breaking(REGISTRY, IMAGE, "web") if a.how == "create"], ids=lambda a: a.case
    )
    def test_each_attempt_breaks_its_rule_and_no_other(self, attempt: Any) -> None:
        assert broken(attempt.object, REGISTRY, UNSIGNED) == {attempt.rule}

    @pytest.mark.parametrize("attempt", near_misses(IMAGE, IMAGE, "web"), ids=lambda a: a.case)
    def test_near_misses_break_nothing(self, attempt: Any) -> None:
        if attempt.how == "create":
            assert broken(attempt.object, REGISTRY, UNSIGNED) == frozenset()

    @pytest.mark.parametrize("attempt", against_restricted(IMAGE, "web"), ids=lambda a: a.case)
    def test_what_is_not_restricted_breaks_no_rule(self, attempt: Any) -> None:
        assert broken(attempt.object, REGISTRY, UNSIGNED) == ({RESTRICTED} if attempt.rule else frozenset())

    def test_an_image_that_nobody_signed(self) -> None:
        tried = unsigned("unsigned", UNSIGNED, IMAGE, "web")
        assert [each.how for each in tried] == ["create", "create", "create", "patch"]
        for attempt in tried[:-1]:
            assert broken(attempt.object, REGISTRY, UNSIGNED) == {SIGNATURE}

    def test_one_of_each_rule_wears_the_labels_that_are_left_out(self) -> None:
        tried = one_of_each(REGISTRY, IMAGE, "dev-tools", {"skip": "true"})
        assert [each.rule for each in tried] == ["R1", "R2", "R3", "R4"]
        for attempt in tried:
            assert attempt.object["metadata"]["labels"]["skip"] == "true"
            assert "labelled skip: true" in attempt.case
            assert broken(attempt.object, REGISTRY, UNSIGNED) == {attempt.rule}


class TestSignatures:
    def found(self) -> tuple[ec.EllipticCurvePublicKey, dict[str, tuple[str, bytes]]]:
        key = new_key()
        told = {}
        for tag, image in signatures(REGISTRY, key):
            (layer,) = json.loads(image.manifest)["layers"]
            told[tag] = (
                layer["annotations"]["dev.cosignproject.cosign/signature"],
                image.blobs[0],
            )
        return key.public_key(), told

    def valid(self, version: str) -> bool:
        public, told = self.found()
        signature, payload = told[digest_of(version).replace(":", "-") + ".sig"]
        try:
            public.verify(base64.b64decode(signature), payload, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            return False
        return digest_of(version) in payload.decode()

    def test_all_versions_and_the_cache_are_signed_by_the_lab_and_nothing_else_is(self) -> None:
        assert all(self.valid(each) for each in (*VERSIONS, CACHE))
        assert not self.valid("foreign")
        assert not self.valid("copied")

    def test_the_key_that_is_handed_out_is_the_one_they_are_made_with(self, tmp_path: Path) -> None:
        key = new_key()
        (tmp_path / "note.txt").write_text("x")
        handed_out = filled(tmp_path, Values("", "", "", "", public_pem(key)))["keys/cosign.pub"]
        public = serialization.load_pem_public_key(handed_out)
        assert isinstance(public, ec.EllipticCurvePublicKey)
        (image,) = (
            image
            for tag, image in signatures(REGISTRY, key)
            if tag == digest_of("v1").replace(":", "-") + ".sig"
        )
        (layer,) = json.loads(image.manifest)["layers"]
        signature = base64.b64decode(layer["annotations"]["dev.cosignproject.cosign/signature"])
        public.verify(signature, image.blobs[0], ec.ECDSA(hashes.SHA256()))
        # What a transparency log would have added is not there.
        assert not [name for name in layer["annotations"] if "bundle" in name]

    def test_one_has_none(self) -> None:
        assert digest_of("unsigned").replace(":", "-") + ".sig" not in self.found()[1]


def test_all_images_are_of_web_or_that_of_the_cache() -> None:
    assert {image.repository for image in images().values()} == {"web", "cache"}
    assert [name for name, image in images().items() if image.repository == "cache"] == ["cache"]
    assert set(VERSIONS) == {"v1", "v2", "v3", "v4", "v5", "v6", "v7"}


def test_pods_of_web_are_ready_only_when_somebody_says_so(tmp_path: Path) -> None:
    stages = {
        s["metadata"]["name"]: s
        for s in yaml.safe_load_all(write_stages(tmp_path / "s.yaml", "web").read_text())
    }
    label = '.metadata.labels["app.kubernetes.io/name"]'

    def about_web(name: str) -> list[str]:
        found = stages[name]["spec"]["selector"]["matchExpressions"]
        return [each["operator"] for each in found if each["key"] == label]

    assert [about_web(name) for name in ("pod-running", "pod-ready-again", "pod-held")] == [
        ["NotIn"],
        ["NotIn"],
        ["In"],
    ]
    assert '"False"' in stages["pod-held"]["spec"]["next"]["statusTemplate"]
    assert about_web("pod-goes") == []


def test_a_broken_version_is_never_ready_and_others_when_they_are_due(tmp_path: Path) -> None:
    workload = HeldWorkload("web", "web", 3.0, broken=digest_of("v3"))
    readiness = Readiness(workload, {}, Recording(BundleWriter(tmp_path)))
    readiness.hold("dev", digest_of("v2"), 15.0)

    def due(environment: str, version: str, started: float) -> float:
        image = f"{REGISTRY}/web@{digest_of(version)}"
        pod = {"spec": {"containers": [{"name": "web", "image": image}]}}
        return readiness._due(environment, pod, started)

    assert [due("dev", "v1", 0.0), due("dev", "v2", 0.0), due("prod", "v2", 0.0)] == [3.0, 15.0, 3.0]
    assert due("prod", "v3", 0.0) == float("inf")
    # What starts later is held with the first, and no longer.
    assert [due("dev", "v2", 6.0), due("dev", "v2", 14.0)] == [15.0, 17.0]


def test_extras_come_and_go_as_they_were_handed_in() -> None:
    files = extra_files("dev", {"map.yaml": {"kind": "ConfigMap"}})
    assert json.loads(files["clusters/dev/extra/kustomization.yaml"] or b"")["resources"] == ["map.yaml"]
    gone = without_extras(files)
    assert gone["clusters/dev/extra/map.yaml"] is None
    assert json.loads(gone["clusters/dev/extra/kustomization.yaml"] or b"")["resources"] == []


def test_the_preflight_meets_each_rule_and_each_environment_more_than_once() -> None:
    bad = [case for case in cases(REGISTRY, IMAGE) if case.kind == BAD]
    for rule in ("r1", "r2", "r3", "r4", "secret"):
        assert any(case.name.startswith(rule) for case in bad)
    for environment in ("dev", "staging", "prod"):
        assert sum(any(f"clusters/{environment}/" in path for path in case.files) for case in bad) > 1
    texts = [text for case in bad if case.name.startswith("secret") for text in case.files.values()]
    assert {part for text in texts for part in json.loads(text or b"")} >= {"data", "stringData"}
    assert len(cases(REGISTRY, IMAGE)) - len(bad) == 5
    release = ReleaseFile("r.yaml", ("digest",), "reference")
    (good,) = (each for each in releases(REGISTRY, release, b"digest: x\n") if each.kind == "signed")
    assert good.files == {"r.yaml": f'digest: "{REGISTRY}/web@{digest_of("v2")}"\n'.encode()}


RELEASE = ReleaseFile("release.yaml", ("digest",), "digest")


@dataclass(frozen=True)
class Repository:
    """A repository that is empty yet, and its release manager."""

    server: GitServer
    manager: ReleaseManager


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    monkeypatch.setenv("KUBEPROOF_STATE", str(tmp_path / "state"))
    with (
        BundleWriter(tmp_path / "bundle") as writer,
        OwnedFolder("services", "lab2-test") as owner,
        git_server(owner, tmp_path / "git", [REPOSITORY]) as server,
    ):
        images = {name: f"{REGISTRY}/web@{digest_of(name)}" for name in ("v1", "v2")}
        yield Repository(
            server, ReleaseManager(server, tmp_path / "clone", Recording(writer), images.__getitem__)
        )


@pytest.mark.skipif(shutil.which("git") is None, reason="there is no git")
class TestReleaseManager:
    def test_it_releases_changes_and_takes_back(self, repository: Repository) -> None:
        server, manager = repository.server, repository.manager
        files = {"release.yaml": b"digest: none # here\n", "ci/run": b"#!/bin/sh\n"}
        first = manager.begin(files, RELEASE, "v1", ["ci/run"])
        assert manager.text("release.yaml") == f'digest: "{digest_of("v1")}" # here\n'.encode()
        second = manager.release("v2", RELEASE)
        manager.change("Write a note", {"note.txt": b"x\n"})
        manager.change("Remove it", {"note.txt": None})
        assert manager.text("note.txt") == b""
        manager.revert(second, "v1")
        assert digest_of("v1").encode() in manager.text("release.yaml")
        assert server.commits(REPOSITORY)[-1] == first
        assert len(server.commits(REPOSITORY)) == 5
        assert (manager.checkout() / "ci/run").stat().st_mode & 0o100

    @pytest.mark.parametrize(
        ("path", "content"),
        [
            ("base/.GIT/config", b"x"),
            ("base/git~1/config", b"x"),
            (".gitattributes", b"* working-tree-encoding=UTF-16\n"),
        ],
    )
    def test_what_git_does_not_take_is_the_learner_s(
        self, repository: Repository, path: str, content: bytes
    ) -> None:
        said = rf"{re.escape(path)}: (?s:git takes .*fix: rename or remove)"
        with pytest.raises(BadSubmission, match=said):
            repository.manager.begin({"release.yaml": b"digest: none\n", path: content}, RELEASE, "v1")

    def test_a_git_server_that_died_is_our_fault(self, repository: Repository) -> None:
        repository.manager.check_server()
        repository.server.service.kill()
        with pytest.raises(InfraFault, match="git server"):
            repository.manager.check_server()

    def test_a_release_that_somebody_undid_is_released_again(self, repository: Repository) -> None:
        manager = repository.manager
        first = f"digest: {digest_of('v1')}\n".encode()
        manager.begin({"release.yaml": first}, RELEASE, "v1")
        manager.release("v2", RELEASE)
        manager.keep("v2", RELEASE)
        assert len(manager.made) == 2
        manager.change("Undo it", {"release.yaml": first})
        manager.keep("v2", RELEASE)
        assert digest_of("v2").encode() in manager.text("release.yaml")
        manager.change("Spoil it", {"release.yaml": b"nothing\n"})
        with pytest.raises(Obstructed, match="not as it was handed in"):
            manager.keep("v2", RELEASE)


def test_a_registry_that_died_is_our_fault() -> None:
    with held_ports(1) as (port,), pytest.raises(InfraFault, match="the image registry does not answer"):
        check_registry(f"127.0.0.1:{port}")


def test_of_a_set_of_words_those_that_git_declares_have_to_be_back() -> None:
    assert holds(["Audit", "Deny"], ["Deny"])
    assert not holds(["Audit"], ["Deny"])
    assert not holds(None, ["Deny"])
    # Anything else is as it was, or is not back: an opened ingress has more in it, too.
    assert not holds([{}, {"from": []}], [{"from": []}])
    assert not holds(["Deny"], [])
    assert not holds(4, 3)


def test_argo_cd_complains_of_what_failed_though_it_tries_again() -> None:
    failed = {"kind": "ConfigMap", "name": "x", "status": "SyncFailed", "message": "it is invalid"}
    operation = {
        "phase": "Running",
        "message": "Retrying operation with latest revisions. Attempt #7",
        "syncResult": {"resources": [{"kind": "Secret", "name": "y", "status": "Synced"}, failed]},
    }
    item = {"metadata": {"name": "policies-dev"}, "status": {"operationState": operation}}
    assert complaint_of(item) == "Application policies-dev: ConfigMap x: it is invalid"
    assert complaint_of({"metadata": {"name": "new"}}) == ""
