"""Lab 2's Flux: what a source may ask for, what is packed of it, and what of hub/ is refused."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from graders.faults import BadSubmission
from graders.gitops.flux import environment_of
from graders.gitops.hub import examine_hub
from graders.gitops.sealing import is_sops
from graders.lab2.block import Lab2Block
from graders.lab2.checks.drift import tells_of
from graders.lab2.engines import SETUPS, TOKEN
from graders.lab2.scenario import examine
from graders.paths import REPOSITORY
from graders.scenario.fleet import LiveCluster
from graders.services.gitartifacts import ArtifactStore, SourceFailed
from graders.services.gitsource import RepositorySource, UnsupportedSource, read_source, seconds
from graders.services.publisher import Publisher
from graders.submissions import load_submission
from tests.unit.tiny_api import TinyApi

LAB = REPOSITORY / "labs" / "lab2"
REFERENCE = REPOSITORY / "solutions" / "lab2" / "reference-flux"
SPEC = {"url": "http://127.0.0.1:1/fleet.git", "ref": {"branch": "main"}, "interval": "10s"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(REFERENCE, tmp_path / "handed-in"))


class TestSources:
    def test_a_branch_is_read(self) -> None:
        found = read_source({**SPEC, "ignore": "/docs\n"})
        assert found == RepositorySource("http://127.0.0.1:1/fleet.git", "main", 10.0, "/docs\n")

    def test_without_a_reference_it_is_master_as_with_flux(self) -> None:
        assert read_source({**SPEC, "ref": {}}).branch == "master"

    @pytest.mark.parametrize(
        ("more", "said"),
        [
            ({"secretRef": {"name": "x"}}, "spec.secretRef is not supported"),
            ({"ref": {"tag": "v1"}}, "spec.ref.tag is not supported"),
            ({"ref": {"branch": "main", "commit": "0" * 40}}, "spec.ref.commit is not supported"),
            ({"include": [{"repository": {"name": "x"}}]}, "spec.include is not supported"),
            ({"verify": {"mode": "HEAD"}}, "spec.verify is not supported"),
            ({"recurseSubmodules": True}, "spec.recurseSubmodules is not supported"),
            ({"provider": "github"}, "spec.provider github is not supported"),
            ({"interval": "soon"}, "spec.interval 'soon' is no duration"),
        ],
    )
    def test_what_is_not_supported_is_said(self, more: dict[str, object], said: str) -> None:
        with pytest.raises(UnsupportedSource, match=said):
            read_source({**SPEC, **more})

    @pytest.mark.parametrize(
        ("written", "number"), [("10s", 10.0), ("1m30s", 90.0), ("500ms", 0.5), ("1h", 3600.0)]
    )
    def test_durations_are_go_s(self, written: str, number: float) -> None:
        assert seconds(written, ("interval",)) == number

    @pytest.mark.parametrize("suspended", [True, False])
    def test_one_that_is_suspended_is_left_as_it_is(self, suspended: bool, tmp_path: Path) -> None:
        api = TinyApi()
        item = {"metadata": {"name": "fleet", "generation": 1}, "spec": {**SPEC, "suspend": suspended}}
        with api.client(tmp_path) as kube:
            store = ArtifactStore(tmp_path / "store")
            publisher = Publisher(kube, "flux-system", store, "http://127.0.0.1:2", str(SPEC["url"]))
            publisher._look(item, now=True)
        # Of the other it is said that nobody serves it.
        assert [verb for verb, *_ in api.asked] == ([] if suspended else ["PATCH"])


class TestArtifacts:
    @pytest.fixture
    def repository(self, tmp_path: Path) -> Path:
        root = tmp_path / "repository"
        files = {
            "clusters/dev/kustomization.yaml": "resources: []\n", "docs/notes.md": "about\n", "logo.png": "x",
            "ci/preflight": "#!/bin/sh\n", ".sourceignore": "/docs\n", "base/.sourceignore": "*.txt\n",
            "base/a.txt": "a\n", "base/a.yaml": "a: 1\n",
        }  # fmt: skip
        for name, text in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        (root / "ci" / "preflight").chmod(0o755)
        self.git(root, "init", "--quiet", "--initial-branch=main", ".")
        self.git(root, "add", "--all")
        self.git(root, "commit", "--quiet", "--message", "Begin")
        return root

    def git(self, root: Path, *arguments: str) -> None:
        identity = ("-c", "user.name=a", "-c", "user.email=a@lab.example")
        subprocess.run(["git", "-C", root, *identity, *arguments], check=True)

    def names(self, store: ArtifactStore, path: str) -> list[str]:
        with tarfile.open(fileobj=io.BytesIO((store.public / path).read_bytes())) as packed:
            return packed.getnames()

    def test_a_branch_is_packed_without_what_is_ignored(self, repository: Path, tmp_path: Path) -> None:
        store, source = ArtifactStore(tmp_path / "store"), RepositorySource(str(repository), "main", 5.0)
        commit = store.head(source)
        made = store.pack("fleet", source, commit)
        assert made.revision == f"main@sha1:{commit}"
        assert self.names(store, made.path) == [
            ".sourceignore", "base/.sourceignore", "base/a.yaml", "ci/preflight",
            "clusters/dev/kustomization.yaml",
        ]  # fmt: skip

    def test_patterns_of_the_source_have_the_last_word(self, repository: Path, tmp_path: Path) -> None:
        store = ArtifactStore(tmp_path / "store")
        source = RepositorySource(str(repository), "main", 5.0, "/base\n!/docs\n!logo.png\n")
        names = self.names(store, store.pack("fleet", source, store.head(source)).path)
        assert "docs/notes.md" in names
        assert "logo.png" in names
        assert not [name for name in names if name.startswith("base/")]

    def test_a_store_that_lost_everything_makes_the_same_bytes(
        self, repository: Path, tmp_path: Path
    ) -> None:
        source = RepositorySource(str(repository), "main", 5.0)
        first, second = ArtifactStore(tmp_path / "first"), ArtifactStore(tmp_path / "second")
        commit = first.head(source)
        assert first.pack("fleet", source, commit) == second.pack("fleet", source, commit)

    def test_a_branch_that_is_not_there_is_said(self, repository: Path, tmp_path: Path) -> None:
        with pytest.raises(SourceFailed, match="no branch 'release'"):
            ArtifactStore(tmp_path / "store").head(RepositorySource(str(repository), "release", 5.0))


class TestHub:
    def test_the_reference_is_fine(self, folder: Path) -> None:
        examine(load_submission(folder, lab="lab2", block=Lab2Block))

    @pytest.mark.parametrize(
        ("old", "new", "said"),
        [
            ("ref: {branch: main}", "ref: {tag: v1}", r"hub/fleet.yaml:\d+.*spec.ref.tag"),
            ("interval: 5s", "interval: 5s\n  secretRef: {name: x}", r"hub/fleet.yaml:\d+.*spec.secretRef"),
            ("kind: GitRepository", "kind: OCIRepository", r"hub/fleet.yaml:\d+.*no object of flux"),
            ("{name: fleet}", "{name: fleet, namespace: web}", r"hub/fleet.yaml:\d+.*flux-system"),
        ],
    )
    def test_a_source_that_cannot_be_published_is_refused(
        self, folder: Path, old: str, new: str, said: str
    ) -> None:
        file = folder / "hub" / "fleet.yaml"
        assert old in file.read_text()
        file.write_text(file.read_text().replace(old, new, 1))
        with pytest.raises(BadSubmission, match=said):
            examine_hub(folder, SETUPS["flux"])

    def test_an_environment_that_is_a_chart_is_refused(self, folder: Path) -> None:
        (folder / "clusters" / "dev" / "Chart.yaml").write_text("name: web\n")
        with pytest.raises(BadSubmission, match=r"clusters/dev/Chart.yaml.*no chart"):
            examine(load_submission(folder, lab="lab2", block=Lab2Block))

    def test_a_kustomization_of_another_kind_of_source_is_refused(self, folder: Path) -> None:
        file = folder / "hub" / "environments.yaml"
        file.write_text(file.read_text().replace("kind: GitRepository", "kind: Bucket", 1))
        with pytest.raises(BadSubmission, match=r"hub/environments.yaml:\d+.*only GitRepositories"):
            examine_hub(folder, SETUPS["flux"])

    def test_a_kustomization_is_for_the_environment_of_its_kubeconfig(self) -> None:
        spec = {"kubeConfig": {"secretRef": {"name": "prod-kubeconfig"}}}
        assert environment_of({"spec": spec}) == "prod"
        assert environment_of({"spec": {}}) == ""


class TestTokens:
    def test_the_recipient_of_the_lab_is_the_engine_s(self) -> None:
        recipient = (LAB / "age.pub").read_text().strip()
        assert TOKEN.age_key.read_text().splitlines()[0] == f"# public key: {recipient}"

    def test_what_is_replaced_is_written_as_it_was(self) -> None:
        assert is_sops((REFERENCE / "secrets" / "dev" / "web-token.yaml").read_bytes())
        assert not is_sops(TOKEN.sealed(b"a token of some length"))
        assert not is_sops(b"[")


DRIFTED = {"kind": "Service", "object": "cache", "environment": "prod"}
TARGETS = {"prod": "prod", "dev": "dev"}


class TestEvents:
    def event(self, about: str, message: str) -> dict[str, object]:
        return {"involvedObject": {"kind": "Kustomization", "name": about}, "message": message}

    def test_an_event_of_the_environment_s_kustomization_tells(self) -> None:
        words = "Deployment/web/web configured\nService/web/cache created"
        assert tells_of(self.event("prod", words), DRIFTED, TARGETS)

    @pytest.mark.parametrize(
        ("about", "words"),
        [
            ("dev", "Service/web/cache created"),
            ("prod", "Service/web/web configured\nDeployment/web/cache configured"),
            ("prod", "Service/web/cache-old created"),
            ("prod", "Reconciliation finished"),
        ],
    )
    def test_no_other_event_does(self, about: str, words: str) -> None:
        assert not tells_of(self.event(about, words), DRIFTED, TARGETS)


class TestTries:
    """What shows that the engine wanted what breaks the rules: a refusal, or waiting for one."""

    def tried(self, **conditions: tuple[str, str]) -> dict[str, bool]:
        objects = [
            {
                "spec": {"kubeConfig": {"secretRef": {"name": f"{name}-kubeconfig"}}},
                "status": {
                    "conditions": [{"type": "Ready", "status": "False", "reason": reason, "message": message}]
                },
            }
            for name, (reason, message) in conditions.items()
        ]
        hub = SimpleNamespace(watches=SimpleNamespace(everything=lambda _: objects))
        names = ("lab-exposed", "lab-unbounded")
        return {name: SETUPS["flux"].tried(cast(LiveCluster, hub), name, names) for name in conditions}

    def test_who_waits_while_another_was_refused_has_tried(self) -> None:
        refused = ("ReconciliationFailed", "Service/web/lab-exposed dry-run failed: denied")
        waits = ("DependencyNotReady", "dependency 'flux-system/dev' is not ready")
        assert self.tried(dev=refused, staging=waits) == {"dev": True, "staging": True}

    def test_who_waits_for_an_earlier_commit_has_not(self) -> None:
        waits = ("DependencyNotReady", "dependency revision is not up to date")
        other = ("HealthCheckFailed", "timeout waiting for Deployment/web/web")
        assert self.tried(dev=other, staging=waits) == {"dev": False, "staging": False}
