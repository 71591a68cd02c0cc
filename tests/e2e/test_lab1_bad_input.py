"""What cannot be graded: exit code 2, and a message that says what, where and how to mend it.

One of each kind goes the whole way; what else is refused in the same place, unit tests of that place say.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.e2e.command import REFERENCE, Ended, grade

WEBHOOK = """
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: mine}
webhooks: []
"""


@pytest.fixture
def submission(tmp_path: Path) -> Path:
    folder = tmp_path / "submission"
    folder.mkdir()
    shutil.copy(REFERENCE / "submission.yaml", folder)
    for part in ("deploy", "mltj_operator"):
        shutil.copytree(REFERENCE / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def refused(ended: Ended) -> str:
    """What was said by a command that refused; it started nothing that is still there."""
    assert ended.code == 2, ended.said
    assert "Traceback" not in ended.said
    assert ended.left == []
    assert ended.at_once == []
    assert not ended.state.exists() or ended.folders_left() == []
    return ended.said


def rejected(submission: Path, tmp_path: Path) -> str:
    """The same for a hand-in that is rejected before any cluster starts; its report says so too."""
    ended = grade(submission, tmp_path / "out")
    said = refused(ended)
    assert "starting cluster" not in said
    assert ended.report["verdict"] == "rejected"
    assert ended.report["total"] is None
    problem = " ".join(ended.report["problem"].split())
    assert "fix: " in problem
    return problem


def edit(folder: Path, change: Callable[[str], str], name: str = "submission.yaml") -> None:
    file = folder / name
    text = file.read_text()
    changed = change(text)
    assert changed != text
    file.write_text(changed)


class TestTheCommandLine:
    def test_no_such_submission(self, tmp_path: Path) -> None:
        said = refused(grade(tmp_path / "nowhere", tmp_path / "out"))
        assert "nowhere: there is no such submission" in said
        assert "fix: correct the path; a submission is a folder or an archive" in said

    @pytest.mark.parametrize("option", ["provider", "sandbox"])
    def test_an_unknown_provider_or_sandbox(self, submission: Path, tmp_path: Path, option: str) -> None:
        said = refused(grade(submission, tmp_path / "out", f"--{option}=moon"))
        assert "'moon'" in said
        assert "fix: use one of " in said


class TestTheManifest:
    def test_yaml_that_is_none(self, submission: Path, tmp_path: Path) -> None:
        edit(submission, lambda text: text + "manifests: [deploy/\n")
        assert "submission.yaml:11" in rejected(submission, tmp_path)

    def test_a_link_that_leaves(self, submission: Path, tmp_path: Path) -> None:
        (submission / "key").symlink_to("/etc/shadow")
        assert "key: is a link that leaves the submission" in rejected(submission, tmp_path)

    def test_no_crd(self, submission: Path, tmp_path: Path) -> None:
        (submission / "deploy" / "10-crd.yaml").unlink()
        problem = rejected(submission, tmp_path)
        assert "the manifests hold no CustomResourceDefinition mltrainingjobs.training.mod201.dev" in problem

    def test_webhooks(self, submission: Path, tmp_path: Path) -> None:
        (submission / "deploy" / "60-webhook.yaml").write_text(WEBHOOK)
        problem = rejected(submission, tmp_path)
        assert "deploy/60-webhook.yaml:2: ValidatingWebhookConfiguration mine may not be installed" in problem
        assert "fix: take it out; allowed are ClusterKopfPeering, ClusterRole" in problem

    def test_objects_in_the_cluster_s_own_namespaces(self, submission: Path, tmp_path: Path) -> None:
        text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, namespace: kube-system}\n"
        (submission / "deploy" / "60-own.yaml").write_text(text)
        problem = rejected(submission, tmp_path)
        assert "deploy/60-own.yaml:1" in problem
        assert "kube-system, which belongs to the cluster" in problem


@pytest.mark.cluster
class TestWhatTheApiServerRefuses:
    def test_a_manifest_it_does_not_take(self, submission: Path, tmp_path: Path) -> None:
        file = submission / "deploy" / "30-rbac.yaml"
        role = {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": {"name": "odd"},
            "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": []}],
        }
        documents = [*yaml.safe_load_all(file.read_text()), role]
        file.write_text(yaml.safe_dump_all(documents, sort_keys=False))
        line = file.read_text()[: file.read_text().index("name: odd")].count("\n") - 2
        ended = grade(submission, tmp_path / "out", "--only", "creates-pods")
        said = refused(ended)
        assert ended.report["verdict"] == "rejected"
        assert f"deploy/30-rbac.yaml:{line}: the API server refused ClusterRole odd" in said
        assert "verbs" in said
        assert "fix: mend the manifest" in said

    def test_a_crd_of_another_version(self, submission: Path, tmp_path: Path) -> None:
        edit(submission, lambda text: text.replace("name: v1alpha1", "name: v1beta7"), "deploy/10-crd.yaml")
        ended = grade(submission, tmp_path / "out", "--only", "creates-pods")
        said = refused(ended)
        assert ended.report["verdict"] == "rejected"
        assert "must serve version v1alpha1" in said
